//! Headers.

use std::net::IpAddr;

use super::bytes::{Bytes, put_number};
use crate::flow::{
    Arp, Ethernet, Fragment, IcmpMessage, Inner, Ip, L4, Packet, ParseProblem, TcpFlags, Vlan,
};

/// Packets in packets are followed so far. Capture follows one.
const DEPTH: usize = 8;

const PROBLEMS: [ParseProblem; 5] = [
    ParseProblem::NoBytes,
    ParseProblem::Truncated,
    ParseProblem::Malformed,
    ParseProblem::TooDeep,
    ParseProblem::Unwritten,
];

/// Headers that few packets have.
mod more {
    pub(super) const VLAN: u8 = 1;
    pub(super) const ARP: u8 = 2;
    pub(super) const FRAGMENT: u8 = 4;
    pub(super) const ICMP_ABOUT: u8 = 8;
    pub(super) const VXLAN: u8 = 16;
    pub(super) const PROBLEM: u8 = 32;
}

/// Headers of a packet inside of another, beside those.
mod inner {
    pub(super) const ETHERNET: u8 = 1;
    pub(super) const ETHER_TYPE: u8 = 2;
    pub(super) const IP: u8 = 4;
    pub(super) const SOURCE_V6: u8 = 8;
    pub(super) const DESTINATION_V6: u8 = 16;
    pub(super) const L4: u8 = 32;
}

pub(super) fn put_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
}

pub(super) fn address(bytes: &mut Bytes<'_>, v6: bool) -> Option<IpAddr> {
    if v6 { bytes.array::<16>().map(IpAddr::from) } else { bytes.array::<4>().map(IpAddr::from) }
}

/// Which protocol, and TCP's flags: of a transport header what few values there are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct L4Shape {
    kind: u8,
    flags: TcpFlags,
}

/// Most bytes of a transport header beside its shape.
pub(super) const LONGEST_L4: usize = 5;

mod kind {
    pub(super) const TCP: u8 = 0;
    pub(super) const UDP: u8 = 1;
    pub(super) const SCTP: u8 = 2;
    /// With the type of its first chunk.
    pub(super) const SCTP_CHUNK: u8 = 3;
    pub(super) const ICMPV4: u8 = 4;
    pub(super) const ICMPV6: u8 = 5;
    pub(super) const VRRP: u8 = 6;
    pub(super) const IGMP: u8 = 7;
}

impl L4Shape {
    pub(super) fn of(l4: L4) -> Self {
        let (kind, flags) = match l4 {
            L4::Tcp { flags, .. } => (kind::TCP, flags),
            L4::Udp { .. } => (kind::UDP, TcpFlags(0)),
            L4::Sctp { chunk_type: None, .. } => (kind::SCTP, TcpFlags(0)),
            L4::Sctp { chunk_type: Some(_), .. } => (kind::SCTP_CHUNK, TcpFlags(0)),
            L4::Icmpv4(_) => (kind::ICMPV4, TcpFlags(0)),
            L4::Icmpv6(_) => (kind::ICMPV6, TcpFlags(0)),
            L4::Vrrp { .. } => (kind::VRRP, TcpFlags(0)),
            L4::Igmp { .. } => (kind::IGMP, TcpFlags(0)),
        };
        Self { kind, flags }
    }

    /// Whether it says all but the ports.
    pub(super) fn is_told_by_ports(self) -> bool {
        matches!(self.kind, kind::TCP | kind::UDP | kind::SCTP)
    }

    /// Bytes of what is beside it.
    pub(super) fn len(self) -> usize {
        match self.kind {
            kind::TCP | kind::UDP | kind::SCTP => 4,
            kind::ICMPV4 | kind::ICMPV6 => 2,
            kind::VRRP => 3,
            // Chunks of SCTP, IGMP.
            _ => LONGEST_L4,
        }
    }
}

pub(super) fn put_l4_shape(shape: L4Shape, out: &mut Vec<u8>) {
    out.push(shape.kind);
    if shape.kind == kind::TCP {
        out.extend_from_slice(&shape.flags.0.to_le_bytes());
    }
}

pub(super) fn l4_shape(bytes: &mut Bytes<'_>) -> Option<L4Shape> {
    let kind = bytes.u8().filter(|kind| *kind <= kind::IGMP)?;
    let flags = if kind == kind::TCP { TcpFlags(bytes.u16()?) } else { TcpFlags(0) };
    Some(L4Shape { kind, flags })
}

/// All but the shape.
pub(super) fn put_l4(l4: L4, out: &mut Vec<u8>) {
    if let Some((source, destination)) = l4.ports() {
        out.extend_from_slice(&source.to_le_bytes());
        out.extend_from_slice(&destination.to_le_bytes());
    }
    match l4 {
        L4::Tcp { .. } | L4::Udp { .. } | L4::Sctp { chunk_type: None, .. } => {}
        L4::Sctp { chunk_type: Some(chunk), .. } => out.push(chunk),
        L4::Icmpv4(IcmpMessage { kind, code }) | L4::Icmpv6(IcmpMessage { kind, code }) => {
            out.extend_from_slice(&[kind, code]);
        }
        L4::Vrrp { kind, vrid, priority } => out.extend_from_slice(&[kind, vrid, priority]),
        L4::Igmp { kind, group } => {
            out.push(kind);
            out.extend_from_slice(&group.octets());
        }
    }
}

/// A number, not zero, that no other header has, by its bytes as [`put_l4`] wrote them.
pub(super) fn l4_key(shape: L4Shape, bytes: Bytes<'_>) -> u64 {
    let own = &bytes.0[..bytes.0.len().min(shape.len())];
    let beside = match own {
        &[a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        other => other.iter().fold(0, |key, byte| key << 8 | u64::from(*byte)),
    };
    u64::from(shape.kind + 1) << 56 | u64::from(shape.flags.0) << 40 | beside
}

/// A number, not zero, of the protocol and the port that lies at an offset; without ports of the protocol alone.
pub(super) fn port_key(shape: L4Shape, offset: usize, bytes: Bytes<'_>) -> u64 {
    let has_ports = matches!(shape.kind, kind::TCP | kind::UDP | kind::SCTP | kind::SCTP_CHUNK);
    let port = match bytes.0.get(offset..offset + 2) {
        Some(&[low, high]) if has_ports => u64::from(u16::from_le_bytes([low, high])),
        _ => 0,
    };
    u64::from(shape.kind + 1) << 16 | port
}

/// A transport header of this shape.
pub(super) fn l4_of(shape: L4Shape, bytes: &mut Bytes<'_>) -> Option<L4> {
    if shape.kind <= kind::SCTP_CHUNK {
        let (source_port, destination_port) = (bytes.u16()?, bytes.u16()?);
        return Some(match shape.kind {
            kind::TCP => L4::Tcp { source_port, destination_port, flags: shape.flags },
            kind::UDP => L4::Udp { source_port, destination_port },
            kind::SCTP => L4::Sctp { source_port, destination_port, chunk_type: None },
            _ => L4::Sctp { source_port, destination_port, chunk_type: Some(bytes.u8()?) },
        });
    }
    let (first, second) = (bytes.u8()?, bytes);
    Some(match shape.kind {
        kind::ICMPV4 => L4::Icmpv4(IcmpMessage { kind: first, code: second.u8()? }),
        kind::ICMPV6 => L4::Icmpv6(IcmpMessage { kind: first, code: second.u8()? }),
        kind::VRRP => L4::Vrrp { kind: first, vrid: second.u8()?, priority: second.u8()? },
        _ => L4::Igmp { kind: first, group: second.array::<4>()?.into() },
    })
}

/// Of the IP header all but the addresses, and the fragment, which few have.
pub(super) fn put_ip(ip: Ip, out: &mut Vec<u8>) {
    out.extend_from_slice(&[ip.protocol, ip.ttl]);
    put_number(out, ip.total_length.into());
}

pub(super) fn ip(bytes: &mut Bytes<'_>, [source, destination]: [IpAddr; 2]) -> Option<Ip> {
    let [protocol, ttl] = bytes.array()?;
    let total_length = bytes.number32()?;
    Some(Ip { source, destination, protocol, ttl, total_length, fragment: None })
}

pub(super) fn has_more(packet: &Packet) -> bool {
    packet.vlan.is_some()
        || packet.arp.is_some()
        || packet.ip.is_some_and(|ip| ip.fragment.is_some())
        || packet.inner.is_some()
        || packet.problem.is_some()
}

pub(super) fn put_more(packet: &Packet, out: &mut Vec<u8>) {
    put_more_within(packet, DEPTH, out);
}

fn put_more_within(packet: &Packet, depth: usize, out: &mut Vec<u8>) {
    let at = out.len();
    let mut flags = 0;
    out.push(0);
    if let Some(Vlan { id, priority }) = packet.vlan {
        flags |= more::VLAN;
        out.extend_from_slice(&id.to_le_bytes());
        out.push(priority);
    }
    if let Some(Arp { operation, sender, target }) = packet.arp {
        flags |= more::ARP;
        out.extend_from_slice(&operation.to_le_bytes());
        out.extend_from_slice(&sender.octets());
        out.extend_from_slice(&target.octets());
    }
    if let Some(Fragment { offset, more, id }) = packet.ip.and_then(|ip| ip.fragment) {
        flags |= more::FRAGMENT;
        out.extend_from_slice(&offset.to_le_bytes());
        out.push(u8::from(more));
        put_number(out, id.into());
    }
    if let Some(problem) = packet.problem {
        flags |= more::PROBLEM;
        let number = PROBLEMS.iter().position(|p| *p == problem).unwrap_or_default();
        out.push(u8::try_from(number).unwrap_or_default());
    }
    match packet.inner.as_ref().filter(|_| depth > 0) {
        Some(Inner::IcmpAbout(packet)) => {
            flags |= more::ICMP_ABOUT;
            put_whole(packet, depth - 1, out);
        }
        Some(Inner::Vxlan { vni, packet }) => {
            flags |= more::VXLAN;
            put_number(out, (*vni).into());
            put_whole(packet, depth - 1, out);
        }
        None => {}
    }
    out[at] = flags;
}

pub(super) fn more(bytes: &mut Bytes<'_>, packet: &mut Packet) -> Option<()> {
    more_within(bytes, packet, DEPTH)
}

fn more_within(bytes: &mut Bytes<'_>, packet: &mut Packet, depth: usize) -> Option<()> {
    let flags = bytes.u8()?;
    let has = |flag: u8| flags & flag != 0;
    if has(more::VLAN) {
        packet.vlan = Some(Vlan { id: bytes.u16()?, priority: bytes.u8()? });
    }
    if has(more::ARP) {
        let operation = bytes.u16()?;
        let (sender, target) = (bytes.array::<4>()?.into(), bytes.array::<4>()?.into());
        packet.arp = Some(Arp { operation, sender, target });
    }
    if has(more::FRAGMENT) {
        let (offset, more, id) = (bytes.u16()?, bytes.u8()? != 0, bytes.number32()?);
        packet.ip.as_mut()?.fragment = Some(Fragment { offset, more, id });
    }
    if has(more::PROBLEM) {
        packet.problem = Some(*PROBLEMS.get(usize::from(bytes.u8()?))?);
    }
    if has(more::ICMP_ABOUT) {
        packet.inner = Some(Inner::IcmpAbout(whole(bytes, depth.checked_sub(1)?)?));
    } else if has(more::VXLAN) {
        let vni = bytes.number32()?;
        packet.inner = Some(Inner::Vxlan { vni, packet: whole(bytes, depth.checked_sub(1)?)? });
    }
    Some(())
}

/// A packet inside of another: all its headers, here.
fn put_whole(packet: &Packet, depth: usize, out: &mut Vec<u8>) {
    let at = out.len();
    let mut flags = 0;
    out.push(0);
    if let Some(Ethernet { source, destination }) = packet.ethernet {
        flags |= inner::ETHERNET;
        out.extend_from_slice(&source);
        out.extend_from_slice(&destination);
    }
    if let Some(ether_type) = packet.ether_type {
        flags |= inner::ETHER_TYPE;
        out.extend_from_slice(&ether_type.to_le_bytes());
    }
    if let Some(ip) = packet.ip {
        flags |= inner::IP;
        flags |= if ip.source.is_ipv6() { inner::SOURCE_V6 } else { 0 };
        flags |= if ip.destination.is_ipv6() { inner::DESTINATION_V6 } else { 0 };
        put_address(ip.source, out);
        put_address(ip.destination, out);
        put_ip(ip, out);
    }
    if let Some(l4) = packet.l4 {
        flags |= inner::L4;
        put_l4_shape(L4Shape::of(l4), out);
        put_l4(l4, out);
    }
    out[at] = flags;
    put_more_within(packet, depth, out);
}

fn whole(bytes: &mut Bytes<'_>, depth: usize) -> Option<Box<Packet>> {
    let flags = bytes.u8()?;
    let has = |flag: u8| flags & flag != 0;
    let mut packet = Packet::default();
    if has(inner::ETHERNET) {
        packet.ethernet = Some(Ethernet { source: bytes.array()?, destination: bytes.array()? });
    }
    if has(inner::ETHER_TYPE) {
        packet.ether_type = Some(bytes.u16()?);
    }
    if has(inner::IP) {
        let source = address(bytes, has(inner::SOURCE_V6))?;
        let destination = address(bytes, has(inner::DESTINATION_V6))?;
        packet.ip = Some(ip(bytes, [source, destination])?);
    }
    if has(inner::L4) {
        let shape = l4_shape(bytes)?;
        packet.l4 = Some(l4_of(shape, bytes)?);
    }
    more_within(bytes, &mut packet, depth)?;
    Some(Box::new(packet))
}
