//! Times of `--since` and `--until`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;

/// A Go duration, as `1h30m`, `90s`, `1.5h`, `300ms`; not negative.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// What Go says of a text that is no duration.
pub fn no_duration(text: &str) -> String {
    let quoted = crate::go::quote(text);
    let mut rest = text.trim_start_matches(['-', '+']);
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        if rest[..number].trim_matches('.').is_empty() {
            break;
        }
        let after = &rest[number..];
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit);
        match unit {
            "" => return format!("time: missing unit in duration {quoted}"),
            "ns" | "us" | "\u{b5}s" | "\u{3bc}s" | "ms" | "s" | "m" | "h" => rest = next,
            unit => return format!("time: unknown unit {} in duration {quoted}", crate::go::quote(unit)),
        }
    }
    format!("time: invalid duration {quoted}")
}

/// A time: so long ago, or one of the client's layouts.
pub fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    // A negative one lies ahead.
    let (ahead, length) = match text.strip_prefix('-') {
        Some(length) => (true, length),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(by) = duration(length) {
        let time = if ahead { now.checked_add(by) } else { now.checked_sub(by) };
        return time.map_err(|_| format!("failed to convert {text} to time"));
    }
    absolute(text).ok_or_else(|| format!("failed to convert {text} to time"))
}

fn absolute(text: &str) -> Option<Timestamp> {
    if let Ok(t) = text.parse::<Timestamp>() {
        return Some(t);
    }
    // Layouts without minutes or seconds, in which Z07:00 is Z or an offset.
    let utc = text.strip_suffix('Z').map(|t| format!("{t}+00:00"));
    let zoned = utc.as_deref().unwrap_or(text);
    for layout in ["%Y-%m-%dT%H:%M%:z", "%Y-%m-%dT%H%:z", "%a, %d %b %Y %H:%M:%S %z"] {
        // strtime wants a minute to make a time of day.
        let (layout, filled) = if layout.contains("%M") {
            (layout.to_owned(), zoned.to_owned())
        } else if let Some(pair) = with_minute(layout, zoned) {
            pair
        } else {
            continue;
        };
        if let Ok(t) = strtime::parse(&layout, &filled).and_then(|t| t.to_timestamp()) {
            return Some(t);
        }
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    DateTime::from_parts(day, jiff::civil::Time::midnight())
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|z| z.timestamp())
}

/// `2006-01-02T15+01:00` with `:00` after the hour, and the layout for it.
fn with_minute(layout: &str, text: &str) -> Option<(String, String)> {
    let at = text.find('T')? + 3;
    let filled = format!("{}:00{}", text.get(..at)?, text.get(at..)?);
    Some((layout.replace("%H", "%H:%M"), filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("300ms"), Some(Duration::from_millis(300)));
        for wrong in ["", "5", "m", "-5m", "5x", "1..5s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn layouts() {
        let now: Timestamp = "2025-01-02T03:04:05Z".parse().unwrap();
        for (text, expected) in [
            ("5m", "2025-01-02T02:59:05Z"),
            ("2024-05-06", "2024-05-06T00:00:00Z"),
            ("2024-05-06T07Z", "2024-05-06T07:00:00Z"),
            ("2024-05-06T07+02:00", "2024-05-06T05:00:00Z"),
            ("2024-05-06T07:08Z", "2024-05-06T07:08:00Z"),
            ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"),
            ("2024-05-06T07:08:09.123456789+02:00", "2024-05-06T05:08:09.123456789Z"),
            ("Mon, 06 May 2024 07:08:09 +0200", "2024-05-06T05:08:09Z"),
        ] {
            assert_eq!(instant(text, now).map(|t| t.to_string()), Ok(expected.to_owned()), "{text}");
        }
        assert_eq!(instant("bad", now), Err("failed to convert bad to time".into()));
    }
}
