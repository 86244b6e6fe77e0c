//! Which part of a flow a question looks at, and at nothing else.

use super::compile::Ask;
use super::fields::{Labelled, Side, Which};

/// A part of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Fields of few values, and whether others are there. Of the ends numbers and services, but no other names.
    Likeness,
    /// Names and labels of an end.
    End(Side),
    Process,
    Address(Side),
    /// A port, and which protocol's it is.
    Port(Side),
    /// The transport header.
    L4,
    /// Addresses beside each other, or beside the transport header.
    Headers,
    /// Names of both ends, or of one beside fields of few values.
    Names,
    Summary,
    Time,
    Uuid,
    /// More than one of them, or something else.
    Whole,
}

/// Fields of few values, and what is never set; also all that is within.
const FEW: [&[&str]; 29] = [
    &["verdict"],
    &["drop_reason"],
    &["drop_reason_desc"],
    &["event_type"],
    &["Type"],
    &["traffic_direction"],
    &["is_reply"],
    &["node_name"],
    &["interface"],
    &["source_service"],
    &["destination_service"],
    &["source_names"],
    &["destination_names"],
    &["IP", "ipVersion"],
    &["l4", "TCP", "flags"],
    &["source", "ID"],
    &["source", "identity"],
    &["destination", "ID"],
    &["destination", "identity"],
    &["l7"],
    &["reply"],
    &["tunnel"],
    &["trace_context"],
    &["node_labels"],
    &["ip_trace_id"],
    &["IP", "source_xlated"],
    &["IP", "encrypted"],
    &["source", "cluster_name"],
    &["destination", "cluster_name"],
];

impl Part {
    pub(super) fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Pid(_) | Ask::Comm(_) => Self::Process,
            Ask::Address(Which::Source, _) => Self::Address(Side::Source),
            Ask::Address(Which::Destination, _) => Self::Address(Side::Destination),
            Ask::Port(side, _) => Self::Port(*side),
            Ask::Pod(side, _) | Ask::Workload(side, _) => Self::End(*side),
            Ask::Label(Labelled::Source, _) => Self::End(Side::Source),
            Ask::Label(Labelled::Destination, _) => Self::End(Side::Destination),
            Ask::Uuid(_) => Self::Uuid,
            Ask::Expression(_) | Ask::NotBenign => Self::Whole,
            Ask::Verdict(_)
            | Ask::Reason(_)
            | Ask::Netns(_)
            | Ask::Site(_)
            | Ask::EventType(_)
            | Ask::DropReason(_)
            | Ask::Reply(_)
            | Ask::Identity(..)
            | Ask::Protocol(_)
            | Ask::Service(..)
            | Ask::Fqdn(..)
            | Ask::TcpFlags(_)
            | Ask::NodeName(_)
            | Ask::IpVersion(_)
            | Ask::Direction(_)
            | Ask::Interface(_)
            // What no flow of this machine has is the same for all.
            | Ask::Address(Which::SourceTranslated, _)
            | Ask::Label(Labelled::Node, _)
            | Ask::Encrypted(_)
            | Ask::DnsQuery(_)
            | Ask::HttpStatus(_)
            | Ask::HttpMethod(_)
            | Ask::HttpPath(_)
            | Ask::HttpUrl(_)
            | Ask::HttpHeader(_)
            | Ask::Cluster(..)
            | Ask::TraceId(_)
            | Ask::IpTraceId(_) => Self::Likeness,
        }
    }

    /// Of a field of the API's flow, given the names that lead to it; `has`: only whether it is set.
    pub(super) fn of_field(names: &[&str], has: bool) -> Self {
        let side = |name: &str| if name == "source" { Side::Source } else { Side::Destination };
        match names {
            names if FEW.iter().any(|few| names.starts_with(few)) => Self::Likeness,
            ["IP" | "source" | "destination" | "l4"] | ["l4", _] if has => Self::Likeness,
            ["IP", name @ ("source" | "destination")] => Self::Address(side(name)),
            [name @ ("source" | "destination"), "namespace" | "pod_name" | "labels" | "workloads", ..] => {
                Self::End(side(name))
            }
            ["l4", _, "source_port"] => Self::Port(Side::Source),
            ["l4", _, "destination_port"] => Self::Port(Side::Destination),
            ["l4", ..] => Self::L4,
            ["Summary"] => Self::Summary,
            ["time"] => Self::Time,
            // Also of one that is not there.
            [
                "extensions",
                "kernel_reason" | "kernel_reason_code" | "subsystem" | "site" | "netns" | "netns_name",
            ] => Self::Likeness,
            ["extensions", "comm" | "pid" | "tid" | "process_owner"] => Self::Process,
            _ => Self::Whole,
        }
    }

    /// Of what looks at both.
    pub(super) fn and(self, other: Self) -> Self {
        let is_l4 = |part| matches!(part, Self::Port(_) | Self::L4);
        let is_header = |part| is_l4(part) || matches!(part, Self::Address(_) | Self::Headers);
        let is_named = |part| matches!(part, Self::Likeness | Self::End(_) | Self::Names);
        match (self, other) {
            (a, b) if a == b => a,
            (a, b) if is_l4(a) && is_l4(b) => Self::L4,
            (a, b) if is_header(a) && is_header(b) => Self::Headers,
            (a, b) if is_named(a) && is_named(b) => Self::Names,
            _ => Self::Whole,
        }
    }
}
