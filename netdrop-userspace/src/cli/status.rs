//! `netdrop status`: a server's state, as Hubble's client prints it; and, of netdrop's servers, what became of all drops.

use std::fmt;
use std::io::Write;

use anyhow::bail;
use serde::Serialize;
use serde_json::Number;
use tabwriter::TabWriter;

use super::numbers::{duration, grouped, long, percent, rate};
use crate::balance::{self, Row};
use crate::convert::time_from_wire;
use crate::proto::observer::{DropBalance, Ring, ServerStatusResponse};
use crate::sink::escape;

/// How to print it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusOutput {
    /// Sentences.
    #[default]
    Compact,
    /// A key and its value a line.
    Dict,
    /// JSON.
    Json,
    /// Columns.
    Table,
}

impl StatusOutput {
    /// By the name that was typed.
    pub fn from_name(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "compact" => Self::Compact,
            "dict" => Self::Dict,
            "json" | "JSON" | "jsonpb" => Self::Json,
            "tab" | "table" => Self::Table,
            _ => bail!("invalid output format: {name}; want compact, dict, json or table"),
        })
    }
}

/// Health, before anything else.
pub fn write_health(server: &impl fmt::Display, status: &str, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "Healthcheck (via {server}): {status}")
}

/// The numbers.
pub fn write(
    status: &ServerStatusResponse,
    output: StatusOutput,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    match output {
        StatusOutput::Compact => compact(status, out),
        StatusOutput::Dict => dict(status, out),
        StatusOutput::Json => Ok(writeln!(out, "{}", serde_json::to_string(&json(status))?)?),
        StatusOutput::Table => table(status, out),
    }
}

const NONE: &str = "N/A";

fn own_rate(status: &ServerStatusResponse) -> Option<String> {
    (status.flows_rate > 0.0).then(|| format!("{:.2}", status.flows_rate))
}

fn compact(status: &ServerStatusResponse, out: &mut impl Write) -> anyhow::Result<()> {
    let (len, most) = (status.num_flows, status.max_flows);
    write!(out, "Current/Max Flows: {}/{}", grouped(len), grouped(most))?;
    if most > 0 {
        write!(out, " ({:.2}%)", percent(len, most))?;
    }
    // The server's own rate, else the mean since its start.
    let mean = || (status.uptime_ns > 0).then(|| format!("{:.2}", rate(status.seen_flows, status.uptime_ns)));
    writeln!(out, "\nFlows/s: {}", own_rate(status).or_else(mean).as_deref().unwrap_or(NONE))?;
    if let Some(connected) = status.num_connected_nodes {
        write!(out, "Connected Nodes: {connected}")?;
        if let Some(unavailable) = status.num_unavailable_nodes {
            write!(out, "/{}", connected.saturating_add(unavailable))?;
        }
        writeln!(out)?;
    }
    if let Some(number) = status.num_unavailable_nodes.filter(|n| *n > 0) {
        writeln!(out, "Unavailable Nodes: {number}")?;
        let mut names: Vec<_> = status.unavailable_nodes.iter().map(|name| escape(name)).collect();
        names.sort_unstable();
        for name in &names {
            writeln!(out, "  - {name}")?;
        }
        let more = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(names.len());
        if more > 0 && !names.is_empty() {
            writeln!(out, "  - and {more} more...")?;
        }
    }
    for (what, ring) in history(status) {
        if let Some(oldest) = ring.oldest.as_ref().and_then(time_from_wire) {
            let (bytes, most) = (ring.bytes >> 10, ring.max_bytes >> 10);
            writeln!(out, "{what} since: {oldest:.0} ({} of {} KiB)", grouped(bytes), grouped(most))?;
        }
    }
    if let Some(number) = status.history.as_ref().map(|h| h.not_on_disk).filter(|n| *n > 0) {
        let what = "observations that the disk did not take, or that are damaged there";
        writeln!(out, "Not on disk: {} {what}", grouped(number))?;
    }
    if let Some(table) = drops(status) {
        write!(out, "\n{table}")?;
    }
    Ok(())
}

fn dict(status: &ServerStatusResponse, out: &mut impl Write) -> anyhow::Result<()> {
    for (key, value) in [
        ("NUM FLOWS", grouped(status.num_flows)),
        ("MAX FLOWS", grouped(status.max_flows)),
        ("SEEN FLOWS", grouped(status.seen_flows)),
        ("FLOWS PER SECOND", own_rate(status).unwrap_or_else(|| NONE.to_owned())),
        ("UPTIME", duration(status.uptime_ns)),
        ("NUM CONNECTED NODES", or_none(status.num_connected_nodes)),
        ("NUM UNAVAIL. NODES", or_none(status.num_unavailable_nodes)),
        ("VERSION", escape(&status.version).into_owned()),
    ] {
        writeln!(out, "{key:>19}: {value}")?;
    }
    Ok(())
}

fn or_none(n: Option<u32>) -> String {
    n.map_or_else(|| NONE.to_owned(), |n| n.to_string())
}

fn table(status: &ServerStatusResponse, out: &mut impl Write) -> anyhow::Result<()> {
    let mut table = TabWriter::new(out).padding(3);
    writeln!(
        table,
        "NUM FLOWS\tMAX FLOWS\tSEEN FLOWS\tFLOWS PER SECOND\tUPTIME\tNUM CONNECTED NODES\tNUM UNAVAILABLE NODES\tVERSION"
    )?;
    writeln!(
        table,
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        grouped(status.num_flows),
        grouped(status.max_flows),
        grouped(status.seen_flows),
        own_rate(status).unwrap_or_else(|| NONE.to_owned()),
        duration(status.uptime_ns),
        or_none(status.num_connected_nodes),
        or_none(status.num_unavailable_nodes),
        escape(&status.version)
    )?;
    table.flush()?;
    Ok(())
}

/// As protobuf's JSON is: what is unset is left out, and numbers of 64 bits are texts. Only what Hubble's message has: who reads it by
/// that definition refuses a name that is not in it. What became of drops is in the sentences and in the agent's metrics.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    num_flows: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_flows: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_flows: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_ns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_connected_nodes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_unavailable_nodes: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    unavailable_nodes: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flows_rate: Option<Number>,
}

fn json(status: &ServerStatusResponse) -> Json<'_> {
    Json {
        num_flows: long(status.num_flows),
        max_flows: long(status.max_flows),
        seen_flows: long(status.seen_flows),
        uptime_ns: long(status.uptime_ns),
        num_connected_nodes: status.num_connected_nodes,
        num_unavailable_nodes: status.num_unavailable_nodes,
        unavailable_nodes: &status.unavailable_nodes,
        version: &status.version,
        flows_rate: (status.flows_rate != 0.0).then(|| number(status.flows_rate)).flatten(),
    }
}

/// Whole numbers without a point.
fn number(rate: f64) -> Option<Number> {
    let whole = || format!("{rate:.0}").parse::<u64>().ok().map(Number::from);
    let is_whole = rate.fract() == 0.0 && (0.0..1e15).contains(&rate);
    is_whole.then(whole).flatten().or_else(|| Number::from_f64(rate))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(status: &ServerStatusResponse, output: StatusOutput) -> String {
        let mut out = Vec::new();
        write(status, output, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_the_client_prints_it() {
        let status = ServerStatusResponse {
            num_flows: 20,
            max_flows: 8190,
            seen_flows: 30,
            uptime_ns: 10_000_000_000,
            ..ServerStatusResponse::default()
        };
        assert_eq!(
            printed(&status, StatusOutput::Compact),
            "Current/Max Flows: 20/8,190 (0.24%)\nFlows/s: 3.00\n"
        );
        let empty = ServerStatusResponse::default();
        assert_eq!(printed(&empty, StatusOutput::Compact), "Current/Max Flows: 0/0\nFlows/s: N/A\n");
        assert_eq!(printed(&empty, StatusOutput::Json), "{}\n");
    }

    /// What only netdrop's servers tell stands behind all that Hubble's client prints, and only in sentences.
    #[test]
    fn what_is_netdrops_own_stays_out_of_the_way() {
        let plain = ServerStatusResponse { num_flows: 3, max_flows: 9, ..ServerStatusResponse::default() };
        let drops = vec![DropBalance { drops: 7, shown: 7, ..DropBalance::default() }];
        let oldest = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 });
        let ring = Some(Ring { oldest, ..Ring::default() });
        let history = Some(crate::proto::observer::History { drops: ring, ..Default::default() });
        let ours = ServerStatusResponse { drops, history, ..plain.clone() };
        for output in [StatusOutput::Json, StatusOutput::Dict, StatusOutput::Table] {
            assert_eq!(printed(&ours, output), printed(&plain, output), "{output:?}");
        }
        let (ours, plain) = (printed(&ours, StatusOutput::Compact), printed(&plain, StatusOutput::Compact));
        assert!(ours.len() > plain.len() && ours.starts_with(&plain), "{ours}");
    }

    #[test]
    fn nodes_out_of_reach_are_named() {
        let status = ServerStatusResponse {
            num_connected_nodes: Some(2),
            num_unavailable_nodes: Some(3),
            unavailable_nodes: vec!["b".into(), "a\u{1b}[2J".into()],
            ..ServerStatusResponse::default()
        };
        let text = printed(&status, StatusOutput::Compact);
        assert!(
            text.ends_with(
                "Connected Nodes: 2/5\nUnavailable Nodes: 3\n  - a^[[2J\n  - b\n  - and 1 more...\n"
            ),
            "{text}"
        );
    }
    #[test]
    fn how_far_back_one_can_look() {
        let oldest = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 });
        let drops = Some(Ring { observations: 9, oldest, bytes: 2 << 20, max_bytes: 64 << 20 });
        let mut history = crate::proto::observer::History { drops, ..Default::default() };
        let text = |history: &_| {
            let history = Some(Clone::clone(history));
            printed(&ServerStatusResponse { history, ..Default::default() }, StatusOutput::Compact)
        };
        let whole = text(&history);
        assert!(whole.ends_with("\nDrops since: 2023-11-14T22:13:20Z (2,048 of 65,536 KiB)\n"), "{whole}");
        history.not_on_disk = 1234;
        let lacking = text(&history);
        assert!(lacking.contains("KiB)\nNot on disk: 1,234 observations that"), "{lacking}");
    }
}
