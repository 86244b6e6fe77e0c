//! `netdrop list` and `netdrop watch`: what a server knows of nodes, namespaces and peers, as Hubble's client prints it.

use std::io::Write;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use tabwriter::TabWriter;

use super::numbers::{duration, long, percent, rate};
use super::server_flags::ServerFlags;
use crate::proto::observer::{Namespace, Node};
use crate::proto::peer::ChangeNotification;
use crate::proto::relay::NodeState;
use crate::sink::escape;

/// What to list.
#[derive(Clone, Debug, Subcommand)]
pub enum List {
    /// Nodes, and how they are
    #[command(alias = "node")]
    Nodes(ListArgs),
    /// Namespaces that flows were seen of
    Namespaces(ListArgs),
}

/// What to watch.
#[derive(Clone, Debug, Subcommand)]
pub enum Watch {
    /// Nodes that come and go, as a server's peer service tells
    #[command(alias = "peer")]
    Peers(WatchArgs),
}

/// What was typed after `netdrop list ...`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// json, table or wide
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: String,
    /// The server
    #[command(flatten)]
    pub server: ServerFlags,
}

/// What was typed after `netdrop watch ...`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// The server
    #[command(flatten)]
    pub server: ServerFlags,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// JSON.
    Json,
    /// Columns.
    Table,
    /// More columns.
    Wide,
}

impl ListFormat {
    /// By the name that was typed.
    pub fn from_name(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "json" => Self::Json,
            "table" => Self::Table,
            "wide" => Self::Wide,
            _ => bail!("unknown output format: {name}; want json, table or wide"),
        })
    }
}

const NONE: &str = "N/A";

/// Nodes, by name.
pub fn nodes(mut nodes: Vec<Node>, format: ListFormat, out: &mut impl Write) -> anyhow::Result<()> {
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    if format == ListFormat::Json {
        return json(&nodes.iter().map(NodeJson::from).collect::<Vec<_>>(), out);
    }
    let wide = format == ListFormat::Wide;
    let mut table = TabWriter::new(out).padding(3);
    write!(table, "NAME\tSTATUS\tAGE\tFLOWS/S\tCURRENT/MAX-FLOWS")?;
    writeln!(table, "{}", if wide { "\tVERSION\tADDRESS\tTLS" } else { "" })?;
    for node in &nodes {
        write!(table, "{}", node_row(node))?;
        if wide {
            let version = if node.version.is_empty() { NONE.into() } else { escape(&node.version) };
            let tls = match &node.tls {
                None => NONE,
                Some(tls) if tls.enabled => "Enabled",
                Some(_) => "Disabled",
            };
            write!(table, "\t{version}\t{}\t{tls}", escape(&node.address))?;
        }
        writeln!(table)?;
    }
    table.flush()?;
    Ok(())
}

fn node_row(node: &Node) -> String {
    const SECOND: u64 = 1_000_000_000;
    // To the nearest second, as its age is.
    let uptime = node.uptime_ns.saturating_add(SECOND / 2) / SECOND * SECOND;
    let (age, per_second) = match uptime {
        0 => (NONE.to_owned(), NONE.to_owned()),
        _ => (duration(uptime), format!("{:.2}", rate(node.seen_flows, uptime))),
    };
    let flows = match node.max_flows {
        0 => NONE.to_owned(),
        most => format!("{}/{most} ({:6.2}%)", node.num_flows, percent(node.num_flows, most)),
    };
    let state = match node.state() {
        NodeState::UnknownNodeState => "Unknown",
        NodeState::NodeConnected => "Connected",
        NodeState::NodeUnavailable => "Unavailable",
        NodeState::NodeGone => "Gone",
        NodeState::NodeError => "Error",
    };
    format!("{}\t{state}\t{age}\t{per_second}\t{flows}", escape(&node.name))
}

/// Namespaces, in the server's order.
pub fn namespaces(namespaces: &[Namespace], format: ListFormat, out: &mut impl Write) -> anyhow::Result<()> {
    if format == ListFormat::Json {
        let all = namespaces.iter().map(|n| NamespaceJson { cluster: &n.cluster, namespace: &n.namespace });
        return json(&all.collect::<Vec<_>>(), out);
    }
    let wide = format == ListFormat::Wide;
    let mut table = TabWriter::new(out).padding(3);
    writeln!(table, "NAMESPACE{}", if wide { "\tCLUSTER" } else { "" })?;
    for Namespace { cluster, namespace } in namespaces {
        write!(table, "{}", escape(namespace))?;
        if wide && !cluster.is_empty() {
            write!(table, "\t{}", escape(cluster))?;
        }
        writeln!(table)?;
    }
    table.flush()?;
    Ok(())
}

/// A change of peers.
pub fn peer(change: &ChangeNotification, out: &mut impl Write) -> std::io::Result<()> {
    let (address, name) = (escape(&change.address), escape(&change.name));
    write!(out, "{:<12} {address} {name}", change.r#type().as_str_name())?;
    if let Some(tls) = &change.tls {
        write!(out, " (TLS.ServerName: {})", escape(&tls.server_name))?;
    }
    writeln!(out)
}

fn json(list: &[impl Serialize], out: &mut impl Write) -> anyhow::Result<()> {
    // An absent list is null, as the client has it.
    serde_json::to_writer_pretty(&mut *out, &Some(list).filter(|list| !list.is_empty()))?;
    writeln!(out)?;
    Ok(())
}

/// A node as protobuf's JSON is: what is unset is left out, and numbers of 64 bits are texts.
#[derive(Serialize)]
struct NodeJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_ns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_flows: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_flows: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_flows: Option<String>,
}

#[derive(Serialize)]
struct TlsJson<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    enabled: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    server_name: &'a str,
}

impl<'a> From<&'a Node> for NodeJson<'a> {
    fn from(node: &'a Node) -> Self {
        let tls = node.tls.as_ref();
        Self {
            name: &node.name,
            version: &node.version,
            address: &node.address,
            state: (node.state != 0).then(|| node.state().as_str_name()),
            tls: tls.map(|tls| TlsJson { enabled: tls.enabled, server_name: &tls.server_name }),
            uptime_ns: long(node.uptime_ns),
            num_flows: long(node.num_flows),
            max_flows: long(node.max_flows),
            seen_flows: long(node.seen_flows),
        }
    }
}

#[derive(Serialize)]
struct NamespaceJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    cluster: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
}
