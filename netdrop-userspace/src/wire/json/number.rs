//! Numbers as protojson takes and writes them.

use std::fmt::{Display, LowerExp, Write as _};
use std::str::FromStr;

use crate::sink::text::push_number;

/// The length of the number that a text begins with, by JSON's grammar; 0: it begins with none. An exponent may lack its digits, as
/// Go's reader has it.
pub(super) fn length(text: &[u8]) -> usize {
    let digits = |at: usize| text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    match text.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at += digits(at),
        _ => return 0,
    }
    if text.get(at) == Some(&b'.') && text.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at += 1 + digits(at + 1);
    }
    if matches!(text.get(at), Some(b'e' | b'E')) && at + 1 < text.len() {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at += digits(at);
    }
    if text.get(at).copied().is_some_and(continues_word) { 0 } else { at }
}

/// The number in a text. Go looks at no more of the text than the number it begins with, but for blanks around it.
pub(crate) fn quoted(text: &str) -> Option<&str> {
    if text.trim().len() != text.len() {
        return None;
    }
    text.get(..length(text.as_bytes())).filter(|t| !t.is_empty())
}

/// A byte that can't follow a number or a word.
pub(super) fn continues_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}

/// A whole number, also as `1.0` or `12e2`.
pub(crate) fn whole<T: FromStr>(text: &str) -> Option<T> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    if text.is_empty() {
        return None;
    }
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, ""));
    let (int, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (int, fraction) = (int.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if int.is_empty() && fraction.is_empty() {
        return "0".parse().ok();
    }
    let exponent: i32 = if exponent.is_empty() { 0 } else { exponent.parse().ok()? };
    let shift = usize::try_from(exponent.unsigned_abs()).ok()?;
    let digits = if exponent >= 0 {
        // 20 digits are the most that 64 bits need.
        if fraction.len() > shift || int.len() + shift > 20 {
            return None;
        }
        format!("{int}{fraction}{}", "0".repeat(shift - fraction.len()))
    } else {
        let kept = int.len().checked_sub(shift)?;
        if !fraction.is_empty() || int[kept..].bytes().any(|b| b != b'0') {
            return None;
        }
        int[..kept].to_owned()
    };
    format!("{sign}{digits}").parse().ok()
}

/// Appends a number as Go's encoder does: the shortest digits that its precision needs, an exponent below 1e-6 and from 1e21 on.
pub(super) fn push_float<F: Into<f64> + Copy + Display + LowerExp>(number: F, out: &mut String) {
    let wide: f64 = number.into();
    let size = wide.abs();
    if let Some(whole) = small_whole(wide) {
        return push_number(whole, out);
    }
    // Writing to a String does not fail.
    let _ = if wide.is_nan() {
        write!(out, "\"NaN\"")
    } else if wide.is_infinite() {
        write!(out, "\"{}Infinity\"", if wide < 0.0 { "-" } else { "" })
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        match exponent.strip_prefix('-') {
            Some(exponent) => write!(out, "{digits}e-{exponent}"),
            None => write!(out, "{digits}e+{exponent:0>2}"),
        }
    } else {
        write!(out, "{number}")
    };
}

/// A whole number of at most nine digits, as most numbers are: its digits take no search for the shortest.
fn small_whole(number: f64) -> Option<i32> {
    const MOST: f64 = 999_999_999.0;
    if !(-MOST..=MOST).contains(&number) || number == 0.0 && number.is_sign_negative() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is in range, and compared with what it was")]
    let whole = number as i32;
    #[expect(clippy::float_cmp, reason = "a whole number is itself")]
    let same = f64::from(whole) == number;
    same.then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_others_are() {
        let near = [0.0f64, 1.0, 1e8, 999_999_999.0, 1e9, 0.5, 999_999_998.5, 4_294_967_295.0, 1e20, 1e21];
        for number in near.into_iter().flat_map(|n| [n, -n]) {
            let mut out = String::new();
            push_float(number, &mut out);
            let by_digits = if number.abs() < 1e21 { format!("{number}") } else { format!("{number:e}") };
            assert_eq!(out.replace('+', ""), by_digits);
        }
    }

    #[test]
    fn whole_numbers() {
        for (text, number) in [
            ("12", 12),
            ("-3", -3),
            ("1.0", 1),
            ("12e2", 1200),
            ("1200e-2", 12),
            ("-0", 0),
            ("0.0e9", 0),
            ("1.5e1", 15),
        ] {
            assert_eq!(whole::<i32>(text), Some(number), "{text}");
        }
        for text in ["", "1.5", "1e99", "15e-1", "4294967296", "1e99999999999"] {
            assert_eq!(whole::<i32>(text), None, "{text}");
        }
        assert_eq!(whole::<u64>("18446744073709551615"), Some(u64::MAX));
        assert_eq!(whole::<u32>("-1"), None);
    }

    #[test]
    fn lengths() {
        for (text, n) in [
            ("12,", 2),
            ("-0.5}", 4),
            ("1e+5 ", 4),
            ("01", 0),
            ("1.", 0),
            ("-", 0),
            ("1e}", 2),
            ("+1", 0),
            ("1x", 0),
        ] {
            assert_eq!(length(text.as_bytes()), n, "{text}");
        }
    }

    #[test]
    fn floats_as_go_writes_them() {
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (1e-10, "1e-10"),
            (1e100, "1e+100"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            let mut out = String::new();
            push_float(number, &mut out);
            assert_eq!(out, text);
        }
    }
}
