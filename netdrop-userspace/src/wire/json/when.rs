//! Times in JSON, `2006-01-02T15:04:05[.999999999](Z|+07:00)`.

use std::cell::Cell;

use prost_types::Timestamp;

use crate::sink::calendar::Civil;

/// From 0001-01-01T00:00:00Z.
pub(super) const FIRST_SECOND: i64 = -62_135_596_800;
/// To 9999-12-31T23:59:59Z.
pub(super) const LAST_SECOND: i64 = 253_402_300_799;

thread_local! {
    /// The minute of the last time that was read, up to the colon behind it, and its first second: lines that follow each other are of
    /// one minute, mostly.
    static MINUTE: Cell<([u8; 17], i64)> = const { Cell::new(([0; 17], 0)) };
}

pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    soon(text.as_bytes()).or_else(|| whole(text))
}

/// A time of the same minute, in UTC; `None`: it is another one, or none.
fn soon(text: &[u8]) -> Option<Timestamp> {
    let (minute, rest) = text.split_first_chunk()?;
    let (known, first) = MINUTE.get();
    let [tens @ b'0'..=b'5', ones @ b'0'..=b'9', fraction @ .., b'Z'] = rest else { return None };
    if *minute != known {
        return None;
    }
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits.iter().fold(0, |number, digit| number * 10 + i32::from(digit - b'0'));
            (digits.len()..9).fold(number, |number, _| number * 10)
        }
        _ => return None,
    };
    Some(Timestamp { seconds: first + i64::from((tens - b'0') * 10 + ones - b'0'), nanos })
}

/// Go takes an hour of one digit.
fn whole(text: &str) -> Option<Timestamp> {
    if let (Some((date, rest)), Some(b':')) = (text.split_at_checked(11), text.as_bytes().get(12)) {
        return exact(&format!("{date}0{rest}"));
    }
    exact(text)
}

fn exact(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<u32> {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let small = |from: usize| digits(from, from + 2).and_then(|n| u8::try_from(n).ok());
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
        return None;
    }
    let civil = Civil {
        year: i32::try_from(digits(0, 4)?).ok()?,
        month: small(5)?,
        day: small(8)?,
        hour: small(11)?,
        minute: small(14)?,
        second: small(17)?,
    };
    let mut at = 19;
    let mut nanos = 0;
    if matches!(bytes.get(at), Some(b'.' | b',')) {
        let length = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 || length > 9 {
            return None;
        }
        let places = u32::try_from(9 - length).ok()?;
        nanos = digits(at + 1, at + 1 + length)? * 10u32.pow(places);
        at += 1 + length;
    }
    let offset = match text.get(at..)? {
        "Z" => 0,
        zone => {
            let sign = match zone.as_bytes() {
                [b'+', _, _, b':', _, _] => 1,
                [b'-', _, _, b':', _, _] => -1,
                _ => return None,
            };
            let (hours, minutes) = (small(at + 1)?, small(at + 4)?);
            if hours > 24 || minutes > 59 {
                return None;
            }
            sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60)
        }
    };
    let in_utc = civil.to_unix()?;
    let seconds = in_utc - offset;
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
        return None;
    }
    if let (0, Some(minute)) = (offset, bytes.first_chunk()) {
        MINUTE.set((*minute, in_utc - i64::from(civil.second)));
    }
    Some(Timestamp { seconds, nanos: i32::try_from(nanos).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the minute that is remembered, what is read is the same.
        #[test]
        fn a_minute_that_is_remembered_changes_nothing(texts in prop::collection::vec(
            prop_oneof![
                "2026-1[12]-(21|31)T2[34]:5[69]:[0-6][0-9](\\.[0-9]{1,10}|,5|\\.)?(Z|z|\\+0[01]:00|-24:59)?",
                "000[01]-01-01T00:0[01]:[0-9]{2}Z",
                ".{0,24}",
            ],
            1..12,
        )) {
            for text in texts {
                let remembered = timestamp(&text);
                prop_assert_eq!(remembered, whole(&text), "{}", text);
            }
        }
    }
}
