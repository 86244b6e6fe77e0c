//! A flow, there and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Any, ListValue, Struct};

use super::{STRUCT_URL, packet, time_from_wire, time_to_wire};
use crate::flow::{
    Endpoint, EndpointInfo, EventType, Flow, Identity, Interface, ServiceName, TallyKind, TrafficDirection,
    Value, Verdict, Workload, apply_extension, extension, summary,
};
use crate::proto::flow as wire;

mod root {
    pub(super) const UUID: u16 = 1;
    pub(super) const EMITTER: u16 = 1 << 1;
    pub(super) const ETHERNET: u16 = 1 << 2;
    pub(super) const IP: u16 = 1 << 3;
    pub(super) const SOURCE: u16 = 1 << 4;
    pub(super) const DESTINATION: u16 = 1 << 5;
    pub(super) const NODE_NAME: u16 = 1 << 6;
    pub(super) const SOURCE_NAMES: u16 = 1 << 7;
    pub(super) const DESTINATION_NAMES: u16 = 1 << 8;
    pub(super) const INTERFACE: u16 = 1 << 9;
    pub(super) const SUMMARY: u16 = 1 << 10;
    pub(super) const EXTENSIONS: u16 = 1 << 11;
}

/// Fields of the API's flow that cost something to make; all others are always made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots(u16);

impl Roots {
    /// The whole flow.
    pub const ALL: Self = Self(u16::MAX);

    const NAMES: [(&str, u16); 12] = [
        ("uuid", root::UUID),
        ("emitter", root::EMITTER),
        ("ethernet", root::ETHERNET),
        ("IP", root::IP),
        ("source", root::SOURCE),
        ("destination", root::DESTINATION),
        ("node_name", root::NODE_NAME),
        ("source_names", root::SOURCE_NAMES),
        ("destination_names", root::DESTINATION_NAMES),
        ("interface", root::INTERFACE),
        ("Summary", root::SUMMARY),
        ("extensions", root::EXTENSIONS),
    ];

    const fn has(self, root: u16) -> bool {
        self.0 & root != 0
    }

    /// With the field of this name.
    pub fn add(&mut self, name: &str) {
        self.0 |= Self::NAMES.iter().find(|(n, _)| *n == name).map_or(0, |(_, root)| *root);
    }

    /// With those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A flow as a server sends it.
pub fn to_wire(f: &Flow) -> wire::Flow {
    part_to_wire(f, Roots::ALL)
}

/// The same, for one who looks at these fields only.
pub fn part_to_wire(f: &Flow, roots: Roots) -> wire::Flow {
    let has = |root: u16| roots.has(root);
    let text = |root: u16, text: Option<&str>| {
        if has(root) { text.unwrap_or_default().to_owned() } else { String::new() }
    };
    let list = |root: u16, list: &[Arc<str>]| {
        if has(root) { list.iter().map(ToString::to_string).collect() } else { Vec::new() }
    };
    wire::Flow {
        time: Some(time_to_wire(f.time)),
        uuid: f.uuid.filter(|_| has(root::UUID)).map(|u| u.to_string()).unwrap_or_default(),
        emitter: has(root::EMITTER)
            .then(|| wire::Emitter { name: "netdrop".into(), version: env!("CARGO_PKG_VERSION").into() }),
        verdict: f.verdict as i32,
        drop_reason: u32::try_from(f.drop_reason_desc).unwrap_or_default(),
        drop_reason_desc: f.drop_reason_desc,
        ethernet: f.packet.ethernet.filter(|_| has(root::ETHERNET)).map(packet::ethernet),
        ip: f.packet.ip.filter(|_| has(root::IP)).map(packet::ip),
        l4: f.packet.l4.map(packet::l4),
        source: if has(root::SOURCE) { endpoint(&f.source) } else { None },
        destination: if has(root::DESTINATION) { endpoint(&f.destination) } else { None },
        r#type: i32::from(f.packet.ip.is_some() || f.packet.ethernet.is_some()),
        node_name: text(root::NODE_NAME, f.node_name.as_deref()),
        source_names: list(root::SOURCE_NAMES, &f.source_names),
        destination_names: list(root::DESTINATION_NAMES, &f.destination_names),
        event_type: Some(wire::CiliumEventType {
            r#type: f.event_type.kind,
            sub_type: f.event_type.sub_type,
        }),
        source_service: f.source_service.as_deref().map(service),
        destination_service: f.destination_service.as_deref().map(service),
        traffic_direction: f.direction as i32,
        is_reply: f.is_reply,
        interface: f.interface.as_ref().filter(|_| has(root::INTERFACE)).map(|i| wire::NetworkInterface {
            index: i.index,
            name: i.name.as_deref().unwrap_or_default().to_owned(),
        }),
        cgroup_id: f.cgroup_id.unwrap_or_default(),
        summary: if has(root::SUMMARY) { summary(f) } else { String::new() },
        extensions: if has(root::EXTENSIONS) { extensions(f) } else { None },
        aggregate: f.tally.aggregate(f.direction).map(|[ingress, egress, unknown]| wire::Aggregate {
            ingress_flow_count: ingress,
            egress_flow_count: egress,
            unknown_direction_flow_count: unknown,
        }),
        ..wire::Flow::default()
    }
}

fn endpoint(e: &Endpoint) -> Option<wire::Endpoint> {
    (*e != Endpoint::default()).then(|| wire::Endpoint {
        id: e.id,
        identity: e.identity.0,
        namespace: e.namespace().to_owned(),
        labels: e.labels().iter().map(ToString::to_string).collect(),
        pod_name: e.pod_name().to_owned(),
        workloads: e
            .workloads()
            .iter()
            .map(|w| wire::Workload { name: w.name.to_string(), kind: w.kind.to_string() })
            .collect(),
        ..wire::Endpoint::default()
    })
}

fn service(s: &ServiceName) -> wire::Service {
    wire::Service { name: s.name.to_string(), namespace: s.namespace.to_string() }
}

fn extensions(f: &Flow) -> Option<Any> {
    let mut fields = BTreeMap::new();
    extension(f, &mut |key, value| {
        let kind = match value {
            Value::Text(text) => Kind::StringValue(text.into_owned()),
            Value::Texts(list) => {
                Kind::ListValue(ListValue { values: list.into_iter().map(text_value).collect() })
            }
            Value::Site(site) => Kind::StringValue(site.to_string()),
            Value::Number(n) => Kind::NumberValue(f64::from(n)),
            Value::Bool(b) => Kind::BoolValue(b),
        };
        fields.insert(key.to_owned(), prost_types::Value { kind: Some(kind) });
    });
    (!fields.is_empty())
        .then(|| Any { type_url: STRUCT_URL.to_owned(), value: Struct { fields }.encode_to_vec() })
}

fn text_value(text: std::borrow::Cow<'_, str>) -> prost_types::Value {
    prost_types::Value { kind: Some(Kind::StringValue(text.into_owned())) }
}

/// What is text of a list.
fn texts(list: ListValue) -> Vec<std::borrow::Cow<'static, str>> {
    let text = |value: prost_types::Value| match value.kind? {
        Kind::StringValue(text) => Some(text.into()),
        _ => None,
    };
    list.values.into_iter().filter_map(text).collect()
}

/// `response_time`: where the flow itself has none.
pub(super) fn from_wire(w: wire::Flow, response_time: Option<Timestamp>) -> Flow {
    let time = w.time.as_ref().and_then(time_from_wire).or(response_time).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut f = Flow::new(time, verdict(w.verdict));
    f.uuid = w.uuid.parse().ok();
    f.drop_reason_desc = w.drop_reason_desc;
    packet::from_wire(w.ethernet.as_ref(), w.ip.as_ref(), w.l4.as_ref(), &mut f.packet);
    f.source = w.source.map(endpoint_from_wire).unwrap_or_default();
    f.destination = w.destination.map(endpoint_from_wire).unwrap_or_default();
    f.source_names = w.source_names.into_iter().map(Into::into).collect();
    f.destination_names = w.destination_names.into_iter().map(Into::into).collect();
    f.source_service = w.source_service.map(service_from_wire);
    f.destination_service = w.destination_service.map(service_from_wire);
    f.node_name = Some(w.node_name).filter(|n| !n.is_empty()).map(Into::into);
    f.event_type =
        w.event_type.map(|e| EventType { kind: e.r#type, sub_type: e.sub_type }).unwrap_or_default();
    f.direction = match w.traffic_direction {
        1 => TrafficDirection::Ingress,
        2 => TrafficDirection::Egress,
        _ => TrafficDirection::Unknown,
    };
    f.is_reply = w.is_reply;
    f.interface = w
        .interface
        .map(|i| Interface { index: i.index, name: Some(i.name).filter(|n| !n.is_empty()).map(Into::into) });
    f.cgroup_id = Some(w.cgroup_id).filter(|id| *id != 0);
    f.remote_summary = Some(w.summary.into());
    if let Some(a) = w.aggregate {
        let counts = [a.ingress_flow_count, a.egress_flow_count, a.unknown_direction_flow_count];
        f.tally.count = counts.map(u64::from).iter().sum::<u64>().max(1);
        f.tally.kind = TallyKind::Flow;
    }
    facts(w.extensions, &mut f);
    f
}

fn verdict(number: i32) -> Verdict {
    Verdict::ALL.into_iter().find(|v| *v as i32 == number).unwrap_or_default()
}

fn endpoint_from_wire(e: wire::Endpoint) -> Endpoint {
    let named =
        !(e.namespace.is_empty() && e.pod_name.is_empty() && e.labels.is_empty() && e.workloads.is_empty());
    let info = named.then(|| {
        Arc::new(EndpointInfo {
            namespace: e.namespace.into(),
            pod_name: e.pod_name.into(),
            labels: e.labels.into_iter().map(Into::into).collect(),
            workloads: e
                .workloads
                .into_iter()
                .map(|w| Workload { name: w.name.into(), kind: w.kind.into() })
                .collect(),
            node: None,
        })
    });
    Endpoint { id: e.id, identity: Identity(e.identity), info }
}

fn service_from_wire(s: wire::Service) -> Arc<ServiceName> {
    Arc::new(ServiceName { name: s.name.into(), namespace: s.namespace.into() })
}

/// netdrop's facts, if the extension is the Struct that holds them.
fn facts(any: Option<Any>, f: &mut Flow) {
    let Some(any) = any.filter(|a| a.type_url == STRUCT_URL) else { return };
    let Ok(facts) = Struct::decode(any.value.as_slice()) else { return };
    for (key, value) in facts.fields {
        let value = match value.kind {
            Some(Kind::StringValue(text)) => Value::Text(text.into()),
            Some(Kind::ListValue(list)) => Value::Texts(texts(list)),
            Some(Kind::BoolValue(b)) => Value::Bool(b),
            Some(Kind::NumberValue(n)) => match whole(n) {
                Some(n) => Value::Number(n),
                None => continue,
            },
            _ => continue,
        };
        apply_extension(f, &key, &value);
    }
}

/// The kernel's reason in the extension of a netdrop server's flow.
pub fn kernel_reason(extension: &Any) -> Option<String> {
    match fact(extension, "kernel_reason")? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Inode of the network namespace in the extension of a netdrop server's flow.
pub fn netns(extension: &Any) -> Option<u32> {
    match fact(extension, "netns")? {
        Kind::NumberValue(n) => whole(n),
        _ => None,
    }
}

/// Process id and name in the extension, if the packet was that process's.
pub fn owner(extension: &Any) -> Option<(u32, String)> {
    let mut facts = facts_of(extension)?;
    match (facts.remove("process_owner")?.kind?, facts.remove("pid")?.kind?, facts.remove("comm")?.kind?) {
        (Kind::BoolValue(true), Kind::NumberValue(pid), Kind::StringValue(comm)) => Some((whole(pid)?, comm)),
        _ => None,
    }
}

/// The function in the extension's site, which goes on with an offset and a module.
pub fn site(extension: &Any) -> Option<String> {
    match fact(extension, "site")? {
        Kind::StringValue(text) => {
            let end = text.find(['+', ' ']).unwrap_or(text.len());
            text.get(..end).map(str::to_owned)
        }
        _ => None,
    }
}

fn fact(extension: &Any, key: &str) -> Option<Kind> {
    facts_of(extension)?.remove(key)?.kind
}

fn facts_of(extension: &Any) -> Option<BTreeMap<String, prost_types::Value>> {
    if extension.type_url != STRUCT_URL {
        return None;
    }
    Some(Struct::decode(extension.value.as_slice()).ok()?.fields)
}

/// A double that holds an unsigned 32-bit number.
fn whole(n: f64) -> Option<u32> {
    if n.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&n) {
        return None;
    }
    // Exact: whole and in range.
    format!("{n:.0}").parse().ok()
}
