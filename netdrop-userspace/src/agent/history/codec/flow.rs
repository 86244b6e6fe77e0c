//! A flow, every field of it.

use jiff::Timestamp;

use super::Base;
use super::bytes::{Bytes, put_number, put_signed, put_span, put_text};
use super::hot::{Hot, flag};
use super::likeness;
use super::names::{Dictionary, Name, Names};
use super::packet;
use crate::flow::{Flow, Frame, Tally, TallyKind};

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
pub(super) struct Put<'a> {
    pub(super) flags: u32,
    pub(super) names: &'a mut Names,
    /// What it has in common with others.
    pub(super) like: Vec<u8>,
    out: Vec<u8>,
}

impl Put<'_> {
    fn id(&mut self, flag: u32, id: impl FnOnce(&mut Names) -> Option<u64>) {
        if let Some(id) = id(self.names) {
            self.number(flag, id);
        }
    }

    /// A name that many flows have in common.
    pub(super) fn alike(&mut self, flag: u32, id: impl FnOnce(&mut Names) -> Option<u64>) {
        if let Some(id) = id(self.names) {
            self.flags |= flag;
            put_number(&mut self.like, id);
        }
    }

    fn number(&mut self, flag: u32, n: u64) {
        self.flags |= flag;
        put_number(&mut self.out, n);
    }

    pub(super) fn set(&mut self, flag: u32, on: bool) -> bool {
        self.flags |= if on { flag } else { 0 };
        on
    }
}

pub(super) fn put(flow: &Flow, base: Base, names: &mut Names, out: &mut Vec<u8>) {
    let [like, mut body] = std::mem::take(&mut names.parts);
    body.clear();
    let mut put = Put { flags: 0, names, like, out: body };
    likeness::put(flow, &mut put);
    put_hot(flow, &mut put);
    put_event(flow, base, &mut put);
    put_headers(flow, &mut put);
    put_place(flow, &mut put);
    put_remote(flow, &mut put);
    let Put { flags, names, mut like, out: body } = put;
    like[..4].copy_from_slice(&flags.to_le_bytes());
    put_number(out, names.likeness(&like));
    out.extend_from_slice(&body);
    names.parts = [like, body];
}

/// As [`Hot`] reads it.
fn put_hot(flow: &Flow, put: &mut Put<'_>) {
    if let Some(ip) = flow.packet.ip {
        put.flags |= flag::IP;
        put.set(flag::SOURCE_V6, ip.source.is_ipv6());
        put.set(flag::DESTINATION_V6, ip.destination.is_ipv6());
        packet::put_address(ip.source, &mut put.out);
        packet::put_address(ip.destination, &mut put.out);
    }
    if let Some(l4) = flow.packet.l4 {
        packet::put_l4(l4, &mut put.out);
    }
    if let Some(uuid) = flow.uuid {
        put.flags |= flag::UUID;
        put.out.extend_from_slice(uuid.as_bytes());
    }
    put.id(flag::SOURCE, |names| flow.source.info.as_ref().map(|i| names.endpoint(i)));
    put.id(flag::DESTINATION, |names| flow.destination.info.as_ref().map(|i| names.endpoint(i)));
    put.id(flag::PROCESS, |names| flow.process.as_ref().map(|p| names.process(p)));
}

fn put_event(flow: &Flow, base: Base, put: &mut Put<'_>) {
    let time = flow.time.as_nanosecond();
    if let Some(ns) = flow.monotonic_ns {
        put.flags |= flag::MONOTONIC;
        put_signed(&mut put.out, ns.wrapping_sub(base.monotonic(time)).cast_signed());
    }
    let Tally { kind, count, bytes, first, last } = flow.tally;
    let one = kind == TallyKind::Packet && count == 1 && first == flow.time && last == flow.time;
    if put.set(flag::TALLY, !one) {
        let number = KINDS.iter().position(|k| *k == kind).unwrap_or_default();
        put.out.push(u8::try_from(number).unwrap_or_default());
        put_number(&mut put.out, count);
        put_span(&mut put.out, first.as_nanosecond() - time);
        put_span(&mut put.out, last.as_nanosecond() - time);
    }
    if bytes != flow.length.map_or(0, u64::from) {
        put.number(flag::BYTES, bytes);
    }
}

fn put_headers(flow: &Flow, put: &mut Put<'_>) {
    if let Some(ip) = flow.packet.ip {
        packet::put_ip(ip, &mut put.out);
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
        packet::put_more(&flow.packet, &mut put.out);
    }
}

fn put_place(flow: &Flow, put: &mut Put<'_>) {
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
            put_number(&mut put.out, put.names.text(meaning));
        }
        if let Some(stack) = &flow.stack {
            put_number(&mut put.out, put.names.stack(stack));
        }
        if let Some(frame) = &flow.frame {
            put_number(&mut put.out, frame.length.into());
            put_number(&mut put.out, frame.bytes.len() as u64);
            put.out.extend_from_slice(&frame.bytes);
        }
        texts.iter().filter_map(|(_, text)| text.as_deref()).for_each(|text| put_text(&mut put.out, text));
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
    read_place(flow, read)?;
    read_remote(flow, read)?;
    if !hot.has(flag::BYTES) {
        flow.tally.bytes = flow.length.map_or(0, u64::from);
    }
    read.bytes.0.is_empty().then_some(())
}

fn read_hot(flow: &mut Flow, read: &mut Read<'_, '_, '_>) -> Option<()> {
    let [source, destination, process] = read.hot.names;
    if let Some(id) = source {
        flow.source.info = Some(of!(Endpoint)(read.names.get(id)?)?);
    }
    if let Some(id) = destination {
        flow.destination.info = Some(of!(Endpoint)(read.names.get(id)?)?);
    }
    if let Some(id) = process {
        flow.process = Some(of!(Process)(read.names.get(id)?)?);
    }
    flow.packet.l4 = read.hot.l4;
    flow.uuid = read.hot.uuid.map(uuid::Uuid::from_bytes);
    Some(())
}

fn read_event(flow: &mut Flow, base: Base, read: &mut Read<'_, '_, '_>) -> Option<()> {
    let time = flow.time;
    flow.monotonic_ns = read.when(flag::MONOTONIC, |r| {
        Some(base.monotonic(time.as_nanosecond()).wrapping_add(r.bytes.signed()?.cast_unsigned()))
    })?;
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

fn read_place(flow: &mut Flow, read: &mut Read<'_, '_, '_>) -> Option<()> {
    flow.incoming_ifindex = read.when(flag::INCOMING, |r| r.bytes.number32())?;
    flow.cgroup_id = read.when(flag::CGROUP, |r| r.bytes.number())?;
    flow.mark = read.when(flag::MARK, |r| r.bytes.number32())?;
    flow.length = read.when(flag::LENGTH, |r| r.bytes.number32())?;
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
