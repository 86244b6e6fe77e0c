//! Regular expressions as Go's `regexp` reads them, for this language's crate: both are linear in time, but differ in what some
//! characters mean.

use regex::{Regex, RegexBuilder};

use super::compile::FilterError;

/// Most memory that one expression may take once compiled, and again while it matches.
const MOST: usize = 1 << 17;

/// An expression that matches anywhere in a text.
pub(super) fn pattern(text: &str) -> Result<Regex, FilterError> {
    bounded(&translated(text)).map_err(|e| FilterError(format!("{text}: {}", short(&e))))
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

/// The same expression in the other dialect.
fn translated(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut class = false;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut rest, &mut out),
            '[' if !class => {
                class = true;
                out.push('[');
                if let Some(after) = rest.as_str().strip_prefix('^') {
                    rest = after.chars();
                    out.push('^');
                }
                // A bracket that stands first is one of the class.
                if let Some(after) = rest.as_str().strip_prefix(']') {
                    rest = after.chars();
                    out.push_str(r"\]");
                }
            }
            // `[[:alpha:]]` means the same in both; any other bracket is itself.
            '[' => match rest.as_str().split_once(":]").filter(|(name, _)| name.starts_with(':')) {
                Some((name, after)) => {
                    out.extend(["[", name, ":]"]);
                    rest = after.chars();
                }
                None => out.push_str(r"\["),
            },
            ']' if class => {
                class = false;
                out.push(']');
            }
            // Operators on classes, which Go does not have.
            '&' | '~' if class => out.extend(['\\', c]),
            '-' if class && rest.as_str().starts_with('-') => out.push_str(r"\-"),
            '{' if !class && !is_count(rest.as_str()) => out.push_str(r"\{"),
            c => out.push(c),
        }
    }
    out
}

/// `{2}`, `{2,}`, `{2,5}`, without the first brace.
fn is_count(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// What follows a backslash. Classes are those of ASCII.
fn escape(rest: &mut std::str::Chars<'_>, out: &mut String) {
    let Some(c) = rest.next() else {
        out.push('\\');
        return;
    };
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' => out.push_str(r"(?-u:\b)"),
        'Q' => {
            let (quoted, after) = rest.as_str().split_once(r"\E").unwrap_or((rest.as_str(), ""));
            out.push_str(&regex::escape(quoted));
            *rest = after.chars();
        }
        c if c.is_ascii_punctuation() => {
            let mut one = [0; 4];
            out.push_str(&regex::escape(c.encode_utf8(&mut one)));
        }
        c => out.extend(['\\', c]),
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
            (r"^[a[b]$", "[", "c"),
            (r"^[a&&b]$", "&", "c"),
            (r"^[]x]$", "]", "y"),
            (r"^[[:alpha:]]$", "q", "1"),
            (r"^\Qa.b\E$", "a.b", "axb"),
            (r"^\<\/$", "</", "/"),
            (r"(?i)CILIUM\.io", "x.Cilium.IO", "ciliumxio"),
            (r"\bpage\b", "a page b", "pages"),
        ] {
            let regex = pattern(text).unwrap();
            assert!(regex.is_match(yes) && !regex.is_match(no), "{text}");
        }
        for wrong in ["(", "a**b(", "[z-a]", r"\8", "(?=x)"] {
            let e = pattern(wrong).unwrap_err().0;
            assert!(e.starts_with(wrong) && !e.contains('\n'), "{e}");
        }
        assert!(pattern(&"(a{1000}){1000}".repeat(3)).unwrap_err().0.contains("too big"));
    }
}
