//! What follows the network header.

use std::net::Ipv4Addr;

use network_types::icmp::{Icmpv4Hdr, Icmpv6Hdr};
use network_types::sctp::SctpHdr;
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;
use network_types::vxlan::VxlanHdr;

use super::{Depth, IPV4, IPV6, frame, is_ether_type, network};
use crate::decode::bytes::{be16, header};
use crate::flow::{IcmpMessage, Inner, L4, Packet, ParseProblem, TcpFlags};

const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const VRRP: u8 = 112;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// IANA's VXLAN port, and the kernel's and flannel's default.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// The I flag: the VNI is valid; all other bits are reserved (RFC 7348, section 5).
const VXLAN_I: u8 = 0x08;

pub(super) fn parse(packet: &mut Packet, protocol: u8, bytes: &[u8], depth: Depth) {
    let l4 = match protocol {
        TCP => tcp(bytes),
        UDP | UDP_LITE => udp(packet, bytes, depth),
        SCTP => sctp(bytes),
        ICMP => icmp(packet, bytes, depth),
        ICMPV6 => icmpv6(packet, bytes, depth),
        IGMP => igmp(bytes),
        VRRP => vrrp(bytes),
        _ => return,
    };
    packet.l4 = l4;
    if packet.l4.is_none() {
        packet.problem = Some(ParseProblem::Truncated);
    }
}

/// Ports and flags stand in the first 14 bytes: an ICMP error may quote no more, often just 8.
fn tcp(bytes: &[u8]) -> Option<L4> {
    let (source_port, destination_port) = ports(bytes)?;
    // network-types has no accessor for the nine flags together.
    let flags = be16(bytes, 12).map_or(0, |word| word & 0x1ff);
    debug_assert_eq!(TcpHdr::LEN, 20);
    Some(L4::Tcp { source_port, destination_port, flags: TcpFlags(flags) })
}

fn ports(bytes: &[u8]) -> Option<(u16, u16)> {
    Some((be16(bytes, 0)?, be16(bytes, 2)?))
}

fn udp(packet: &mut Packet, bytes: &[u8], depth: Depth) -> Option<L4> {
    let (source_port, destination_port) = ports(bytes)?;
    if depth == Depth::Outer
        && VXLAN_PORTS.contains(&destination_port)
        && let Some((_, rest)) = header::<UdpHdr>(bytes)
    {
        packet.inner = vxlan(rest);
    }
    Some(L4::Udp { source_port, destination_port })
}

fn vxlan(bytes: &[u8]) -> Option<Inner> {
    let (vxlan, rest) = header::<VxlanHdr>(bytes)?;
    if vxlan.flags != VXLAN_I || vxlan._reserved1 != [0; 3] || vxlan._reserved2 != 0 {
        return None;
    }
    let [high, middle, low] = vxlan.vni;
    let vni = u32::from_be_bytes([0, high, middle, low]);
    let packet = frame(rest, Depth::Inner);
    packet.ether_type.is_some_and(is_ether_type).then(|| Inner::Vxlan { vni, packet: Box::new(packet) })
}

fn sctp(bytes: &[u8]) -> Option<L4> {
    let (source_port, destination_port) = ports(bytes)?;
    let chunk_type = header::<SctpHdr>(bytes).and_then(|(_, rest)| rest.first().copied());
    Some(L4::Sctp { source_port, destination_port, chunk_type })
}

fn icmp(packet: &mut Packet, bytes: &[u8], depth: Depth) -> Option<L4> {
    let (kind, code) = (*bytes.first()?, *bytes.get(1)?);
    // Unreachable, source quench, redirect, time exceeded, parameter problem quote the packet (RFC 792).
    if depth == Depth::Outer
        && matches!(kind, 3 | 4 | 5 | 11 | 12)
        && let Some((_, rest)) = header::<Icmpv4Hdr>(bytes)
    {
        packet.inner = about(IPV4, rest);
    }
    Some(L4::Icmpv4(IcmpMessage { kind, code }))
}

fn icmpv6(packet: &mut Packet, bytes: &[u8], depth: Depth) -> Option<L4> {
    let (kind, code) = (*bytes.first()?, *bytes.get(1)?);
    // Types below 128 are errors; 1 to 4 are defined and quote the packet (RFC 4443).
    if depth == Depth::Outer
        && matches!(kind, 1..=4)
        && let Some((_, rest)) = header::<Icmpv6Hdr>(bytes)
    {
        packet.inner = about(IPV6, rest);
    }
    Some(L4::Icmpv6(IcmpMessage { kind, code }))
}

fn about(ether_type: u16, bytes: &[u8]) -> Option<Inner> {
    let packet = network(Some(ether_type), bytes, Depth::Inner);
    packet.ip.is_some().then(|| Inner::IcmpAbout(Box::new(packet)))
}

fn igmp(bytes: &[u8]) -> Option<L4> {
    let group: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    Some(L4::Igmp { kind: bytes[0], group: Ipv4Addr::from(group) })
}

/// VRRP versions 2 and 3 agree in these bytes (RFC 3768, RFC 5798).
fn vrrp(bytes: &[u8]) -> Option<L4> {
    Some(L4::Vrrp { kind: bytes.first()? & 0xf, vrid: *bytes.get(1)?, priority: *bytes.get(2)? })
}
