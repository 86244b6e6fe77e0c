//! A flow, every field of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::Base;
use super::bytes::{Bytes, put_number, put_signed, put_span, put_text};
use super::hot::{Hot, flag};
use super::names::{Dictionary, Name, Names};
use super::packet;
use crate::flow::{Endpoint, EventType, Flow, Frame, Identity, ServiceName, Tally, TallyKind, event_type};

/// Services and DNS names.
mod more {
    pub(super) const SOURCE_SERVICE: u8 = 1;
    pub(super) const DESTINATION_SERVICE: u8 = 2;
    pub(super) const SOURCE_NAMES: u8 = 4;
    pub(super) const DESTINATION_NAMES: u8 = 8;
}

/// Texts of another server, and what few flows have.
mod remote {
    pub(super) const SUMMARY: u8 = 1;
    pub(super) const ARP: u8 = 2;
    pub(super) const INNER: u8 = 4;
    pub(super) const BENIGN: u8 = 8;
    pub(super) const MEANING: u8 = 16;
    pub(super) const FRAME: u8 = 32;
    pub(super) const FRAME_WITHOUT_MAC: u8 = 64;
    pub(super) const STACK: u8 = 128;
}

const KINDS: [TallyKind; 3] = [TallyKind::Packet, TallyKind::Flow, TallyKind::Rest];

/// EtherType of an address family.
fn ether_type_of(flow: &Flow) -> Option<u16> {
    flow.packet.ip.map(|ip| if ip.source.is_ipv4() { 0x0800 } else { 0x86dd })
}

/// Where a flow is written to.
struct Put<'a> {
    flags: u32,
    names: &'a mut Names,
    out: &'a mut Vec<u8>,
}

impl Put<'_> {
    fn id(&mut self, flag: u32, id: impl FnOnce(&mut Names) -> Option<u64>) {
        if let Some(id) = id(self.names) {
            self.number(flag, id);
        }
    }

    fn number(&mut self, flag: u32, n: u64) {
        self.flags |= flag;
        put_number(self.out, n);
    }

    fn set(&mut self, flag: u32, on: bool) -> bool {
        self.flags |= if on { flag } else { 0 };
        on
    }
}

pub(super) fn put(flow: &Flow, base: Base, names: &mut Names, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut put = Put { flags: 0, names, out };
    put_hot(flow, &mut put);
    put_event(flow, base, &mut put);
    put_headers(flow, &mut put);
    put_ends(flow, &mut put);
    put_place(flow, &mut put);
    put_remote(flow, &mut put);
    let flags = put.flags;
    out[at..at + 4].copy_from_slice(&flags.to_le_bytes());
}

/// As [`Hot`] reads it.
fn put_hot(flow: &Flow, put: &mut Put<'_>) {
    put.id(flag::REASON, |names| flow.reason.as_ref().map(|r| names.reason(r)));
    put.id(flag::SOURCE, |names| flow.source.info.as_ref().map(|i| names.endpoint(i)));
    put.id(flag::DESTINATION, |names| flow.destination.info.as_ref().map(|i| names.endpoint(i)));
    if let Some(ip) = flow.packet.ip {
        put.flags |= flag::IP;
        put.set(flag::SOURCE_V6, ip.source.is_ipv6());
        put.set(flag::DESTINATION_V6, ip.destination.is_ipv6());
        packet::put_address(ip.source, put.out);
        packet::put_address(ip.destination, put.out);
    }
    if let Some(l4) = flow.packet.l4 {
        put.flags |= flag::L4;
        packet::put_l4(l4, put.out);
    }
}

fn put_event(flow: &Flow, base: Base, put: &mut Put<'_>) {
    let time = flow.time.as_nanosecond();
    if let Some(uuid) = flow.uuid {
        put.flags |= flag::UUID;
        put.out.extend_from_slice(uuid.as_bytes());
    }
    if let Some(ns) = flow.monotonic_ns {
        put.flags |= flag::MONOTONIC;
        put_signed(put.out, ns.wrapping_sub(base.monotonic(time)).cast_signed());
    }
    if put.set(flag::DESC, flow.drop_reason_desc != 0) {
        put_signed(put.out, flow.drop_reason_desc.into());
    }
    if put.set(flag::EVENT, flow.event_type != event_type(flow.drop_reason_desc)) {
        put_signed(put.out, flow.event_type.kind.into());
        put_signed(put.out, flow.event_type.sub_type.into());
    }
    let Tally { kind, count, bytes, first, last } = flow.tally;
    let one = kind == TallyKind::Packet && count == 1 && first == flow.time && last == flow.time;
    if put.set(flag::TALLY, !one) {
        let number = KINDS.iter().position(|k| *k == kind).unwrap_or_default();
        put.out.push(u8::try_from(number).unwrap_or_default());
        put_number(put.out, count);
        put_span(put.out, first.as_nanosecond() - time);
        put_span(put.out, last.as_nanosecond() - time);
    }
    if bytes != flow.length.map_or(0, u64::from) {
        put.number(flag::BYTES, bytes);
    }
}

fn put_headers(flow: &Flow, put: &mut Put<'_>) {
    if let Some(ip) = flow.packet.ip {
        packet::put_ip(ip, put.out);
    }
    put.id(flag::ETHERNET, |names| flow.packet.ethernet.map(|e| names.ethernet(e)));
    match flow.packet.ether_type {
        None => {}
        of_ip if of_ip == ether_type_of(flow) => put.flags |= flag::ETHER_TYPE_OF_IP,
        Some(other) => {
            put.flags |= flag::ETHER_TYPE;
            put.out.extend_from_slice(&other.to_le_bytes());
        }
    }
    if put.set(flag::MORE_HEADERS, packet::has_more(&flow.packet)) {
        packet::put_more(&flow.packet, put.out);
    }
}

fn put_ends(flow: &Flow, put: &mut Put<'_>) {
    for (flag, end) in [(flag::SOURCE_IDS, &flow.source), (flag::DESTINATION_IDS, &flow.destination)] {
        if end.id != 0 || end.identity != Identity::UNKNOWN {
            put.number(flag, end.id.into());
            put_number(put.out, end.identity.0.into());
        }
    }
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
    put.out.push(flags);
    for (_, service) in services {
        if let Some(service) = service {
            put_number(put.out, put.names.service(service));
        }
    }
    for (_, list) in names.iter().filter(|(_, list)| !list.is_empty()) {
        put_number(put.out, list.len() as u64);
        list.iter().for_each(|name| put_number(put.out, put.names.text(name)));
    }
}

fn put_place(flow: &Flow, put: &mut Put<'_>) {
    put.id(flag::SITE, |names| flow.site.as_ref().map(|s| names.site(s)));
    put.id(flag::NODE, |names| flow.node_name.as_ref().map(|n| names.text(n)));
    put.id(flag::INTERFACE, |names| flow.interface.as_ref().map(|i| names.interface(i)));
    put.id(flag::NETNS, |names| flow.netns.as_ref().map(|n| names.netns(n)));
    put.id(flag::PROCESS, |names| flow.process.as_ref().map(|p| names.process(p)));
    let numbers = [
        (flag::INCOMING, flow.incoming_ifindex.map(u64::from)),
        (flag::CGROUP, flow.cgroup_id),
        (flag::MARK, flow.mark.map(u64::from)),
        (flag::LENGTH, flow.length.map(u64::from)),
    ];
    for (flag, number) in numbers {
        if let Some(number) = number {
            put.number(flag, number);
        }
    }
    put.set(flag::REPLY_KNOWN, flow.is_reply.is_some());
    put.set(flag::REPLY, flow.is_reply == Some(true));
}

fn put_remote(flow: &Flow, put: &mut Put<'_>) {
    let texts = [
        (remote::SUMMARY, &flow.remote_summary),
        (remote::ARP, &flow.remote_arp),
        (remote::INNER, &flow.remote_inner),
    ];
    let flags = texts.iter().filter(|(_, text)| text.is_some()).fold(0, |all, (flag, _)| all | flag);
    let flags = flags
        | if flow.benign { remote::BENIGN } else { 0 }
        | if flow.meaning.is_some() { remote::MEANING } else { 0 }
        | if flow.stack.is_some() { remote::STACK } else { 0 }
        | match flow.frame.as_deref() {
            Some(Frame { without_mac: true, .. }) => remote::FRAME | remote::FRAME_WITHOUT_MAC,
            Some(_) => remote::FRAME,
            None => 0,
        };
    if put.set(flag::REMOTE, flags != 0) {
        put.out.push(flags);
        if let Some(meaning) = &flow.meaning {
            put_number(put.out, put.names.text(meaning));
        }
        if let Some(stack) = &flow.stack {
            put_number(put.out, put.names.stack(stack));
        }
        if let Some(frame) = &flow.frame {
            put_number(put.out, frame.length.into());
            put_number(put.out, frame.bytes.len() as u64);
            put.out.extend_from_slice(&frame.bytes);
        }
        texts.iter().filter_map(|(_, text)| text.as_deref()).for_each(|text| put_text(put.out, text));
    }
}

/// What is left to be read.
struct Read<'a, 'b, 'c> {
    hot: &'a Hot<'a>,
    bytes: Bytes<'a>,
    names: &'b mut Dictionary<'c>,
}

impl Read<'_, '_, '_> {
    fn name(&mut self) -> Option<&Name> {
        let id = self.bytes.len()?;
        self.names.get(id)
    }

    /// The outer `None`: no such bytes.
    #[expect(clippy::option_option, reason = "absent is a value; the outer one is an error")]
    fn when<T>(&mut self, flag: u32, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.hot.has(flag) { read(self).map(Some) } else { Some(None) }
    }

    #[expect(clippy::option_option, reason = "absent is a value; the outer one is an error")]
    fn named<T>(&mut self, flag: u32, of: impl FnOnce(&Name) -> Option<T>) -> Option<Option<T>> {
        self.when(flag, |read| of(read.name()?))
    }
}

/// The name, if it is of that kind.
macro_rules! of {
    ($kind:ident) => {
        |name: &Name| match name {
            Name::$kind(value) => Some(value.clone()),
            _ => None,
        }
    };
}

/// A time so many ns after another.
pub(super) fn near(time: Timestamp, ns: i128) -> Option<Timestamp> {
    Timestamp::from_nanosecond(time.as_nanosecond().checked_add(ns)?).ok()
}

pub(super) fn read(flow: &mut Flow, hot: &Hot<'_>, base: Base, names: &mut Dictionary<'_>) -> Option<()> {
    let mut read = Read { hot, bytes: hot.cold, names };
    let read = &mut read;
    read_hot(flow, read)?;
    read_event(flow, base, read)?;
    read_headers(flow, read)?;
    read_ends(flow, read)?;
    read_place(flow, read)?;
    read_remote(flow, read)?;
    if !hot.has(flag::BYTES) {
        flow.tally.bytes = flow.length.map_or(0, u64::from);
    }
    read.bytes.0.is_empty().then_some(())
}

fn read_hot(flow: &mut Flow, read: &mut Read<'_, '_, '_>) -> Option<()> {
    if let Some(id) = read.hot.reason {
        flow.reason = Some(of!(Reason)(read.names.get(id)?)?);
    }
    if let Some(id) = read.hot.source {
        flow.source.info = Some(of!(Endpoint)(read.names.get(id)?)?);
    }
    if let Some(id) = read.hot.destination {
        flow.destination.info = Some(of!(Endpoint)(read.names.get(id)?)?);
    }
    flow.packet.l4 = read.hot.l4;
    Some(())
}

fn read_event(flow: &mut Flow, base: Base, read: &mut Read<'_, '_, '_>) -> Option<()> {
    let time = flow.time;
    flow.uuid = read.when(flag::UUID, |r| r.bytes.array().map(uuid::Uuid::from_bytes))?;
    flow.monotonic_ns = read.when(flag::MONOTONIC, |r| {
        Some(base.monotonic(time.as_nanosecond()).wrapping_add(r.bytes.signed()?.cast_unsigned()))
    })?;
    flow.drop_reason_desc = read.when(flag::DESC, |r| r.bytes.signed32())?.unwrap_or_default();
    flow.event_type = read
        .when(flag::EVENT, |r| Some(EventType { kind: r.bytes.signed32()?, sub_type: r.bytes.signed32()? }))?
        .unwrap_or_else(|| event_type(flow.drop_reason_desc));
    let tally = read.when(flag::TALLY, |r| {
        let kind = *KINDS.get(usize::from(r.bytes.u8()?))?;
        let count = r.bytes.number()?;
        let (first, last) = (near(time, r.bytes.span()?)?, near(time, r.bytes.span()?)?);
        Some(Tally { kind, count, bytes: 0, first, last })
    })?;
    flow.tally = tally.unwrap_or(flow.tally);
    flow.tally.bytes = read.when(flag::BYTES, |r| r.bytes.number())?.unwrap_or_default();
    Some(())
}

fn read_headers(flow: &mut Flow, read: &mut Read<'_, '_, '_>) -> Option<()> {
    if let Some(addresses) = read.hot.addresses {
        flow.packet.ip = Some(packet::ip(&mut read.bytes, addresses)?);
    }
    flow.packet.ethernet = read.named(flag::ETHERNET, of!(Ethernet))?;
    flow.packet.ether_type = read.when(flag::ETHER_TYPE, |r| r.bytes.u16())?;
    if read.hot.has(flag::ETHER_TYPE_OF_IP) {
        flow.packet.ether_type = ether_type_of(flow);
    }
    read.when(flag::MORE_HEADERS, |r| packet::more(&mut r.bytes, &mut flow.packet))?;
    Some(())
}

fn read_ends(flow: &mut Flow, read: &mut Read<'_, '_, '_>) -> Option<()> {
    let mut ids = |flag: u32, end: &mut Endpoint| {
        let ids = read.when(flag, |r| Some((r.bytes.number32()?, r.bytes.number32()?)))?;
        if let Some((id, identity)) = ids {
            (end.id, end.identity) = (id, Identity(identity));
        }
        Some(())
    };
    ids(flag::SOURCE_IDS, &mut flow.source)?;
    ids(flag::DESTINATION_IDS, &mut flow.destination)?;
    let Some(flags) = read.when(flag::MORE_NAMES, |r| r.bytes.u8())? else { return Some(()) };
    let mut service = |flag: u8| -> Option<Option<Arc<ServiceName>>> {
        if flags & flag == 0 { Some(None) } else { of!(Service)(read.name()?).map(Some) }
    };
    flow.source_service = service(more::SOURCE_SERVICE)?;
    flow.destination_service = service(more::DESTINATION_SERVICE)?;
    let mut list = |flag: u8| -> Option<Vec<Arc<str>>> {
        if flags & flag == 0 {
            return Some(Vec::new());
        }
        (0..read.bytes.number()?).map(|_| of!(Text)(read.name()?)).collect()
    };
    flow.source_names = list(more::SOURCE_NAMES)?;
    flow.destination_names = list(more::DESTINATION_NAMES)?;
    Some(())
}

fn read_place(flow: &mut Flow, read: &mut Read<'_, '_, '_>) -> Option<()> {
    flow.site = read.named(flag::SITE, of!(Site))?;
    flow.node_name = read.named(flag::NODE, of!(Text))?;
    flow.interface = read.named(flag::INTERFACE, of!(Interface))?;
    flow.netns = read.named(flag::NETNS, of!(Netns))?;
    flow.process = read.named(flag::PROCESS, of!(Process))?;
    flow.incoming_ifindex = read.when(flag::INCOMING, |r| r.bytes.number32())?;
    flow.cgroup_id = read.when(flag::CGROUP, |r| r.bytes.number())?;
    flow.mark = read.when(flag::MARK, |r| r.bytes.number32())?;
    flow.length = read.when(flag::LENGTH, |r| r.bytes.number32())?;
    flow.is_reply = read.hot.has(flag::REPLY_KNOWN).then(|| read.hot.has(flag::REPLY));
    Some(())
}

fn read_remote(flow: &mut Flow, read: &mut Read<'_, '_, '_>) -> Option<()> {
    let Some(flags) = read.when(flag::REMOTE, |r| r.bytes.u8())? else { return Some(()) };
    flow.benign = flags & remote::BENIGN != 0;
    if flags & remote::MEANING != 0 {
        flow.meaning = Some(of!(Text)(read.name()?)?);
    }
    if flags & remote::STACK != 0 {
        flow.stack = Some(of!(Stack)(read.name()?)?);
    }
    if flags & remote::FRAME != 0 {
        let (length, len) = (read.bytes.number32()?, read.bytes.len()?);
        let without_mac = flags & remote::FRAME_WITHOUT_MAC != 0;
        flow.frame = Some(Box::new(Frame { bytes: read.bytes.take(len)?.into(), length, without_mac }));
    }
    let mut text = |flag: u8| -> Option<Option<Box<str>>> {
        if flags & flag == 0 { Some(None) } else { read.bytes.text().map(|t| Some(t.into())) }
    };
    flow.remote_summary = text(remote::SUMMARY)?;
    flow.remote_arp = text(remote::ARP)?;
    flow.remote_inner = text(remote::INNER)?;
    Some(())
}
