//! `netdrop status`: an agent's state, as Hubble's client prints a server's.

use std::io::Write;

use crate::balance::{self, Row};
use crate::convert::time_from_wire;
use crate::proto::observer::{DropBalance, Ring, ServerStatusResponse};
use crate::sink::escape;

/// Prints health and numbers.
pub fn write(server: &str, status: &ServerStatusResponse, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "Healthcheck (via {server}): Ok")?;
    let (len, most) = (status.num_flows, status.max_flows);
    if most > 0 {
        #[expect(clippy::cast_precision_loss, reason = "a percentage with two digits")]
        let percent = len as f64 * 100.0 / most as f64;
        writeln!(out, "Current/Max Flows: {}/{} ({percent:.2}%)", grouped(len), grouped(most))?;
    } else {
        writeln!(out, "Current/Max Flows: {}/{}", grouped(len), grouped(most))?;
    }
    writeln!(out, "Flows/s: {:.2}", rate(status))?;
    for (what, ring) in history(status) {
        if let Some(oldest) = ring.oldest.as_ref().and_then(time_from_wire) {
            let (bytes, most) = (ring.bytes >> 10, ring.max_bytes >> 10);
            writeln!(out, "{what} since: {oldest:.0} ({} of {} KiB)", grouped(bytes), grouped(most))?;
        }
    }
    if let Some(table) = drops(status) {
        write!(out, "\n{table}")?;
    }
    Ok(())
}

/// How far back one can look; only netdrop's servers tell.
fn history(status: &ServerStatusResponse) -> impl Iterator<Item = (&'static str, &Ring)> {
    let history = status.history.as_ref();
    let rings = [
        ("Drops", history.and_then(|h| h.drops.as_ref())),
        ("Flows", history.and_then(|h| h.flows.as_ref())),
    ];
    rings.into_iter().filter_map(|(what, ring)| Some((what, ring?)))
}

/// What became of all drops since the start, by reason; only netdrop's servers tell.
fn drops(status: &ServerStatusResponse) -> Option<String> {
    if status.drops.is_empty() {
        return None;
    }
    let row = |d: &DropBalance| Row {
        drops: d.drops,
        shown: d.shown,
        aggregated: d.aggregated,
        hidden: d.hidden,
        lost: d.lost,
        other: 0,
    };
    let named: Vec<_> = status
        .drops
        .iter()
        .map(|d| (if d.reason.is_empty() { "all".into() } else { escape(&d.reason) }, row(d)))
        .collect();
    balance::table(named.iter().map(|(name, row)| (&**name, *row)))
}

/// The server's own rate, else the mean since its start.
fn rate(status: &ServerStatusResponse) -> f64 {
    if status.flows_rate > 0.0 || status.uptime_ns == 0 {
        return status.flows_rate;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate with two digits")]
    let mean = status.seen_flows as f64 / (status.uptime_ns as f64 / 1e9);
    mean
}

/// 1234567 as 1,234,567.
fn grouped(n: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::observer::History;

    #[test]
    fn as_the_client_prints_it() {
        let status = ServerStatusResponse {
            num_flows: 20,
            max_flows: 8190,
            seen_flows: 30,
            uptime_ns: 10_000_000_000,
            ..ServerStatusResponse::default()
        };
        let mut out = Vec::new();
        write("127.0.0.1:14245", &status, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Healthcheck (via 127.0.0.1:14245): Ok\nCurrent/Max Flows: 20/8,190 (0.24%)\nFlows/s: 3.00\n"
        );
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn how_far_back_one_can_look() {
        let oldest = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 });
        let drops = Some(Ring { observations: 9, oldest, bytes: 2 << 20, max_bytes: 64 << 20 });
        let history = Some(History { drops, flows: Some(Ring::default()), ..History::default() });
        let mut out = Vec::new();
        write("x", &ServerStatusResponse { history, ..ServerStatusResponse::default() }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("\nDrops since: 2023-11-14T22:13:20Z (2,048 of 65,536 KiB)\n"), "{text}");
    }
}
