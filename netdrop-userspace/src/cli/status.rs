//! `netdrop status`: an agent's state, as Hubble's client prints a server's.

use std::io::Write;

use crate::balance::{self, Row};
use crate::proto::observer::{DropBalance, ServerStatusResponse};
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
    if let Some(table) = drops(status) {
        write!(out, "\n{table}")?;
    }
    Ok(())
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
}
