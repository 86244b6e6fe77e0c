//! Times in the client's formats, always in UTC.

use std::cell::Cell;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::text::push_padded;

/// One of the client's `--time-format` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// `Jan _2 15:04:05.000`
    #[default]
    StampMilli,
    /// `2006-01-02`
    YearMonthDay,
    /// `2006-01-02T15Z07:00`
    YearMonthDayHour,
    /// `2006-01-02T15:04Z07:00`
    YearMonthDayHourMinute,
    /// `2006-01-02T15:04:05Z07:00`
    Rfc3339,
    /// With up to three digits of a second.
    Rfc3339Milli,
    /// With up to six.
    Rfc3339Micro,
    /// With up to nine.
    Rfc3339Nano,
    /// `Mon, 02 Jan 2006 15:04:05 -0700`
    Rfc1123Z,
}

/// Names, as `--time-format` takes them.
pub const TIME_FORMATS: [(&str, TimeFormat); 9] = [
    ("StampMilli", TimeFormat::StampMilli),
    ("YearMonthDay", TimeFormat::YearMonthDay),
    ("YearMonthDayHour", TimeFormat::YearMonthDayHour),
    ("YearMonthDayHourMinute", TimeFormat::YearMonthDayHourMinute),
    ("RFC3339", TimeFormat::Rfc3339),
    ("RFC3339Milli", TimeFormat::Rfc3339Milli),
    ("RFC3339Micro", TimeFormat::Rfc3339Micro),
    ("RFC3339Nano", TimeFormat::Rfc3339Nano),
    ("RFC1123Z", TimeFormat::Rfc1123Z),
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl TimeFormat {
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        TIME_FORMATS.iter().find(|f| f.0.eq_ignore_ascii_case(name)).map(|f| f.1)
    }

    /// Appends a time.
    pub fn write(self, time: Timestamp, out: &mut String) {
        let t = Offset::UTC.to_datetime(time);
        let (date, clock) = (t.date(), t.time());
        let month = MONTHS[usize::try_from(date.month() - 1).unwrap_or(0) % 12];
        let ymd = |out: &mut String| write!(out, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
        let hms =
            |out: &mut String| write!(out, "{:02}:{:02}:{:02}", clock.hour(), clock.minute(), clock.second());
        let nanos = clock.subsec_nanosecond();
        // Writing to a String does not fail.
        let _ = match self {
            Self::StampMilli => {
                out.push_str(month);
                let written = write!(out, " {:>2} ", date.day()).and_then(|()| hms(out));
                fraction_of_second(nanos / 1_000_000, 3, out);
                written
            }
            Self::YearMonthDay => ymd(out),
            Self::YearMonthDayHour => ymd(out).and_then(|()| write!(out, "T{:02}Z", clock.hour())),
            Self::YearMonthDayHourMinute => {
                ymd(out).and_then(|()| write!(out, "T{:02}:{:02}Z", clock.hour(), clock.minute()))
            }
            Self::Rfc3339 | Self::Rfc3339Milli | Self::Rfc3339Micro | Self::Rfc3339Nano => {
                self.rfc3339(time, nanos, out);
                Ok(())
            }
            Self::Rfc1123Z => {
                let day = DAYS[usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0) % 7];
                write!(out, "{day}, {:02} {month} {:04} ", date.day(), date.year())
                    .and_then(|()| hms(out))
                    .and_then(|()| write!(out, " +0000"))
            }
        };
    }

    fn rfc3339(self, time: Timestamp, nanos: i32, out: &mut String) {
        second(time, out);
        let (digits, fraction) = match self {
            Self::Rfc3339Milli => (3, nanos / 1_000_000),
            Self::Rfc3339Micro => (6, nanos / 1_000),
            Self::Rfc3339Nano => (9, nanos),
            _ => (0, 0),
        };
        // Go's layouts with nines leave trailing zeroes out, and the dot with them.
        if fraction != 0 {
            fraction_of_second(fraction, digits, out);
            out.truncate(out.trim_end_matches('0').len());
        }
        out.push('Z');
    }
}

fn fraction_of_second(fraction: i32, digits: usize, out: &mut String) {
    out.push('.');
    push_padded(fraction.unsigned_abs(), digits, out);
}

/// A second as `2006-01-02T15:04:05`.
#[derive(Clone, Copy)]
struct Second {
    at: i64,
    text: [u8; 19],
}

thread_local! {
    /// The last one: flows come by the thousand in one.
    static LAST: Cell<Second> = const { Cell::new(Second { at: i64::MIN, text: [0; 19] }) };
}

fn second(time: Timestamp, out: &mut String) {
    let at = time.as_second();
    let last = LAST.get();
    if last.at == at {
        // It was written from a string below.
        out.push_str(str::from_utf8(&last.text).unwrap_or_default());
        return;
    }
    let t = Offset::UTC.to_datetime(time);
    let start = out.len();
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        t.year(),
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    );
    // Not so for a year of more or fewer digits, or in the second that began before the epoch.
    if let Ok(text) = out.as_bytes()[start..].try_into()
        && time.subsec_nanosecond() >= 0
    {
        LAST.set(Second { at, text });
    }
}

/// Appends a protobuf timestamp as JSON has it: 0, 3, 6 or 9 digits after the second.
pub(super) fn write_json(time: Timestamp, out: &mut String) {
    let nanos = time.subsec_nanosecond().rem_euclid(1_000_000_000);
    second(time, out);
    if nanos % 1_000_000 == 0 {
        if nanos != 0 {
            fraction_of_second(nanos / 1_000_000, 3, out);
        }
    } else if nanos % 1_000 == 0 {
        fraction_of_second(nanos / 1_000, 6, out);
    } else {
        fraction_of_second(nanos, 9, out);
    }
    out.push('Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &str, time: &str) -> String {
        let mut out = String::new();
        TimeFormat::from_name(format).unwrap().write(time.parse().unwrap(), &mut out);
        out
    }

    #[test]
    fn times_look_as_gos() {
        let t = "2025-01-02T03:04:05.67890120Z";
        assert_eq!(text("StampMilli", t), "Jan  2 03:04:05.678");
        assert_eq!(text("YearMonthDay", t), "2025-01-02");
        assert_eq!(text("YearMonthDayHour", t), "2025-01-02T03Z");
        assert_eq!(text("YearMonthDayHourMinute", t), "2025-01-02T03:04Z");
        assert_eq!(text("RFC3339", t), "2025-01-02T03:04:05Z");
        assert_eq!(text("RFC3339Milli", t), "2025-01-02T03:04:05.678Z");
        assert_eq!(text("RFC3339Micro", t), "2025-01-02T03:04:05.678901Z");
        assert_eq!(text("RFC3339Nano", t), "2025-01-02T03:04:05.6789012Z");
        assert_eq!(text("RFC3339Milli", "2025-01-02T03:04:05.500Z"), "2025-01-02T03:04:05.5Z");
        assert_eq!(text("RFC3339Nano", "2025-01-02T03:04:05Z"), "2025-01-02T03:04:05Z");
        assert_eq!(text("RFC1123Z", t), "Thu, 02 Jan 2025 03:04:05 +0000");
        assert_eq!(TimeFormat::from_name("nope"), None);
    }

    #[test]
    fn json_times_have_0_3_6_or_9_digits() {
        for (time, expected) in [
            ("2025-01-02T03:04:05Z", "2025-01-02T03:04:05Z"),
            ("2025-01-02T03:04:05.5Z", "2025-01-02T03:04:05.500Z"),
            ("2025-01-02T03:04:05.00025Z", "2025-01-02T03:04:05.000250Z"),
            ("2025-01-02T03:04:05.000000001Z", "2025-01-02T03:04:05.000000001Z"),
        ] {
            let mut out = String::new();
            write_json(time.parse().unwrap(), &mut out);
            assert_eq!(out, expected);
        }
    }
}
