//! Times of `--since` and `--until`, as Go reads them.

use std::time::Duration;

use jiff::Timestamp;

use crate::go;

/// A Go duration, as `1h30m`, `90s`, `1.5h`, `300ms`; not negative.
pub fn duration(text: &str) -> Option<Duration> {
    go::parse_duration(text).ok().and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos)
}

/// Seconds of the first and the last time that the API can say.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// A time: so long ago, or one of the client's layouts. `flag` is whose value it is.
pub fn instant(text: &str, now: Timestamp, flag: &str) -> Result<Timestamp, String> {
    if let Ok(nanos) = go::parse_duration(text) {
        // A negative one lies ahead, but for the least, which Go can't turn round.
        let time = now.as_nanosecond() + i128::from(nanos.wrapping_neg());
        return Ok(Timestamp::from_nanosecond(time).unwrap_or(Timestamp::MAX));
    }
    let (seconds, nanos) = absolute(text)
        .ok_or_else(|| format!("failed to parse the {flag} time: failed to convert {text} to time"))?;
    let outside = |why| {
        Err(format!(
            "failed to convert `{flag}` timestamp to proto: proto: timestamp (seconds:{seconds}{}) {why}",
            match nanos {
                0 => String::new(),
                n => format!(" nanos:{n}"),
            }
        ))
    };
    match seconds {
        ..FIRST => outside("before 0001-01-01"),
        seconds if seconds > LAST => outside("after 9999-12-31"),
        // The last hours of the year 9999 are no times here.
        seconds => Ok(Timestamp::new(seconds, nanos).unwrap_or(Timestamp::MAX)),
    }
}

/// Seconds and nanoseconds after the epoch of a time in one of the client's layouts.
fn absolute(text: &str) -> Option<(i64, i32)> {
    let rfc = |text: &str| {
        let mut read = Reader(text);
        let date = read.date()?;
        if read.0.is_empty() {
            return date.at(0, 0);
        }
        read.word("T")?;
        let mut seconds = read.up_to(1, 24)? * 3600;
        let mut nanos = 0;
        if read.word(":").is_some() {
            seconds += read.up_to(2, 60)? * 60;
            if read.word(":").is_some() {
                seconds += read.up_to(2, 60)?;
                nanos = read.fraction();
            }
        }
        let offset = if read.word("Z").is_some() { 0 } else { read.offset(":")? };
        read.0.is_empty().then(|| date.at(seconds - offset, nanos)).flatten()
    };
    rfc(text).or_else(|| rfc1123(text))
}

/// `Mon, 02 Jan 2006 15:04:05 -0700`; which day of the week it says makes no difference.
fn rfc1123(text: &str) -> Option<(i64, i32)> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut read = Reader(text);
    read.name(&DAYS)?;
    read.word(",")?;
    read.blanks()?;
    let day = read.up_to(2, 32)?;
    read.blanks()?;
    let month = i64::try_from(read.name(&MONTHS)?).ok()? + 1;
    read.blanks()?;
    let date = Date { year: read.year()?, month, day };
    read.blanks()?;
    let mut seconds = read.up_to(1, 24)? * 3600;
    read.word(":")?;
    seconds += read.up_to(2, 60)? * 60;
    read.word(":")?;
    seconds += read.up_to(2, 60)?;
    let nanos = read.fraction();
    read.blanks()?;
    let offset = read.offset("")?;
    read.0.is_empty().then(|| date.at(seconds - offset, nanos)).flatten()
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// So many seconds after its midnight; `None`: there is no such day.
    fn at(&self, seconds: i64, nanos: i32) -> Option<(i64, i32)> {
        let (year, month, day) = (self.year.try_into(), self.month.try_into(), self.day.try_into());
        let date = jiff::civil::Date::new(year.ok()?, month.ok()?, day.ok()?).ok()?;
        let midnight = date.since(jiff::civil::Date::constant(1970, 1, 1)).ok()?.get_days();
        Some((i64::from(midnight) * 86_400 + seconds, nanos))
    }
}

/// What is left of a text.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn word(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    /// One or more.
    fn blanks(&mut self) -> Option<()> {
        let rest = self.0.trim_start_matches(' ');
        let some = rest.len() < self.0.len();
        self.0 = rest;
        some.then_some(())
    }

    /// A number of two digits, or of at least so many, that is below `end`.
    fn up_to(&mut self, least: usize, end: i64) -> Option<i64> {
        let digits = self.0.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let number = self.0.get(..digits).filter(|_| digits >= least)?.parse().ok()?;
        self.0 = &self.0[digits..];
        (number < end).then_some(number)
    }

    fn year(&mut self) -> Option<i64> {
        let digits = self.0.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
        self.0 = &self.0[4..];
        digits.parse().ok()
    }

    fn date(&mut self) -> Option<Date> {
        let year = self.year()?;
        self.word("-")?;
        let month = self.up_to(2, 13)?;
        self.word("-")?;
        Some(Date { year, month, day: self.up_to(2, 32)? })
    }

    /// The index of a name, in any case.
    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let name = self.0.get(..3)?;
        let index = names.iter().position(|n| n.eq_ignore_ascii_case(name))?;
        self.0 = &self.0[3..];
        Some(index)
    }

    /// Nanoseconds behind a second, which may be left out; what is finer is cut off.
    fn fraction(&mut self) -> i32 {
        let Some(rest) = self.0.strip_prefix(['.', ',']) else { return 0 };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return 0;
        }
        self.0 = &rest[digits..];
        let nine = format!("{:0<9}", &rest[..digits.min(9)]);
        nine.parse().unwrap_or_default()
    }

    /// Seconds east of Greenwich. Some people write 24 hours or 60 minutes.
    fn offset(&mut self, colon: &str) -> Option<i64> {
        let west = self.word("-").is_some();
        if !west {
            self.word("+")?;
        }
        let hours = self.up_to(2, 25)?;
        self.word(colon)?;
        let seconds = hours * 3600 + self.up_to(2, 61)? * 60;
        Some(if west { -seconds } else { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("300ms"), Some(Duration::from_millis(300)));
        for wrong in ["", "5", "m", "-5m", "5x", "1..5s", "9999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn layouts() {
        let now: Timestamp = "2025-01-02T03:04:05Z".parse().unwrap();
        let read = |text| instant(text, now, "since");
        for (text, expected) in [
            ("5m", "2025-01-02T02:59:05Z"),
            ("-1h", "2025-01-02T04:04:05Z"),
            ("-9223372036854775808ns", "1732-09-23T03:16:48.145224192Z"),
            (".5h", "2025-01-02T02:34:05Z"),
            ("2562047h", "1732-09-23T04:04:05Z"),
            ("2024-05-06", "2024-05-06T00:00:00Z"),
            ("2024-05-06T07Z", "2024-05-06T07:00:00Z"),
            ("2024-05-06T7Z", "2024-05-06T07:00:00Z"),
            ("2024-05-06T07+02:00", "2024-05-06T05:00:00Z"),
            ("2024-05-06T07:08Z", "2024-05-06T07:08:00Z"),
            ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"),
            ("2024-05-06T07:08:09.123456789+02:00", "2024-05-06T05:08:09.123456789Z"),
            ("2024-05-06T07:08:09,1234567899Z", "2024-05-06T07:08:09.123456789Z"),
            ("2024-05-06T07:08:09+01:60", "2024-05-06T05:08:09Z"),
            ("Mon, 06 May 2024 07:08:09 +0200", "2024-05-06T05:08:09Z"),
            ("tue,  06 MAY 2024 7:08:09.5 +0200", "2024-05-06T05:08:09.5Z"),
            ("9999-12-31T23:59:59Z", "9999-12-30T22:00:00.999999999Z"),
        ] {
            assert_eq!(read(text).map(|t| t.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for wrong in [
            "bad",
            "9999999h",
            "2024-05-06T07:08:60Z",
            "2024-05-06T24:00:00Z",
            "2024-05-06t07:08:09Z",
            "2024-05-06T07:08:09z",
            "2024-05-06 07:08:09Z",
            "2024-05-06T07:08:09",
            "2024-05-06T07",
            "2024-05-06T07+0100",
            "2024-05-06T07:08:09Z[UTC]",
            "2024-02-30",
            "20240506",
            "+002024-01-01",
            "Mon,06 May 2024 07:08:09 +0200",
            "Mon, 6 May 2024 07:08:09 +0200",
            "Mon, 06 May 2024 07:08:60 +0200",
        ] {
            let e = format!("failed to parse the since time: failed to convert {wrong} to time");
            assert_eq!(read(wrong), Err(e));
        }
        let e = "failed to convert `since` timestamp to proto: proto: timestamp (seconds:-62167219200) before 0001-01-01";
        assert_eq!(read("0000-01-01"), Err(e.to_owned()));
    }
}
