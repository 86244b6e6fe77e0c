//! Texts in YAML as Go's library writes them, so that what is printed is what Hubble's client prints.

/// A text that is no plain one for sure, as JSON: in single quotes, or in double ones where it holds what YAML can't show.
pub(super) fn quoted(text: &str) -> String {
    if text.chars().all(is_printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if u32::from(c) <= 0xff => out.push_str(&upper('x', 2, c)),
            c if u32::from(c) <= 0xffff => out.push_str(&upper('u', 4, c)),
            c => out.push_str(&upper('U', 8, c)),
        }
    }
    out.push('"');
    out
}

/// `\\x1B`, `\\uFEFF`, `\\U0001F600`.
fn upper(kind: char, digits: usize, c: char) -> String {
    format!("\\{kind}{:0digits$X}", u32::from(c))
}

/// What the library takes for printable: nothing beyond 16 bits.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// A setting's text: plain where YAML reads a plain one as the same text.
pub(super) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,=".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.');
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];
    let other = words.contains(&text.to_ascii_lowercase().as_str()) || text.parse::<f64>().is_ok();
    let safe = starts && text.chars().all(plain) && !text.ends_with(':') && !other;
    match text {
        "" => "\"\"".to_owned(),
        text if safe => text.to_owned(),
        text if other => format!("\"{text}\""),
        text => quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(quoted("{\"a\":\"it's\"}"), "'{\"a\":\"it''s\"}'");
        assert_eq!(quoted("{\"a\u{7f}\u{85}😀\u{feff}\"}"), "\"{\\\"a\\x7F\\N\\U0001F600\\uFEFF\\\"}\"");
        assert_eq!(scalar("localhost:4245"), "localhost:4245");
        assert_eq!(
            (scalar(""), scalar("true"), scalar("5")),
            ("\"\"".into(), "\"true\"".into(), "\"5\"".into())
        );
    }
}
