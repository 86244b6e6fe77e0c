//! Hubble's metrics, of drops. Where Hubble counts forwarded packets alone (ports, TCP flags, SCTP chunks), netdrop, which sees
//! no others, counts the dropped ones.

use std::sync::Arc;

use super::family::{Family, Shape, What};
use super::spec::{Kind, MetricSpec};
use crate::explain;
use crate::filter::{Compiled, FilterError};
use crate::flow::{Flow, L4, TcpFlags, Verdict, hubble, icmp_type};

/// One metric at work.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) spec: MetricSpec,
    filter: Compiled,
    /// Benign drops count where the filters name reasons.
    benign: bool,
    pub(super) family: Family,
}

/// Hubble's numbers of event types.
mod event {
    pub(super) const DROP: i32 = 1;
    pub(super) const CAPTURE: i32 = 3;
    pub(super) const TRACE: i32 = 4;
    pub(super) const POLICY_VERDICT: i32 = 5;
    pub(super) const L7: i32 = 129;
}

/// Hubble's number of a drop by policy.
const POLICY_DENIED: i32 = 133;
const WORLD: &str = "reserved:world";

const PROTOCOLS: [&str; 9] =
    ["Unknown flow", "Unknown L4", "TCP", "UDP", "ICMPv4", "ICMPv6", "SCTP", "VRRP", "IGMP"];

/// Place in [`PROTOCOLS`].
fn protocol(flow: &Flow) -> u64 {
    if !matches!(flow.event_type.kind, event::DROP | event::CAPTURE | event::TRACE | event::POLICY_VERDICT) {
        return 0;
    }
    match flow.packet.l4 {
        None => 1,
        Some(L4::Tcp { .. }) => 2,
        Some(L4::Udp { .. }) => 3,
        Some(L4::Icmpv4(_)) => 4,
        Some(L4::Icmpv6(_)) => 5,
        Some(L4::Sctp { .. }) => 6,
        Some(L4::Vrrp { .. }) => 7,
        Some(L4::Igmp { .. }) => 8,
    }
}

/// Flags that are counted; a SYN with an ACK is something else than one without.
const FLAGS: [&str; 4] = ["FIN", "SYN", "SYN-ACK", "RST"];
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

fn family(flow: &Flow) -> Option<u64> {
    flow.packet.ip.map(|ip| u64::from(ip.source.is_ipv6()))
}

impl Handler {
    pub(super) fn new(spec: MetricSpec, most: usize) -> Result<Self, FilterError> {
        let filter = explain::compile_asking(&spec.filters)?;
        let family = Family::new(shape(&spec), &spec.context, most);
        let benign = explain::is_asked_for(&spec.filters);
        Ok(Self { spec, filter, benign, family })
    }

    pub(super) fn add(&mut self, flow: &Flow) {
        if flow.benign && !self.benign || !self.filter.is_empty() && !self.filter.matches(flow) {
            return;
        }
        let meaning = self.spec.kind;
        match self.spec.kind {
            Kind::Drop if flow.verdict == Verdict::Dropped => {
                let reason = u64::from(flow.drop_reason_desc.cast_unsigned());
                self.family.add(flow, reason << 8 | protocol(flow), &meaning);
            }
            Kind::Flow => {
                let event = flow.event_type;
                let [kind, sub_type] = [event.kind, event.sub_type].map(|n| u64::from(n.to_le_bytes()[0]));
                let verdict = u64::from((flow.verdict as i32).cast_unsigned());
                self.family.add(flow, kind << 24 | sub_type << 16 | verdict << 8 | protocol(flow), &meaning);
            }
            Kind::PortDistribution => {
                if let Some(l4) = flow.packet.l4 {
                    self.family.add(flow, port(l4) << 8 | protocol(flow), &meaning);
                }
            }
            Kind::Tcp => self.tcp(flow),
            Kind::Icmp => {
                let (family, message) = match flow.packet.l4 {
                    Some(L4::Icmpv4(message)) => (0, message),
                    Some(L4::Icmpv6(message)) => (1, message),
                    _ => return,
                };
                let what = family << 16 | u64::from(message.kind) << 8 | u64::from(message.code);
                self.family.add(flow, what, &meaning);
            }
            Kind::Sctp => {
                if let (Some(family), Some(L4::Sctp { chunk_type: Some(chunk), .. })) =
                    (family(flow), flow.packet.l4)
                {
                    self.family.add(flow, u64::from(chunk) << 8 | family, &meaning);
                }
            }
            Kind::FlowsToWorld => self.world(flow),
            Kind::Drop | Kind::Unseen(_) => {}
        }
    }

    fn tcp(&mut self, flow: &Flow) {
        let (Some(family), Some(L4::Tcp { flags, .. })) = (family(flow), flow.packet.l4) else { return };
        let [fin, syn, rst, ack] = [1, 2, 4, 16].map(|bit| flags.contains(TcpFlags(bit)));
        for (at, is) in (0..).zip([fin, syn && !ack, syn && ack, rst]) {
            if is {
                self.family.add(flow, at << 8 | family, &self.spec.kind);
            }
        }
    }

    fn world(&mut self, flow: &Flow) {
        let Some(l4) = flow.packet.l4 else { return };
        let to_world = flow.destination.labels().iter().any(|l| **l == *WORLD);
        let by_policy = flow.drop_reason_desc == POLICY_DENIED;
        let dropped = flow.verdict == Verdict::Dropped;
        let reply = flow.is_reply == Some(true);
        let syn = matches!(l4, L4::Tcp { flags, .. } if flags.contains(TcpFlags(2)));
        if !to_world
            || dropped && !self.spec.any_drop && !by_policy
            || !dropped && reply
            || self.spec.syn_only && (!syn || reply)
        {
            return;
        }
        let verdict = u64::from((flow.verdict as i32).cast_unsigned());
        // A port of its own for what has none: it has no text.
        let port = match l4.ports() {
            Some((_, to)) if self.spec.port => u64::from(to) + 1,
            _ => 0,
        };
        let meaning = World { port: self.spec.port };
        self.family.add(flow, port << 16 | verdict << 8 | protocol(flow), &meaning);
    }
}

fn port(l4: L4) -> u64 {
    l4.ports().map_or(0, |(_, to)| to.into())
}

/// Names, help texts and labels are Hubble's.
fn shape(spec: &MetricSpec) -> Shape {
    let shape = |name, help, what_names| Shape { name, help, what_names, context_first: false };
    match spec.kind {
        Kind::Drop => {
            Shape { context_first: true, ..shape("hubble_drop", "Number of drops", &["reason", "protocol"]) }
        }
        Kind::Flow => shape(
            "hubble_flows_processed",
            "Total number of flows processed",
            &["protocol", "type", "subtype", "verdict"],
        ),
        Kind::PortDistribution => shape(
            "hubble_port_distribution",
            "Numbers of packets distributed by destination port",
            &["protocol", "port"],
        ),
        Kind::Tcp => shape("hubble_tcp_flags", "TCP flag occurrences", &["flag", "family"]),
        Kind::Icmp => shape("hubble_icmp", "Number of ICMP messages", &["family", "type"]),
        Kind::Sctp => {
            shape("hubble_sctp_chunk_types", "SCTP chunk type occurrences", &["chunk_type", "family"])
        }
        Kind::FlowsToWorld => shape(
            "hubble_flows_to_world",
            "Total number of flows to reserved:world",
            if spec.port { &["protocol", "verdict", "port"] } else { &["protocol", "verdict"] },
        ),
        Kind::Unseen(_) => shape("", "", &[]),
    }
}

/// A byte of what was put together.
fn byte(what: u64, at: u32) -> u8 {
    what.to_le_bytes()[at as usize]
}

fn name_of<const N: usize>(names: [&'static str; N], at: u8) -> Arc<str> {
    names.get(usize::from(at)).copied().unwrap_or_default().into()
}

fn verdict_name(number: u8) -> Arc<str> {
    Verdict::ALL.get(usize::from(number)).map_or("", |v| v.name()).into()
}

impl What for Kind {
    fn values(&self, what: u64, values: &mut Vec<Arc<str>>) {
        match self {
            Kind::Drop => {
                let reason = i32::try_from(what >> 8 & u64::from(u32::MAX)).unwrap_or(i32::MAX);
                let number = || reason.to_string().into();
                values.push(hubble::drop_reason_name(reason).map_or_else(number, Arc::from));
                values.push(name_of(PROTOCOLS, byte(what, 0)));
            }
            Kind::Flow => {
                values.push(name_of(PROTOCOLS, byte(what, 0)));
                let [kind, subtype] = flow_type(byte(what, 3), byte(what, 2));
                values.extend([kind, subtype, verdict_name(byte(what, 1))]);
            }
            Kind::PortDistribution => {
                values.extend([name_of(PROTOCOLS, byte(what, 0)), (what >> 8).to_string().into()]);
            }
            Kind::Tcp => values.extend([name_of(FLAGS, byte(what, 1)), name_of(FAMILIES, byte(what, 0))]),
            Kind::Icmp => {
                let message = icmp_type(byte(what, 2) == 1, byte(what, 1), byte(what, 0));
                values.extend([name_of(FAMILIES, byte(what, 2)), message.into()]);
            }
            Kind::Sctp => values.extend([chunk_name(byte(what, 1)), name_of(FAMILIES, byte(what, 0))]),
            Kind::FlowsToWorld | Kind::Unseen(_) => {}
        }
    }
}

fn flow_type(kind: u8, sub_type: u8) -> [Arc<str>; 2] {
    let (kind, sub_type) = match i32::from(kind) {
        event::L7 => ("L7", ""),
        event::DROP => ("Drop", ""),
        event::CAPTURE => ("Capture", ""),
        event::TRACE => {
            ("Trace", hubble::TRACE_POINTS.get(usize::from(sub_type)).copied().unwrap_or_default())
        }
        event::POLICY_VERDICT => ("PolicyVerdict", ""),
        number => return ["Unknown".into(), number.to_string().into()],
    };
    [kind.into(), sub_type.into()]
}

/// RFC 9260, section 3.2.
fn chunk_name(number: u8) -> Arc<str> {
    const NAMES: [&str; 15] = [
        "DATA",
        "INIT",
        "INIT_ACK",
        "SACK",
        "HEARTBEAT",
        "HEARTBEAT_ACK",
        "ABORT",
        "SHUTDOWN",
        "SHUTDOWN_ACK",
        "ERROR",
        "COOKIE_ECHO",
        "COOKIE_ACK",
        "ECNE",
        "CWR",
        "SHUTDOWN_COMPLETE",
    ];
    NAMES.get(usize::from(number)).map_or_else(|| number.to_string().into(), |n| Arc::from(*n))
}

/// Labels of `flows-to-world`.
#[derive(Debug)]
struct World {
    port: bool,
}

impl What for World {
    fn values(&self, what: u64, values: &mut Vec<Arc<str>>) {
        values.extend([name_of(PROTOCOLS, byte(what, 0)), verdict_name(byte(what, 1))]);
        if self.port {
            let port = (what >> 16).checked_sub(1);
            values.push(port.map_or_else(|| "".into(), |p| p.to_string().into()));
        }
    }
}

#[cfg(test)]
#[path = "hubble_tests.rs"]
mod tests;
