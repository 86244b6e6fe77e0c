//! Lengths of time as Go's `time.ParseDuration` reads them: whole nanoseconds in 64 bits, and no more.

use super::quote;

const MOST: u64 = 1 << 63;

/// Nanoseconds of `1h30m`, `-.5s`, `300ms`; or what Go says is wrong with it.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let quoted = || quote(text);
    let invalid = || format!("time: invalid duration {}", quoted());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (part, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && part.is_empty() {
            return Err(invalid());
        }
        let number: u64 = if whole.is_empty() { Ok(0) } else { whole.parse() }.map_err(|_| invalid())?;
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        if name.is_empty() {
            return Err(format!("time: missing unit in duration {}", quoted()));
        }
        let unit: u64 = match name {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(format!("time: unknown unit {} in duration {}", quote(name), quoted())),
        };
        let nanos = number.checked_mul(unit).and_then(|n| n.checked_add(fraction(part, unit)));
        total = nanos.and_then(|n| total.checked_add(n)).filter(|n| *n <= MOST).ok_or_else(invalid)?;
        rest = after;
    }
    match i64::try_from(total) {
        Ok(nanos) if negative => Ok(-nanos),
        Ok(nanos) => Ok(nanos),
        Err(_) if negative => Ok(i64::MIN),
        Err(_) => Err(invalid()),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Digits behind the dot as nanoseconds; those that are too many to be counted are left out.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go reckons in the same way, and the result is less than the unit"
)]
fn fraction(digits: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0u64, 1f64);
    for digit in digits.bytes().map(|b| u64::from(b - b'0')) {
        match number.checked_mul(10).and_then(|n| n.checked_add(digit)).filter(|n| *n < MOST) {
            Some(next) => number = next,
            None => break,
        }
        scale *= 10.0;
    }
    (number as f64 * (unit as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("1h30m", 5_400_000_000_000),
            (".5h", 1_800_000_000_000),
            ("5.s", 5_000_000_000),
            ("-1.5ms", -1_500_000),
            ("1\u{b5}s1\u{3bc}s1us", 3_000),
            ("1.123456789123s", 1_123_456_789),
            ("0.99999999999999999999h", 3_600_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("2562047h47m16.854775807s", i64::MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        }
        for (text, why) in [
            ("", "invalid duration \"\""),
            ("soon", "invalid duration \"soon\""),
            ("--1s", "invalid duration \"--1s\""),
            (".s", "invalid duration \".s\""),
            ("1.5.5s", "missing unit in duration \"1.5.5s\""),
            ("5", "missing unit in duration \"5\""),
            ("1h5x", "unknown unit \"x\" in duration \"1h5x\""),
            ("1d", "unknown unit \"d\" in duration \"1d\""),
            ("1h 5m", "unknown unit \"h \" in duration \"1h 5m\""),
            ("9999999h", "invalid duration \"9999999h\""),
            ("9223372036854775808ns", "invalid duration \"9223372036854775808ns\""),
            ("99999999999999999999s", "invalid duration \"99999999999999999999s\""),
        ] {
            assert_eq!(parse_duration(text), Err(format!("time: {why}")));
        }
    }
}
