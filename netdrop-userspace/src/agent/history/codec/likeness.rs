//! What many records have in common: the fields that have few values, and which other fields there are.
//!
//! A block has each combination once, as a name, and a flow's record begins with its number. So what a filter asks of these fields is
//! decided once for all records that are alike, and most records are passed over by that number alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::bytes::{Bytes, put_number, put_signed};
use super::flow::Put;
use super::hot::{Shape, flag};
use super::names::{Dictionary, Name};
use super::packet::{self, L4Shape};
use crate::flow::{
    Endpoint, EndpointInfo, Ethernet, EventType, Flow, Identity, Ip, ServiceName, TrafficDirection, Verdict,
    event_type,
};

/// Services and DNS names.
mod more {
    pub(super) const SOURCE_SERVICE: u8 = 1;
    pub(super) const DESTINATION_SERVICE: u8 = 2;
    pub(super) const SOURCE_NAMES: u8 = 4;
    pub(super) const DESTINATION_NAMES: u8 = 8;
}

const DIRECTIONS: [TrafficDirection; 3] =
    [TrafficDirection::Unknown, TrafficDirection::Ingress, TrafficDirection::Egress];

/// One combination. Names are numbers of the same block.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Likeness {
    pub(super) shape: Shape,
    verdict: Verdict,
    direction: TrafficDirection,
    reason: Option<usize>,
    desc: i32,
    event: EventType,
    ids: [Option<(u32, u32)>; 2],
    services: [Option<usize>; 2],
    names: [Vec<usize>; 2],
    site: Option<usize>,
    node: Option<usize>,
    interface: Option<usize>,
    netns: Option<usize>,
}

/// Writes a flow's, but for the flags at its beginning, which are known once all is written.
pub(super) fn put(flow: &Flow, put: &mut Put<'_>) {
    put.like.clear();
    put.like.extend_from_slice(&[0; 4]);
    put.like.push(flow.verdict as u8 & 7 | (flow.direction as u8) << 3);
    put.alike(flag::REASON, |names| flow.reason.as_ref().map(|r| names.reason(r)));
    if put.set(flag::DESC, flow.drop_reason_desc != 0) {
        put_signed(&mut put.like, flow.drop_reason_desc.into());
    }
    if put.set(flag::EVENT, flow.event_type != event_type(flow.drop_reason_desc)) {
        put_signed(&mut put.like, flow.event_type.kind.into());
        put_signed(&mut put.like, flow.event_type.sub_type.into());
    }
    if let Some(l4) = flow.packet.l4 {
        put.flags |= flag::L4;
        packet::put_l4_shape(L4Shape::of(l4), &mut put.like);
    }
    for (flag, end) in [(flag::SOURCE_IDS, &flow.source), (flag::DESTINATION_IDS, &flow.destination)] {
        if put.set(flag, end.id != 0 || end.identity != Identity::UNKNOWN) {
            put_number(&mut put.like, end.id.into());
            put_number(&mut put.like, end.identity.0.into());
        }
    }
    put_more_names(flow, put);
    put.alike(flag::SITE, |names| flow.site.as_ref().map(|s| names.site(s)));
    put.alike(flag::NODE, |names| flow.node_name.as_ref().map(|n| names.text(n)));
    put.alike(flag::INTERFACE, |names| flow.interface.as_ref().map(|i| names.interface(i)));
    put.alike(flag::NETNS, |names| flow.netns.as_ref().map(|n| names.netns(n)));
    put.set(flag::REPLY_KNOWN, flow.is_reply.is_some());
    put.set(flag::REPLY, flow.is_reply == Some(true));
}

fn put_more_names(flow: &Flow, put: &mut Put<'_>) {
    let services = [
        (more::SOURCE_SERVICE, flow.source_service.as_deref()),
        (more::DESTINATION_SERVICE, flow.destination_service.as_deref()),
    ];
    let names =
        [(more::SOURCE_NAMES, &flow.source_names), (more::DESTINATION_NAMES, &flow.destination_names)];
    let flags = services.iter().filter(|(_, s)| s.is_some()).fold(0, |all, (flag, _)| all | flag)
        | names.iter().filter(|(_, n)| !n.is_empty()).fold(0, |all, (flag, _)| all | flag);
    if !put.set(flag::MORE_NAMES, flags != 0) {
        return;
    }
    put.like.push(flags);
    for service in services.into_iter().filter_map(|(_, service)| service) {
        put_number(&mut put.like, put.names.service(service));
    }
    for (_, list) in names.iter().filter(|(_, list)| !list.is_empty()) {
        put_number(&mut put.like, list.len() as u64);
        list.iter().for_each(|name| put_number(&mut put.like, put.names.text(name)));
    }
}

/// Reads what [`put`] wrote.
pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Likeness> {
    let flags = bytes.fixed32()?;
    let has = |flag: u32| flags & flag != 0;
    let id = |bytes: &mut Bytes<'_>, flag: u32| if has(flag) { bytes.len().map(Some) } else { Some(None) };
    let kinds = bytes.u8()?;
    let reason = id(bytes, flag::REASON)?;
    let desc = if has(flag::DESC) { bytes.signed32()? } else { 0 };
    let event = if has(flag::EVENT) {
        EventType { kind: bytes.signed32()?, sub_type: bytes.signed32()? }
    } else {
        event_type(desc)
    };
    let l4 = if has(flag::L4) { Some(packet::l4_shape(bytes)?) } else { None };
    let ids = |bytes: &mut Bytes<'_>, flag: u32| {
        if has(flag) { Some(Some((bytes.number32()?, bytes.number32()?))) } else { Some(None) }
    };
    let ids = [ids(bytes, flag::SOURCE_IDS)?, ids(bytes, flag::DESTINATION_IDS)?];
    let more = if has(flag::MORE_NAMES) { bytes.u8()? } else { 0 };
    let service =
        |bytes: &mut Bytes<'_>, flag: u8| if more & flag == 0 { Some(None) } else { bytes.len().map(Some) };
    let services = [service(bytes, more::SOURCE_SERVICE)?, service(bytes, more::DESTINATION_SERVICE)?];
    let list = |bytes: &mut Bytes<'_>, flag: u8| {
        if more & flag == 0 { Some(Vec::new()) } else { (0..bytes.number()?).map(|_| bytes.len()).collect() }
    };
    let names = [list(bytes, more::SOURCE_NAMES)?, list(bytes, more::DESTINATION_NAMES)?];
    Some(Likeness {
        shape: Shape { flags, l4 },
        verdict: Verdict::ALL[usize::from(kinds & 7)],
        direction: *DIRECTIONS.get(usize::from(kinds >> 3))?,
        reason,
        desc,
        event,
        ids,
        services,
        names,
        site: id(bytes, flag::SITE)?,
        node: id(bytes, flag::NODE)?,
        interface: id(bytes, flag::INTERFACE)?,
        netns: id(bytes, flag::NETNS)?,
    })
}

/// The name of a number, if it is of that kind.
macro_rules! named {
    ($names:ident, $id:expr, $kind:ident) => {
        match $id.map(|id| $names.get(id)) {
            None => None,
            Some(Some(Name::$kind(value))) => Some(value.clone()),
            Some(_) => return None,
        }
    };
}

impl Likeness {
    /// What every record needs to be read on.
    pub(in super::super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Fills in all that is in common. `None`: it names what is not there.
    pub(super) fn fill(&self, flow: &mut Flow, names: &mut Dictionary<'_>) -> Option<()> {
        let has = |flag: u32| self.shape.flags & flag != 0;
        (flow.verdict, flow.direction) = (self.verdict, self.direction);
        flow.reason = named!(names, self.reason, Reason);
        (flow.drop_reason_desc, flow.event_type) = (self.desc, self.event);
        for (end, ids) in [&mut flow.source, &mut flow.destination].into_iter().zip(self.ids) {
            if let Some((id, identity)) = ids {
                (end.id, end.identity) = (id, Identity(identity));
            }
        }
        let mut service =
            |id: Option<usize>| -> Option<Option<Arc<ServiceName>>> { Some(named!(names, id, Service)) };
        flow.source_service = service(self.services[0])?;
        flow.destination_service = service(self.services[1])?;
        let mut list = |ids: &[usize]| -> Option<Vec<Arc<str>>> {
            ids.iter().map(|id| named!(names, Some(*id), Text)).collect()
        };
        flow.source_names = list(&self.names[0])?;
        flow.destination_names = list(&self.names[1])?;
        flow.site = named!(names, self.site, Site);
        flow.node_name = named!(names, self.node, Text);
        flow.interface = named!(names, self.interface, Interface);
        flow.netns = named!(names, self.netns, Netns);
        flow.is_reply = has(flag::REPLY_KNOWN).then(|| has(flag::REPLY));
        Some(())
    }

    /// A flow that has this, and of all else only that it is there: addresses and ports are zero, names of ends empty.
    pub(in super::super) fn flow(&self, names: &mut Dictionary<'_>) -> Option<Flow> {
        let has = |flag: u32| self.shape.flags & flag != 0;
        let mut flow = blank();
        self.fill(&mut flow, names)?;
        let address = |v6: bool| -> IpAddr {
            if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
        };
        if has(flag::IP) {
            let (source, destination) = (address(has(flag::SOURCE_V6)), address(has(flag::DESTINATION_V6)));
            let (protocol, ttl, total_length, fragment) = (0, 0, 0, None);
            flow.packet.ip = Some(Ip { source, destination, protocol, ttl, total_length, fragment });
        }
        let nothing = Bytes(&[0; packet::LONGEST_L4]);
        flow.packet.l4 = self.shape.l4.and_then(|shape| packet::l4_of(shape, &mut { nothing }));
        flow.packet.ethernet =
            has(flag::ETHERNET).then_some(Ethernet { source: [0; 6], destination: [0; 6] });
        let known = |end: &mut Endpoint, flag: u32| {
            end.info = has(flag).then(|| Arc::new(EndpointInfo::default()));
        };
        known(&mut flow.source, flag::SOURCE);
        known(&mut flow.destination, flag::DESTINATION);
        Some(flow)
    }
}

/// A flow of which nothing is known.
pub(in super::super) fn blank() -> Flow {
    Flow::new(jiff::Timestamp::UNIX_EPOCH, Verdict::Dropped)
}
