//! Headers of a packet, by network-types; own code where it ends.

mod ipv6;
mod transport;
mod unwritten;

use std::net::{IpAddr, Ipv4Addr};

use netdrop_common::event::flag;
use network_types::arp::ArpHdr;
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;
use network_types::vlan::VlanHdr;

use super::DropEvent;
use super::bytes::header;
use crate::flow::{Arp, Ethernet, Fragment, Ip, Packet, ParseProblem, Vlan};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const VLAN_C: u16 = 0x8100;
const VLAN_S: u16 = 0x88a8;
/// Below this an EtherType field is a length (IEEE 802.3).
const MIN_ETHER_TYPE: u16 = 0x0600;
/// Most VLAN tags that are followed.
const MAX_TAGS: usize = 4;

/// How far packets inside packets are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Outer,
    Inner,
}

/// The headers of a recorded packet.
pub fn parse(event: &DropEvent) -> Packet {
    let bytes = event.head();
    let mut packet = if let Some(ends) = event.ends() {
        unwritten::parse(event, &ends)
    } else if bytes.is_empty() {
        Packet { ether_type: event.protocol(), problem: Some(ParseProblem::NoBytes), ..Packet::default() }
    } else if event.has(flag::HEAD_MAC) {
        parse_ethernet(bytes)
    } else if event.has(flag::HEAD_DATA) {
        unplaced(event.protocol(), bytes)
    } else {
        parse_network(event.protocol(), bytes)
    };
    if packet.ethernet.is_none()
        && let Some((eth, _)) = event.mac().and_then(|mac| header::<EthHdr>(mac))
        && (eth.src_addr, eth.dst_addr) != ([0; 6], [0; 6])
    {
        packet.ethernet = Some(ethernet(&eth));
    }
    if event.has(flag::VLAN) {
        packet.vlan = Some(vlan(event.record().vlan_tci));
    }
    packet
}

/// Neither header was set: the bytes start at `skb->data`, which is the network header once the protocol is known, and a whole
/// frame before.
fn unplaced(protocol: Option<u16>, bytes: &[u8]) -> Packet {
    let as_network = parse_network(protocol, bytes);
    if as_network.ip.is_some() || as_network.arp.is_some() {
        return as_network;
    }
    let as_frame = parse_ethernet(bytes);
    if as_frame.ip.is_some() || as_frame.arp.is_some() { as_frame } else { as_network }
}

/// An Ethernet frame.
pub fn parse_ethernet(bytes: &[u8]) -> Packet {
    frame(bytes, Depth::Outer)
}

pub(super) fn frame(bytes: &[u8], depth: Depth) -> Packet {
    let Some((eth, rest)) = header::<EthHdr>(bytes) else {
        return Packet { problem: Some(ParseProblem::Truncated), ..Packet::default() };
    };
    let mut packet = network(Some(u16::from_be(eth.ether_type)), rest, depth);
    packet.ethernet = Some(ethernet(&eth));
    packet
}

/// A packet from its network header on; `ether_type` as the kernel knew it.
pub fn parse_network(ether_type: Option<u16>, bytes: &[u8]) -> Packet {
    network(ether_type, bytes, Depth::Outer)
}

pub(super) fn network(ether_type: Option<u16>, bytes: &[u8], depth: Depth) -> Packet {
    let mut packet = Packet { ether_type, ..Packet::default() };
    let mut rest = bytes;
    let mut tags = 0;
    while let Some(VLAN_C | VLAN_S) = packet.ether_type {
        let Some((tag, after)) = header::<VlanHdr>(rest) else {
            packet.problem = Some(ParseProblem::Truncated);
            return packet;
        };
        tags += 1;
        if tags > MAX_TAGS {
            packet.problem = Some(ParseProblem::TooDeep);
            return packet;
        }
        packet.vlan.get_or_insert(vlan(u16::from_be_bytes(tag.tci)));
        packet.ether_type = Some(u16::from_be(tag.ether_type));
        rest = after;
    }
    match packet.ether_type {
        Some(IPV4) => ipv4(&mut packet, rest, depth),
        Some(IPV6) => ipv6::parse(&mut packet, rest, depth),
        Some(ARP) => arp(&mut packet, rest),
        None => guess(&mut packet, rest, depth),
        // A length field or a protocol that netdrop only names.
        Some(_) => {}
    }
    packet
}

/// The kernel had not set the protocol yet: believe the version nibble only if the rest fits it.
fn guess(packet: &mut Packet, bytes: &[u8], depth: Depth) {
    let mut attempt = Packet::default();
    match bytes.first().map(|b| b >> 4) {
        Some(4) => ipv4(&mut attempt, bytes, depth),
        Some(6) => ipv6::parse(&mut attempt, bytes, depth),
        _ => return,
    }
    if let Some(ip) = attempt.ip
        && attempt.problem != Some(ParseProblem::Malformed)
        && ip.ttl != 0
    {
        attempt.ether_type = Some(if ip.source.is_ipv4() { IPV4 } else { IPV6 });
        *packet = attempt;
    }
}

fn ipv4(packet: &mut Packet, bytes: &[u8], depth: Depth) {
    let Some((ip, _)) = header::<Ipv4Hdr>(bytes) else {
        packet.problem = Some(ParseProblem::Truncated);
        return;
    };
    let header_len = usize::from(ip.vihl & 0xf) * 4;
    if ip.vihl >> 4 != 4 || header_len < Ipv4Hdr::LEN {
        packet.problem = Some(ParseProblem::Malformed);
        return;
    }
    let frags = u16::from_be_bytes(ip.frags);
    let (offset, more) = ((frags & 0x1fff) * 8, frags & 0x2000 != 0);
    packet.ip = Some(Ip {
        source: IpAddr::V4(Ipv4Addr::from(ip.src_addr)),
        destination: IpAddr::V4(Ipv4Addr::from(ip.dst_addr)),
        protocol: ip.proto,
        ttl: ip.ttl,
        total_length: u32::from(u16::from_be_bytes(ip.tot_len)),
        fragment: (offset != 0 || more).then(|| Fragment {
            offset,
            more,
            id: u32::from(u16::from_be_bytes(ip.id)),
        }),
    });
    if offset != 0 {
        return;
    }
    let stated = usize::from(u16::from_be_bytes(ip.tot_len));
    let own = if stated < header_len { bytes } else { without_padding(bytes, stated) };
    match own.get(header_len..) {
        Some(rest) => transport::parse(packet, ip.proto, rest, depth),
        None => packet.problem = Some(ParseProblem::Truncated),
    }
}

/// A packet without what fills its frame up (Ethernet's least is 60 bytes): that is none of it, and no header.
pub(super) fn without_padding(bytes: &[u8], stated: usize) -> &[u8] {
    bytes.get(..stated).unwrap_or(bytes)
}

fn arp(packet: &mut Packet, bytes: &[u8]) {
    let Some((arp, _)) = header::<ArpHdr>(bytes) else {
        packet.problem = Some(ParseProblem::Truncated);
        return;
    };
    // Other hardware and protocol sizes lay the addresses out differently.
    if (u16::from_be_bytes(arp.ptype), arp.hlen, arp.plen) != (IPV4, 6, 4) {
        packet.problem = Some(ParseProblem::Malformed);
        return;
    }
    packet.arp =
        Some(Arp { operation: u16::from_be_bytes(arp.oper), sender: arp.spa.into(), target: arp.tpa.into() });
}

fn ethernet(eth: &EthHdr) -> Ethernet {
    Ethernet { source: eth.src_addr, destination: eth.dst_addr }
}

fn vlan(tci: u16) -> Vlan {
    Vlan { id: tci & 0xfff, priority: (tci >> 13) as u8 }
}

/// Whether an EtherType field is one, and not a length.
pub(super) fn is_ether_type(field: u16) -> bool {
    field >= MIN_ETHER_TYPE
}

#[cfg(test)]
mod tests;
