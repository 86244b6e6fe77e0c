//! Numbers as Hubble's client writes them.

/// 1234567 as 1,234,567.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// As protobuf's JSON has numbers of 64 bits; an unset one is absent.
pub(super) fn long(n: u64) -> Option<String> {
    (n > 0).then(|| n.to_string())
}

/// How many percent of `whole` are `part`.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

/// Events a second.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub(super) fn rate(events: u64, nanos: u64) -> f64 {
    events as f64 / (nanos as f64 / 1e9)
}

/// Nanoseconds as Go writes a duration: 1h0m3.5s, 250ms, 0s.
pub(super) fn duration(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    if i64::try_from(nanos).is_err() {
        return format!("{nanos}ns");
    }
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < SECOND {
        let (unit, name) = match nanos {
            ..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{name}", decimal(nanos, unit));
    }
    let (hours, minutes) = (nanos / (3600 * SECOND), nanos / (60 * SECOND) % 60);
    let seconds = format!("{}s", decimal(nanos % (60 * SECOND), SECOND));
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, m) => format!("{m}m{seconds}"),
        (h, m) => format!("{h}h{m}m{seconds}"),
    }
}

/// A number of units, with as many decimals as it has.
fn decimal(n: u64, unit: u64) -> String {
    let (whole, rest) = (n / unit, n % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.to_string().len() - 1;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (2_050_000_000, "2.05s"),
            (100_000_000_000, "1m40s"),
            (3_600_000_000_001, "1h0m0.000000001s"),
            (90_061_500_000_000, "25h1m1.5s"),
            (u64::MAX, "18446744073709551615ns"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }
}
