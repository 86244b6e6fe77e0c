//! What Go's standard library says and reads, where Hubble's client passes that on: numbers, booleans, quoted texts.

mod csv;
mod duration;

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

pub use csv::parse_list;
pub use duration::parse_duration;

/// A text as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\x7f' => out.push_str(&escaped('x', 2, c)),
            ' ' => out.push(' '),
            c if is_print(c) => out.push(c),
            c if u32::from(c) > 0xffff => out.push_str(&escaped('U', 8, c)),
            c => out.push_str(&escaped('u', 4, c)),
        }
    }
    out.push('"');
    out
}

/// `\\x1b`, `\\u202e`: a character by its number.
pub fn escaped(kind: char, digits: usize, c: char) -> String {
    format!("\\{kind}{:0digits$x}", u32::from(c))
}

/// Go's `IsPrint`: letters, marks, numbers, punctuation, symbols.
fn is_print(c: char) -> bool {
    static PRINT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{L}\p{M}\p{N}\p{P}\p{S}]").ok());
    PRINT.as_ref().is_some_and(|print| print.is_match(c.encode_utf8(&mut [0; 4])))
}

/// An unsigned number of so many bits; base 0: as its prefix says (`0x`, `0o`, `0b`, `0`), with underscores between digits.
pub fn parse_uint(text: &str, base: u32, bits: u32) -> Result<u64, String> {
    let failed = |why: &str| format!("strconv.ParseUint: parsing {}: {why}", quote(text));
    let invalid = || failed("invalid syntax");
    let as_written = base == 0;
    let (digits, base) = if as_written { prefix(text) } else { (text.to_owned(), base) };
    if as_written && digits.contains('_') && !underscores_fit(text) {
        return Err(invalid());
    }
    let digits = if as_written { digits.replace('_', "") } else { digits };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return Err(invalid());
    }
    let most = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
    u64::from_str_radix(&digits, base).ok().filter(|n| *n <= most).ok_or_else(|| failed("value out of range"))
}

/// Digits and base.
fn prefix(text: &str) -> (String, u32) {
    let lower = text.to_ascii_lowercase();
    for (prefix, base) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return (digits.to_owned(), base);
        }
    }
    match lower.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => (digits.to_owned(), 8),
        _ => (lower, 10),
    }
}

/// Only between digits, or between a prefix and a digit.
fn underscores_fit(text: &str) -> bool {
    let body = text.to_ascii_lowercase();
    let body = ["0x", "0b", "0o"]
        .iter()
        .find_map(|p| body.strip_prefix(p))
        .map_or(body.clone(), |b| format!("0{b}"));
    !body.starts_with('_') && !body.ends_with('_') && !body.contains("__")
}

/// `1`, `t`, `true` ... as Go's flags read them.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text))),
    }
}

/// A length of time as Go prints it: `1h0m0s`, `1m30s`, `1.5s`, `300ms`, `9ns`.
pub fn duration(span: Duration) -> String {
    let (seconds, nanos) = (span.as_secs(), span.subsec_nanos());
    let fraction = |whole: u64, part: u32, digits: usize| {
        let part = format!("{part:0digits$}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") }
    };
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            n if n < 1_000 => format!("{n}ns"),
            n if n < 1_000_000 => format!("{}\u{b5}s", fraction(u64::from(n / 1_000), n % 1_000, 3)),
            n => format!("{}ms", fraction(u64::from(n / 1_000_000), n % 1_000_000, 6)),
        };
    }
    let last = fraction(seconds % 60, nanos, 9);
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{last}s"),
        (0, minutes) => format!("{minutes}m{last}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{last}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, base, bits, expected) in [
            ("80", 10, 16, Ok(80)),
            ("0x10", 0, 32, Ok(16)),
            ("017", 0, 32, Ok(15)),
            ("0b101", 0, 32, Ok(5)),
            ("1_000", 0, 32, Ok(1000)),
            ("65536", 10, 16, Err("value out of range")),
            ("99999999999999999999", 10, 64, Err("value out of range")),
            ("", 10, 16, Err("invalid syntax")),
            ("+1", 10, 16, Err("invalid syntax")),
            ("-1", 0, 64, Err("invalid syntax")),
            ("1_", 0, 32, Err("invalid syntax")),
            ("1_0", 10, 32, Err("invalid syntax")),
            ("09", 0, 32, Err("invalid syntax")),
            ("0x", 0, 32, Err("invalid syntax")),
        ] {
            let expected = expected.map_err(|why| format!("strconv.ParseUint: parsing {text:?}: {why}"));
            assert_eq!(parse_uint(text, base, bits), expected);
        }
    }

    #[test]
    fn lengths_of_time() {
        for (nanos, text) in [
            (0, "0s"),
            (9, "9ns"),
            (1_500, "1.5\u{b5}s"),
            (300_000_000, "300ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn quoted() {
        assert_eq!(
            quote("a\"\\\n\u{1b}\u{7f}\u{85}é\u{202e}😀"),
            "\"a\\\"\\\\\\n\\x1b\\x7f\\u0085é\\u202e😀\""
        );
    }
}
