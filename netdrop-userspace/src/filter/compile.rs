//! A filter with all its values parsed.

use thiserror::Error;

use super::glob::glob;
use super::side::Side;
use super::spec::{EventTypeFilter, FlowFilter, InterfaceFilter, TcpFlagsFilter};
use crate::flow::{Flow, L4, TcpFlags, TrafficDirection, Verdict, hubble};
use crate::kernel::reasons::bare_name;

/// A value of a filter that makes no sense.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct FilterError(pub String);

/// A protocol of `--protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Sctp,
    Icmp,
    IcmpV4,
    IcmpV6,
    Vrrp,
    Igmp,
    /// A protocol of layer 7, which no drop has.
    L7,
}

/// One filter.
#[derive(Clone, Debug, Default)]
pub(super) struct One {
    pub(super) source: Side,
    pub(super) destination: Side,
    pub(super) verdict: Vec<Verdict>,
    pub(super) reason: Vec<String>,
    pub(super) netns: Vec<u32>,
    pub(super) protocol: Vec<Protocol>,
    pub(super) interface: Vec<InterfaceFilter>,
    drop_reason_desc: Vec<i32>,
    event_type: Vec<EventTypeFilter>,
    reply: Vec<bool>,
    direction: Vec<TrafficDirection>,
    tcp_flags: Vec<TcpFlags>,
    node_name: Vec<String>,
    ip_version: Vec<u8>,
    uuid: Vec<String>,
}

/// Parses all values of a field.
pub(super) fn each<T, R>(
    values: &[T],
    parse: impl Fn(&T) -> Result<R, FilterError>,
) -> Result<Vec<R>, FilterError> {
    values.iter().map(parse).collect()
}

/// Whether an empty field, or one of its values, lets the flow pass.
pub(super) fn any<T>(values: &[T], matches: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(matches)
}

impl One {
    pub(super) fn new(f: &FlowFilter) -> Result<Self, FilterError> {
        Ok(Self {
            source: Side::source(f)?,
            destination: Side::destination(f)?,
            verdict: each(&f.verdict, |v| verdict(v))?,
            reason: f.reason.iter().map(|r| bare_name(r)).collect(),
            netns: f.netns.clone(),
            protocol: each(&f.protocol, |p| protocol(p))?,
            interface: f.interface.clone(),
            drop_reason_desc: each(&f.drop_reason_desc, |d| drop_reason(d))?,
            event_type: f.event_type.clone(),
            reply: f.reply.clone(),
            direction: each(&f.traffic_direction, |d| direction(d))?,
            tcp_flags: f.tcp_flags.iter().map(flags).collect(),
            node_name: f.node_name.clone(),
            ip_version: each(&f.ip_version, |v| ip_version(v))?,
            uuid: f.uuid.clone(),
        })
    }

    pub(super) fn matches(&self, flow: &Flow) -> bool {
        any(&self.verdict, |v| *v == flow.verdict)
            && any(&self.reason, |r| flow.reason.as_ref().is_some_and(|have| reason_matches(r, &have.name)))
            && any(&self.netns, |n| flow.netns.as_ref().is_some_and(|have| have.inode == *n))
            && any(&self.protocol, |p| protocol_matches(*p, flow))
            && any(&self.interface, |i| interface_matches(i, flow))
            && any(&self.drop_reason_desc, |d| {
                flow.verdict == Verdict::Dropped && *d == flow.drop_reason_desc
            })
            && any(&self.event_type, |t| event_type_matches(*t, flow))
            && any(&self.reply, |r| reply_matches(*r, flow))
            && any(&self.direction, |d| *d == flow.direction)
            && any(
                &self.tcp_flags,
                |t| matches!(flow.packet.l4, Some(L4::Tcp { flags, .. }) if flags.contains(*t)),
            )
            && any(&self.node_name, |n| flow.node_name.as_ref().is_some_and(|have| node_matches(n, have)))
            && any(&self.ip_version, |v| *v == version_of(flow))
            && any(&self.uuid, |u| flow.uuid.is_some_and(|have| have.to_string() == *u))
            && self.source.matches(flow)
            && self.destination.matches(flow)
    }
}

fn reason_matches(pattern: &str, name: &str) -> bool {
    if name.bytes().any(|b| b.is_ascii_lowercase()) {
        return glob(pattern, &name.to_ascii_uppercase());
    }
    glob(pattern, name)
}

fn verdict(name: &str) -> Result<Verdict, FilterError> {
    Verdict::ALL
        .into_iter()
        .find(|v| v.name() == name || (*v as i32).to_string() == name)
        .ok_or_else(|| FilterError(format!("invalid verdict filter: unknown verdict: {name:?}")))
}

fn protocol(name: &str) -> Result<Protocol, FilterError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        "icmp" => Protocol::Icmp,
        "icmpv4" => Protocol::IcmpV4,
        "icmpv6" => Protocol::IcmpV6,
        "vrrp" => Protocol::Vrrp,
        "igmp" => Protocol::Igmp,
        "dns" | "http" | "kafka" => Protocol::L7,
        _ => return Err(FilterError(format!("invalid protocol filter: unknown protocol: {name:?}"))),
    })
}

fn protocol_matches(p: Protocol, flow: &Flow) -> bool {
    let l4 = flow.packet.l4;
    match p {
        Protocol::Tcp => matches!(l4, Some(L4::Tcp { .. })),
        Protocol::Udp => matches!(l4, Some(L4::Udp { .. })),
        Protocol::Sctp => matches!(l4, Some(L4::Sctp { .. })),
        Protocol::Icmp => matches!(l4, Some(L4::Icmpv4(_) | L4::Icmpv6(_))),
        Protocol::IcmpV4 => matches!(l4, Some(L4::Icmpv4(_))),
        Protocol::IcmpV6 => matches!(l4, Some(L4::Icmpv6(_))),
        Protocol::Vrrp => matches!(l4, Some(L4::Vrrp { .. })),
        Protocol::Igmp => matches!(l4, Some(L4::Igmp { .. })),
        Protocol::L7 => false,
    }
}

fn interface_matches(want: &InterfaceFilter, flow: &Flow) -> bool {
    flow.interface.as_ref().is_some_and(|have| {
        (want.index == 0 || want.index == have.index)
            && (want.name.is_empty() || have.name.as_deref() == Some(want.name.as_str()))
    })
}

fn drop_reason(name: &str) -> Result<i32, FilterError> {
    hubble::drop_reason_number(name)
        .or_else(|| name.parse().ok())
        .ok_or_else(|| FilterError(format!("invalid drop reason filter: unknown drop reason: {name:?}")))
}

fn event_type_matches(want: EventTypeFilter, flow: &Flow) -> bool {
    want.kind == flow.event_type.kind && (!want.match_sub_type || want.sub_type == flow.event_type.sub_type)
}

/// A drop does not know its direction in the connection; Hubble's UI asks for `reply: [false]` and wants to see it.
fn reply_matches(want: bool, flow: &Flow) -> bool {
    match flow.is_reply {
        Some(reply) => reply == want,
        None => flow.verdict == Verdict::Dropped && !want,
    }
}

fn direction(name: &str) -> Result<TrafficDirection, FilterError> {
    Ok(match name {
        "TRAFFIC_DIRECTION_UNKNOWN" | "0" => TrafficDirection::Unknown,
        "INGRESS" | "1" => TrafficDirection::Ingress,
        "EGRESS" | "2" => TrafficDirection::Egress,
        _ => {
            return Err(FilterError(format!(
                "invalid traffic direction filter: unknown direction: {name:?}"
            )));
        }
    })
}

fn flags(f: &TcpFlagsFilter) -> TcpFlags {
    let set = [f.fin, f.syn, f.rst, f.psh, f.ack, f.urg, f.ece, f.cwr, f.ns];
    TcpFlags((0u16..).zip(set).filter(|(_, on)| *on).fold(0, |bits, (i, _)| bits | 1 << i))
}

/// 0 for a flow without IP.
fn ip_version(name: &str) -> Result<u8, FilterError> {
    Ok(match name {
        "IP_NOT_USED" | "0" => 0,
        "IPv4" | "1" => 4,
        "IPv6" | "2" => 6,
        _ => return Err(FilterError(format!("invalid IP version filter: unknown version: {name:?}"))),
    })
}

fn version_of(flow: &Flow) -> u8 {
    flow.packet.ip.map_or(0, |ip| if ip.source.is_ipv4() { 4 } else { 6 })
}

/// `[cluster/]node`: a pattern without a cluster matches any, a node without one is in `default`.
fn node_matches(pattern: &str, node: &str) -> bool {
    let (cluster, name) = node.split_once('/').unwrap_or(("default", node));
    match pattern.split_once('/') {
        Some((want, pattern)) => glob(want, cluster) && glob(pattern, name),
        None => glob(pattern, name),
    }
}
