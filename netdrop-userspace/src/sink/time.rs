//! Times in the client's formats, always in UTC.

use std::cell::Cell;

use jiff::Timestamp;

use super::calendar::Civil;
use super::text::{push_number, push_padded};

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
    /// By name, in any case; without one it is the default.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::default());
        }
        TIME_FORMATS.iter().find(|f| f.0.eq_ignore_ascii_case(name)).map(|f| f.1)
    }

    /// Appends a time.
    pub fn write(self, time: Timestamp, out: &mut String) {
        let (seconds, nanos) = unix(time);
        self.write_unix(seconds, nanos, out);
    }

    /// Appends the time so many seconds and nanoseconds (less than a second) after the epoch.
    pub(crate) fn write_unix(self, seconds: i64, nanos: u32, out: &mut String) {
        let t = civil(seconds);
        let month = MONTHS[usize::from(t.month.wrapping_sub(1)) % 12];
        match self {
            Self::StampMilli => {
                out.push_str(month);
                out.push_str(if t.day < 10 { "  " } else { " " });
                push_number(t.day, out);
                out.push(' ');
                clock(t, out);
                out.push('.');
                push_padded(nanos / 1_000_000, 3, out);
            }
            Self::YearMonthDay => date(t, out),
            Self::YearMonthDayHour | Self::YearMonthDayHourMinute => {
                date(t, out);
                out.push('T');
                push_padded(t.hour.into(), 2, out);
                if self == Self::YearMonthDayHourMinute {
                    out.push(':');
                    push_padded(t.minute.into(), 2, out);
                }
                out.push('Z');
            }
            Self::Rfc3339 | Self::Rfc3339Milli | Self::Rfc3339Micro | Self::Rfc3339Nano => {
                self.rfc3339(t, nanos, out);
            }
            Self::Rfc1123Z => {
                out.push_str(DAYS[Civil::weekday(seconds)]);
                out.push_str(", ");
                push_padded(t.day.into(), 2, out);
                out.push(' ');
                out.push_str(month);
                out.push(' ');
                push_padded(t.year.unsigned_abs(), 4, out);
                out.push(' ');
                clock(t, out);
                out.push_str(" +0000");
            }
        }
    }

    fn rfc3339(self, t: Civil, nanos: u32, out: &mut String) {
        date(t, out);
        out.push('T');
        clock(t, out);
        let (digits, fraction) = match self {
            Self::Rfc3339Milli => (3, nanos / 1_000_000),
            Self::Rfc3339Micro => (6, nanos / 1_000),
            Self::Rfc3339Nano => (9, nanos),
            _ => (0, 0),
        };
        // Go's layouts with nines leave trailing zeroes out, and the dot with them.
        if fraction != 0 {
            out.push('.');
            push_padded(fraction, digits, out);
            out.truncate(out.trim_end_matches('0').len());
        }
        out.push('Z');
    }
}

/// Seconds from the epoch, and nanoseconds forward from there.
fn unix(time: Timestamp) -> (i64, u32) {
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    match u32::try_from(nanos) {
        Ok(nanos) => (seconds, nanos),
        Err(_) => (seconds - 1, (nanos + 1_000_000_000).unsigned_abs()),
    }
}

fn date(t: Civil, out: &mut String) {
    push_padded(t.year.unsigned_abs(), 4, out);
    out.push('-');
    push_padded(t.month.into(), 2, out);
    out.push('-');
    push_padded(t.day.into(), 2, out);
}

fn clock(t: Civil, out: &mut String) {
    push_padded(t.hour.into(), 2, out);
    out.push(':');
    push_padded(t.minute.into(), 2, out);
    out.push(':');
    push_padded(t.second.into(), 2, out);
}

thread_local! {
    /// The last second: flows come by the thousand in one.
    static LAST: Cell<(i64, Civil)> = const {
        Cell::new((0, Civil { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 }))
    };
    /// The last second as JSON has it.
    static TEXT: Cell<(i64, [u8; 19])> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
}

fn civil(seconds: i64) -> Civil {
    let (at, last) = LAST.get();
    if at == seconds {
        return last;
    }
    let civil = Civil::from_unix(seconds);
    LAST.set((seconds, civil));
    civil
}

fn second(seconds: i64, out: &mut String) {
    let (at, text) = TEXT.get();
    if at == seconds {
        // It was written from a string below.
        out.push_str(str::from_utf8(&text).unwrap_or_default());
        return;
    }
    let start = out.len();
    let t = civil(seconds);
    date(t, out);
    out.push('T');
    clock(t, out);
    if let Ok(text) = out.as_bytes()[start..].try_into() {
        TEXT.set((seconds, text));
    }
}

/// Appends a protobuf timestamp as JSON has it: 0, 3, 6 or 9 digits after the second.
pub(super) fn write_json(time: Timestamp, out: &mut String) {
    let (seconds, nanos) = unix(time);
    write_json_unix(seconds, nanos, out);
}

/// Appends the time so many seconds and nanoseconds (less than a second) after the epoch, as JSON has it.
pub(crate) fn write_json_unix(seconds: i64, nanos: u32, out: &mut String) {
    second(seconds, out);
    let (digits, fraction) = match nanos {
        0 => (0, 0),
        n if n % 1_000_000 == 0 => (3, n / 1_000_000),
        n if n % 1_000 == 0 => (6, n / 1_000),
        n => (9, n),
    };
    if digits != 0 {
        out.push('.');
        push_padded(fraction, digits, out);
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
    fn before_the_epoch_nanoseconds_count_forward() {
        let t = "1969-12-31T23:59:59.25Z";
        assert_eq!(text("RFC3339Nano", t), t);
        assert_eq!(text("StampMilli", t), "Dec 31 23:59:59.250");
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
