//! Regular expressions as Go's `regexp` reads them, for this language's crate: both are linear in time, but differ in what some
//! characters mean.

mod escape;
mod syntax;

use regex::{Regex, RegexBuilder};

use super::compile::FilterError;

/// Most memory that one expression may take once compiled, and again while it matches.
const MOST: usize = 1 << 17;

/// An expression that matches anywhere in a text.
pub(super) fn pattern(text: &str) -> Result<Regex, FilterError> {
    compiled(text).map_err(|why| FilterError(format!("{text}: {why}")))
}

/// The same, with what is wrong alone.
pub(super) fn compiled(text: &str) -> Result<Regex, String> {
    bounded(&syntax::translated(text)?).map_err(|e| short(&e))
}

/// In this language's own dialect.
pub(super) fn bounded(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(MOST).dfa_size_limit(MOST).build()
}

fn short(e: &regex::Error) -> String {
    match e {
        regex::Error::CompiledTooBig(_) => "the regular expression is too big".into(),
        // Several lines, of which the last says what is wrong.
        e => e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_translated() {
        for (text, yes, no) in [
            (r"^/page/\d+$", "/page/12", "/page/\u{665}"),
            (r"a{,2}", "a{,2}", "aa"),
            (r"^a{2}$", "aa", "a{2}"),
            (r"^a{02}$", "a{02}", "aa"),
            (r"^[a[b]$", "[", "c"),
            (r"^[a&&b]$", "&", "c"),
            (r"^[]x]$", "]", "y"),
            (r"^[^]x]$", "y", "]"),
            (r"^[[:alpha:]]$", "q", "1"),
            (r"^[+--]$", ",", "*"),
            (r"^[\w-]$", "-", "+"),
            (r"^\Qa.b\E$", "a.b", "axb"),
            (r"^\Qab\E+$", "abb", "abab"),
            (r"^\<\/\ $", "</ ", "/"),
            (r"(?i)CILIUM\.io", "x.Cilium.IO", "ciliumxio"),
            (r"\bpage\b", "a page b", "pages"),
            (r"\b{start}", "a{start}", "a"),
            (r"^\p{Greek}\pL\P{Lu}$", "αAa", "aAA"),
            (r"^[\p{^Lu}]$", "a", "A"),
            (r"^\101\x42\x{43}\07$", "ABC\u{7}", "ABC"),
            (r"^(?P<n>a)(?P<n>b)(?<1>c)$", "abc", "ab"),
            (r"^(?)(?ii-s:A)$", "a", "b"),
            (r"^(a{10}){100}$", &"a".repeat(1000), "a"),
            (r"^\x{d800}*$", "", "a"),
        ] {
            let regex = pattern(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(regex.is_match(yes) && !regex.is_match(no), "{text}");
        }
        assert!(pattern(&"(a*){1000}".repeat(3)).unwrap_err().0.contains("too big"));
    }

    /// In the words of Go, as Hubble's client and servers pass them on.
    #[test]
    fn what_go_refuses_is_refused() {
        for (text, why) in [
            ("(", "missing closing ): `(`"),
            ("a)b", "unexpected ): `a)b`"),
            ("a**b(", "invalid nested repetition operator: `**`"),
            ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a*??", "invalid nested repetition operator: `*??`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[a--]", "invalid character class range: `a--`"),
            ("[a", "missing closing ]: `[a`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            (r"[\b]", r"invalid escape sequence: `\b`"),
            (r"\8", r"invalid escape sequence: `\8`"),
            (r"\1", r"invalid escape sequence: `\1`"),
            (r"\u0041", r"invalid escape sequence: `\u`"),
            (r"\x4", r"invalid escape sequence: `\x4`"),
            (r"\p{Alphabetic}", r"invalid character class range: `\p{Alphabetic}`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("(?=x)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?x)a b", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?P<é>a)", "invalid named capture: `(?P<é>`"),
            ("a|*", "missing argument to repetition operator: `*`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("a{99999999999}", "invalid repeat count: `{99999999999}`"),
            ("(a{10}|b){101}", "invalid repeat count: `{101}`"),
        ] {
            let e = pattern(text).unwrap_err().0;
            assert_eq!(e, format!("{text}: error parsing regexp: {why}"));
        }
    }
}
