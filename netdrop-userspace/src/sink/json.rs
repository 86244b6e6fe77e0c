//! `json`: one `GetFlowsResponse` a line, as protojson writes it with proto names.
//!
//! Straight from the domain types, without a tree in between: fields in the order of their declaration, what is unset left out,
//! 64-bit numbers as text, `<`, `>` and `&` escaped as Go does.

use super::columns::{self, put};
use super::text::{close_json, push_ip, push_json, push_number, push_site};
use super::time;
use crate::flow::{
    Endpoint, Flow, L4, LostEvents, NodeStatus, Observation, Packet, ServiceName, TcpFlags, TrafficDirection,
    Value, Verdict, extension, hubble, write_mac, write_summary,
};

/// A key with its quotes and colon.
macro_rules! key {
    ($name:literal) => {
        concat!("\"", $name, "\":")
    };
}

/// Where in a flow's line its time stands, which is also the last field of the line.
const FLOW_TIME: usize = "{\"flow\":{\"time\":".len();

/// Appends one line.
pub fn write_json(observation: &Observation, out: &mut String) {
    let start = out.len();
    let mut top = Object::open(out);
    let (node, time) = match observation {
        Observation::Flow(f) => {
            top.object(key!("flow"), |o| flow(f, o));
            top.text(key!("node_name"), f.node_name.as_deref().unwrap_or(""));
            top.again(key!("time"), start + FLOW_TIME);
            top.close();
            out.push('\n');
            return;
        }
        Observation::Lost(l) => {
            top.object(key!("lost_events"), |o| lost(l, o));
            (l.node_name.as_deref(), l.time)
        }
        Observation::Status(s) => {
            top.object(key!("node_status"), |o| status(s, o));
            (s.reporter.as_deref(), s.time)
        }
    };
    top.text(key!("node_name"), node.unwrap_or(""));
    top.time(key!("time"), time);
    top.close();
    out.push('\n');
}

/// An object being written; a field with the default value of its type is left out.
struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    fn close(self) {
        self.out.push('}');
    }

    /// `key` with its quotes and colon, as `key!` writes it.
    #[expect(
        clippy::inline_always,
        reason = "the length is a constant at each call: a few stores in place of a copy by call"
    )]
    #[inline(always)]
    fn key(&mut self, key: &str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.push_str(key);
    }

    fn object(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut inner = Object::open(self.out);
        write(&mut inner);
        inner.close();
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            push_json(text, self.out);
        }
    }

    fn number(&mut self, key: &str, number: impl Into<i64>) {
        let number = number.into();
        if number != 0 {
            self.key(key);
            push_number(number, self.out);
        }
    }

    fn long(&mut self, key: &str, number: u64) {
        if number != 0 {
            self.key(key);
            self.out.push('"');
            push_number(number, self.out);
            self.out.push('"');
        }
    }

    fn bare(&mut self, key: &str, text: std::fmt::Arguments<'_>) {
        self.key(key);
        put(self.out, text);
    }

    fn time(&mut self, key: &str, at: jiff::Timestamp) {
        self.key(key);
        self.out.push('"');
        time::write_json(at, self.out);
        self.out.push('"');
    }

    /// A field with the text that stands at `start` of the output already, with its quotes.
    fn again(&mut self, key: &str, start: usize) {
        let length = self.out[start + 1..].bytes().position(|b| b == b'"').map_or(0, |end| end + 2);
        self.key(key);
        self.out.extend_from_within(start..start + length);
    }

    fn list<T>(&mut self, key: &str, items: &[T], mut write: impl FnMut(&T, &mut String)) {
        if items.is_empty() {
            return;
        }
        self.key(key);
        self.out.push('[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            write(item, self.out);
        }
        self.out.push(']');
    }
}

fn flow(f: &Flow, o: &mut Object<'_>) {
    o.time(key!("time"), f.time);
    if let Some(uuid) = f.uuid {
        o.text(key!("uuid"), uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
    }
    if f.verdict != Verdict::Unknown {
        o.text(key!("verdict"), f.verdict.name());
    }
    o.number(key!("drop_reason"), f.drop_reason_desc);
    packet(&f.packet, o);
    endpoint(key!("source"), &f.source, o);
    endpoint(key!("destination"), &f.destination, o);
    if f.packet.ip.is_some() || f.packet.ethernet.is_some() {
        o.text(key!("Type"), "L3_L4");
    }
    o.text(key!("node_name"), f.node_name.as_deref().unwrap_or(""));
    o.list(key!("source_names"), &f.source_names, |n, out| push_json(n, out));
    o.list(key!("destination_names"), &f.destination_names, |n, out| push_json(n, out));
    if f.event_type != crate::flow::EventType::default() {
        o.object(key!("event_type"), |o| {
            o.number(key!("type"), f.event_type.kind);
            o.number(key!("sub_type"), f.event_type.sub_type);
        });
    }
    service(key!("source_service"), f.source_service.as_deref(), o);
    service(key!("destination_service"), f.destination_service.as_deref(), o);
    if f.direction != TrafficDirection::Unknown {
        o.text(key!("traffic_direction"), columns::direction(f.direction));
    }
    match hubble::drop_reason_name(f.drop_reason_desc) {
        Some(name) if f.drop_reason_desc != 0 => o.text(key!("drop_reason_desc"), name),
        _ => o.number(key!("drop_reason_desc"), f.drop_reason_desc),
    }
    if let Some(reply) = f.is_reply {
        o.bare(key!("is_reply"), format_args!("{reply}"));
    }
    if let Some(interface) = &f.interface {
        o.object(key!("interface"), |o| {
            o.number(key!("index"), interface.index);
            o.text(key!("name"), interface.name.as_deref().unwrap_or(""));
        });
    }
    o.long(key!("cgroup_id"), f.cgroup_id.unwrap_or(0));
    summary_field(f, o);
    extensions(f, o);
    if let Some([ingress, egress, unknown]) = f.tally.aggregate(f.direction) {
        o.object(key!("aggregate"), |o| {
            o.number(key!("ingress_flow_count"), ingress);
            o.number(key!("egress_flow_count"), egress);
            o.number(key!("unknown_direction_flow_count"), unknown);
        });
    }
}

fn summary_field(f: &Flow, o: &mut Object<'_>) {
    let before = (o.out.len(), o.empty);
    o.key(key!("Summary"));
    o.out.push('"');
    let start = o.out.len();
    write_summary(f, o.out);
    if o.out.len() == start {
        o.out.truncate(before.0);
        o.empty = before.1;
        return;
    }
    close_json(start, o.out);
}

fn packet(p: &Packet, o: &mut Object<'_>) {
    if let Some(eth) = p.ethernet {
        o.object(key!("ethernet"), |o| {
            for (key, mac) in [(key!("source"), eth.source), (key!("destination"), eth.destination)] {
                o.key(key);
                o.out.push('"');
                write_mac(mac, o.out);
                o.out.push('"');
            }
        });
    }
    if let Some(ip) = p.ip {
        o.object(key!("IP"), |o| {
            for (key, address) in [(key!("source"), ip.source), (key!("destination"), ip.destination)] {
                o.key(key);
                o.out.push('"');
                push_ip(address, o.out);
                o.out.push('"');
            }
            o.text(key!("ipVersion"), if ip.source.is_ipv4() { "IPv4" } else { "IPv6" });
        });
    }
    if let Some(l4) = p.l4 {
        o.object(key!("l4"), |o| transport(l4, o));
    }
}

fn transport(l4: L4, o: &mut Object<'_>) {
    let ports = |o: &mut Object<'_>| {
        if let Some((source, destination)) = l4.ports() {
            o.number(key!("source_port"), source);
            o.number(key!("destination_port"), destination);
        }
    };
    match l4 {
        L4::Tcp { flags, .. } => o.object(key!("TCP"), |o| {
            ports(o);
            o.object(key!("flags"), |o| tcp_flags(flags, o));
        }),
        L4::Udp { .. } => o.object(key!("UDP"), ports),
        L4::Sctp { .. } => o.object(key!("SCTP"), ports),
        L4::Icmpv4(m) | L4::Icmpv6(m) => {
            let key = if matches!(l4, L4::Icmpv4(_)) { key!("ICMPv4") } else { key!("ICMPv6") };
            o.object(key, |o| {
                o.number(key!("type"), m.kind);
                o.number(key!("code"), m.code);
            });
        }
        L4::Vrrp { kind, vrid, priority } => o.object(key!("VRRP"), |o| {
            o.number(key!("type"), kind);
            o.number(key!("vrid"), vrid);
            o.number(key!("priority"), priority);
        }),
        L4::Igmp { kind, group } => o.object(key!("IGMP"), |o| {
            o.number(key!("type"), kind);
            o.bare(key!("group_address"), format_args!("\"{group}\""));
        }),
    }
}

/// In the order of the message's fields, which is the order of the bits.
fn tcp_flags(flags: TcpFlags, o: &mut Object<'_>) {
    for (bit, name) in [
        (1, key!("FIN")),
        (2, key!("SYN")),
        (4, key!("RST")),
        (8, key!("PSH")),
        (16, key!("ACK")),
        (32, key!("URG")),
        (64, key!("ECE")),
        (128, key!("CWR")),
        (256, key!("NS")),
    ] {
        if flags.contains(TcpFlags(bit)) {
            o.bare(name, format_args!("true"));
        }
    }
}

fn endpoint(key: &str, e: &Endpoint, o: &mut Object<'_>) {
    if *e == Endpoint::default() {
        return;
    }
    o.object(key, |o| {
        o.number(key!("ID"), e.id);
        o.number(key!("identity"), e.identity.0);
        o.text(key!("namespace"), e.namespace());
        o.list(key!("labels"), e.labels(), |l, out| push_json(l, out));
        o.text(key!("pod_name"), e.pod_name());
        o.list(key!("workloads"), e.workloads(), |w, out| {
            let mut o = Object::open(out);
            o.text(key!("name"), &w.name);
            o.text(key!("kind"), &w.kind);
            o.close();
        });
    });
}

fn service(key: &str, s: Option<&ServiceName>, o: &mut Object<'_>) {
    if let Some(s) = s {
        o.object(key, |o| {
            o.text(key!("name"), &s.name);
            o.text(key!("namespace"), &s.namespace);
        });
    }
}

fn extensions(f: &Flow, o: &mut Object<'_>) {
    let mut any = false;
    let out = &mut *o.out;
    let start = out.len();
    if !o.empty {
        out.push(',');
    }
    out.push_str("\"extensions\":{\"@type\":\"type.googleapis.com/google.protobuf.Struct\",\"value\":{");
    extension(f, &mut |key, value| {
        if any {
            out.push(',');
        }
        any = true;
        out.push('"');
        out.push_str(key);
        out.push_str("\":");
        match value {
            Value::Text(text) => push_json(&text, out),
            Value::Texts(list) => {
                out.push('[');
                for (i, text) in list.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    push_json(text, out);
                }
                out.push(']');
            }
            Value::Site(site) => {
                out.push('"');
                let start = out.len();
                push_site(site, out);
                close_json(start, out);
            }
            Value::Number(n) => push_number(n, out),
            Value::Bool(b) => out.push_str(if b { "true" } else { "false" }),
        }
    });
    if any {
        out.push_str("}}");
        o.empty = false;
    } else {
        out.truncate(start);
    }
}

fn lost(l: &LostEvents, o: &mut Object<'_>) {
    if l.source != crate::flow::LostSource::Unknown {
        o.text(key!("source"), l.source.name());
    }
    o.long(key!("num_events_lost"), l.count);
    if let Some(cpu) = l.cpu {
        o.bare(key!("cpu"), format_args!("{cpu}"));
    }
    if let Some(first) = l.first {
        o.time(key!("first"), first);
    }
    if let Some(last) = l.last {
        o.time(key!("last"), last);
    }
}

fn status(s: &NodeStatus, o: &mut Object<'_>) {
    if s.state != crate::flow::NodeState::Unknown {
        o.text(key!("state_change"), s.state.name());
    }
    o.list(key!("node_names"), &s.nodes, |n, out| push_json(n, out));
    o.text(key!("message"), &s.message);
}
