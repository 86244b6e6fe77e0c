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
pub(super) fn push_float<F: Float>(number: F, out: &mut String) {
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
        let text = scientific(number);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        match exponent.strip_prefix('-') {
            Some(exponent) => write!(out, "{digits}e-{exponent}"),
            None => write!(out, "{digits}e+{exponent:0>2}"),
        }
    } else {
        push_decimal(number, out);
        Ok(())
    };
}

/// A number of JSON.
pub(super) trait Float: Into<f64> + Copy + Display + LowerExp + FromStr + PartialEq {}

impl<F: Into<f64> + Copy + Display + LowerExp + FromStr + PartialEq> Float for F {}

/// The shortest text that is read as the same number, as `1.5e-7`. Of two that are equally near, Go takes the even one, Rust the greater.
fn scientific<F: Float>(number: F) -> String {
    let shortest = format!("{number:e}");
    let mantissa = shortest.split('e').next().unwrap_or_default();
    // Only an odd last digit can have an even one as near.
    if mantissa.bytes().next_back().is_none_or(|digit| digit % 2 == 0) {
        return shortest;
    }
    let digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    // Written with so many digits, a number is rounded to the even one.
    let even = format!("{number:.digits$e}");
    if even.parse().is_ok_and(|same: F| same == number) { even } else { shortest }
}

/// The same without an exponent.
fn push_decimal<F: Float>(number: F, out: &mut String) {
    let text = scientific(number);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    out.push_str(sign);
    let Ok(before) = usize::try_from(exponent + 1).map(|before| before.min(digits.len())) else {
        out.push_str("0.");
        (exponent + 1..0).for_each(|_| out.push('0'));
        return out.push_str(&digits);
    };
    if before == 0 {
        out.push('0');
    }
    out.push_str(&digits[..before]);
    (i32::try_from(digits.len()).unwrap_or_default()..=exponent).for_each(|_| out.push('0'));
    if before < digits.len() {
        out.push('.');
        out.push_str(&digits[before..]);
    }
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

    /// As Go 1.26 prints them.
    #[test]
    fn of_two_that_are_as_near_the_even_one_is_written() {
        let written = |number: f64| {
            let mut out = String::new();
            push_float(number, &mut out);
            out
        };
        for (number, text) in [
            ("1000000000000000.25", "1000000000000000.2"),
            ("32660777302961.5625", "32660777302961.562"),
            ("974640172163707.25", "974640172163707.2"),
            ("974640172163707.75", "974640172163707.8"),
            ("0.1", "0.1"),
            ("0.012", "0.012"),
            ("0.000001", "0.000001"),
            ("12.5", "12.5"),
            ("1e9", "1000000000"),
            ("123456789012.0", "123456789012"),
            ("1.2e20", "120000000000000000000"),
            ("0.3", "0.3"),
            ("5e-324", "5e-324"),
            ("1.5e-7", "1.5e-7"),
            ("9.5e22", "9.5e+22"),
        ] {
            let number: f64 = number.parse().unwrap();
            assert_eq!(written(number), text);
            assert_eq!(written(-number), format!("-{text}"));
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(bits: u64, narrow: u32) {
            let (wide, narrow) = (f64::from_bits(bits), f32::from_bits(narrow));
            let mut out = String::new();
            if wide.is_finite() {
                push_float(wide, &mut out);
                proptest::prop_assert_eq!(out.parse(), Ok(wide));
                let longest = wide.to_string().len().max(format!("{wide:e}").len() + 2);
                proptest::prop_assert!(out.len() <= longest, "{}", out);
            }
            out.clear();
            if narrow.is_finite() {
                push_float(narrow, &mut out);
                proptest::prop_assert_eq!(out.parse(), Ok(narrow));
            }
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
