//! What the text formats share: names, types, verdicts.
//!
//! Behaviour of Hubble's client 1.19.4 (hubble/pkg/printer), which prints the same flows the same way.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::escape::push as push_escaped;
use super::layout::{FlowColumns, LostColumns, StatusColumns, join_with_cut};
use super::{Painter, PrintOptions};
use crate::flow::{
    Endpoint, Flow, Identity, LostEvents, NodeState, NodeStatus, ServiceName, TrafficDirection, Verdict,
    hubble, write_mac, write_summary,
};

/// One of netdrop's own, and how to print it.
pub(super) struct Shown<'a, T>(pub(super) &'a T, pub(super) PrintOptions);

impl FlowColumns for Shown<'_, Flow> {
    fn time(&self, out: &mut String) {
        self.1.time_format.write(self.0.time, out);
    }

    fn node(&self, out: &mut String) {
        push_escaped(self.0.node_name.as_deref().unwrap_or(""), out);
    }

    fn source(&self, out: &mut String) {
        source(self.0, self.1, out);
    }

    fn source_identity(&self, out: &mut String) {
        identity(self.0.source.identity, Painter(self.1.color), out);
    }

    fn destination(&self, out: &mut String) {
        destination(self.0, self.1, out);
    }

    fn destination_identity(&self, out: &mut String) {
        identity(self.0.destination.identity, Painter(self.1.color), out);
    }

    fn is_reply(&self) -> Option<bool> {
        self.0.is_reply
    }

    fn kind(&self, out: &mut String) {
        kind(self.0, out);
    }

    fn verdict(&self, out: &mut String) {
        verdict(self.0, Painter(self.1.color), out);
    }

    fn summary(&self, out: &mut String) {
        summary(self.0, out);
    }
}

impl LostColumns for Shown<'_, LostEvents> {
    fn time(&self, out: &mut String) {
        self.1.time_format.write(self.0.time, out);
    }

    fn node(&self, out: &mut String) {
        push_escaped(self.0.node_name.as_deref().unwrap_or(""), out);
    }

    fn source(&self, out: &mut String) {
        out.push_str(self.0.source.name());
    }

    fn cpu(&self) -> i32 {
        self.0.cpu.unwrap_or(0)
    }

    fn count(&self) -> u64 {
        self.0.count
    }

    fn span(&self, out: &mut String) {
        if let (Some(first), Some(last)) = (self.0.first, self.0.last) {
            out.push_str(" (first: ");
            self.1.time_format.write(first, out);
            out.push_str(", last: ");
            self.1.time_format.write(last, out);
            out.push(')');
        }
    }
}

impl StatusColumns for Shown<'_, NodeStatus> {
    fn time(&self, out: &mut String) {
        self.1.time_format.write(self.0.time, out);
    }

    fn reporter(&self, out: &mut String) {
        push_escaped(self.0.reporter.as_deref().unwrap_or(""), out);
    }

    fn state(&self) -> NodeState {
        self.0.state
    }

    fn name(&self, out: &mut String) {
        out.push_str(self.0.state.name());
    }

    fn unknown(&self, out: &mut String) {
        self.message(out);
    }

    fn count(&self) -> usize {
        self.0.nodes.len()
    }

    fn nodes(&self, out: &mut String) {
        join_with_cut(&self.0.nodes, |name| push_escaped(name, out));
    }

    fn has_message(&self) -> bool {
        !self.0.message.is_empty()
    }

    fn message(&self, out: &mut String) {
        put(out, format_args!("\"{}\"", super::escape(&self.0.message).replace('"', "\\\"")));
    }
}

/// An end's names and address, as one side of a flow.
struct Side<'a> {
    address: IpAddr,
    port: Option<u16>,
    endpoint: &'a Endpoint,
    service: Option<&'a ServiceName>,
    names: &'a [std::sync::Arc<str>],
}

fn source(flow: &Flow, options: PrintOptions, out: &mut String) {
    host(flow, options, true, out);
}

fn destination(flow: &Flow, options: PrintOptions, out: &mut String) {
    host(flow, options, false, out);
}

fn host(flow: &Flow, options: PrintOptions, is_source: bool, out: &mut String) {
    let painter = Painter(options.color);
    let Some(ip) = flow.packet.ip else {
        if let Some(eth) = flow.packet.ethernet {
            painter.host(out, |out| write_mac(if is_source { eth.source } else { eth.destination }, out));
        }
        return;
    };
    let ports = flow.packet.l4.and_then(|l4| l4.ports());
    let side = if is_source {
        Side {
            address: ip.source,
            port: ports.map(|p| p.0),
            endpoint: &flow.source,
            service: flow.source_service.as_deref(),
            names: &flow.source_names,
        }
    } else {
        Side {
            address: ip.destination,
            port: ports.map(|p| p.1),
            endpoint: &flow.destination,
            service: flow.destination_service.as_deref(),
            names: &flow.destination_names,
        }
    };
    painter.host(out, |out| side.write(options, painter, out));
}

impl Side<'_> {
    fn write(&self, options: PrintOptions, painter: Painter, out: &mut String) {
        let port = self.port.filter(|p| *p != 0);
        if options.numeric || !self.name(out) {
            match (self.address, port) {
                (IpAddr::V6(a), Some(_)) => put(out, format_args!("[{a}]")),
                (a, _) => put(out, format_args!("{a}")),
            }
        }
        if let Some(port) = port {
            out.push(':');
            painter.port(out, |out| put(out, format_args!("{port}")));
        }
    }

    /// Pod, else service, else DNS names; whether there was one.
    fn name(&self, out: &mut String) -> bool {
        let namespace = self.service.map_or_else(|| self.endpoint.namespace(), |s| &s.namespace);
        let pod = self.endpoint.pod_name();
        let name = if pod.is_empty() { self.service.map_or("", |s| &s.name) } else { pod };
        if !name.is_empty() {
            if !namespace.is_empty() {
                push_escaped(namespace, out);
                out.push('/');
            }
            push_escaped(name, out);
            return true;
        }
        for (i, name) in self.names.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_escaped(name, out);
        }
        !self.names.is_empty()
    }
}

fn identity(identity: Identity, painter: Painter, out: &mut String) {
    painter.identity(out, |out| match identity.reserved_name() {
        Some(name) => put(out, format_args!("({name})")),
        None => put(out, format_args!("(ID:{})", identity.0)),
    });
}

/// The TYPE column. The client cuts the sub type to eight bits.
fn kind(flow: &Flow, out: &mut String) {
    let event = flow.event_type;
    let number = event.sub_type.to_le_bytes()[0];
    let text = match event.kind {
        1 => hubble::drop_type_text(number),
        4 => hubble::TRACE_POINTS.get(usize::from(number)).copied(),
        5 => {
            put(out, format_args!("policy-verdict:none {}", direction(flow.direction)));
            return;
        }
        _ => Some("UNKNOWN"),
    };
    match text {
        Some(text) => out.push_str(text),
        None if event.kind == 1 => put(out, format_args!("{number}, 0")),
        None => put(out, format_args!("{number}")),
    }
}

pub(super) fn direction(direction: TrafficDirection) -> &'static str {
    match direction {
        TrafficDirection::Unknown => "TRAFFIC_DIRECTION_UNKNOWN",
        TrafficDirection::Ingress => "INGRESS",
        TrafficDirection::Egress => "EGRESS",
    }
}

fn verdict(flow: &Flow, painter: Painter, out: &mut String) {
    let policy = flow.event_type.kind == 5;
    let text = match flow.verdict {
        Verdict::Forwarded | Verdict::Redirected if policy => "ALLOWED",
        Verdict::Dropped | Verdict::Error if policy => "DENIED",
        Verdict::Audit if policy => "AUDITED",
        v => v.name(),
    };
    painter.verdict(flow.verdict, out, |out| out.push_str(text));
}

fn summary(flow: &Flow, out: &mut String) {
    let start = out.len();
    write_summary(flow, out);
    if let std::borrow::Cow::Owned(safe) = super::escape(&out[start..]) {
        out.truncate(start);
        out.push_str(&safe);
    }
}

pub(super) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = out.write_fmt(text);
}
