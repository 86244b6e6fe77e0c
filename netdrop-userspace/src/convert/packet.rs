//! Headers, there and back.

use std::net::{IpAddr, Ipv4Addr};

use crate::flow::{Ethernet, IcmpMessage, Ip, L4, Packet, TcpFlags};
use crate::proto::flow as wire;
use crate::proto::flow::layer4::Protocol;

pub(super) fn ethernet(e: Ethernet) -> wire::Ethernet {
    wire::Ethernet { source: mac_text(e.source), destination: mac_text(e.destination) }
}

fn mac_text(mac: [u8; 6]) -> String {
    let mut text = String::with_capacity(17);
    crate::flow::write_mac(mac, &mut text);
    text
}

pub(super) fn ip(ip: Ip) -> wire::Ip {
    wire::Ip {
        source: ip.source.to_string(),
        destination: ip.destination.to_string(),
        ip_version: if ip.source.is_ipv4() { 1 } else { 2 },
        ..wire::Ip::default()
    }
}

pub(crate) fn l4(l4: L4) -> wire::Layer4 {
    let protocol = match l4 {
        L4::Tcp { source_port, destination_port, flags } => Protocol::Tcp(wire::Tcp {
            source_port: source_port.into(),
            destination_port: destination_port.into(),
            flags: Some(flags_to_wire(flags)),
        }),
        L4::Udp { source_port, destination_port } => Protocol::Udp(wire::Udp {
            source_port: source_port.into(),
            destination_port: destination_port.into(),
        }),
        L4::Sctp { source_port, destination_port, .. } => Protocol::Sctp(wire::Sctp {
            source_port: source_port.into(),
            destination_port: destination_port.into(),
            ..wire::Sctp::default()
        }),
        L4::Icmpv4(m) => Protocol::IcmPv4(wire::IcmPv4 { r#type: m.kind.into(), code: m.code.into() }),
        L4::Icmpv6(m) => Protocol::IcmPv6(wire::IcmPv6 { r#type: m.kind.into(), code: m.code.into() }),
        L4::Vrrp { kind, vrid, priority } => {
            Protocol::Vrrp(wire::Vrrp { r#type: kind.into(), vrid: vrid.into(), priority: priority.into() })
        }
        L4::Igmp { kind, group } => {
            Protocol::Igmp(wire::Igmp { r#type: kind.into(), group_address: group.to_string() })
        }
    };
    wire::Layer4 { protocol: Some(protocol) }
}

pub(super) fn flags_to_wire(flags: TcpFlags) -> wire::TcpFlags {
    let has = |bit| flags.contains(TcpFlags(bit));
    wire::TcpFlags {
        fin: has(1),
        syn: has(2),
        rst: has(4),
        psh: has(8),
        ack: has(16),
        urg: has(32),
        ece: has(64),
        cwr: has(128),
        ns: has(256),
    }
}

pub(super) fn flags_from_wire(f: &wire::TcpFlags) -> TcpFlags {
    let set = [f.fin, f.syn, f.rst, f.psh, f.ack, f.urg, f.ece, f.cwr, f.ns];
    TcpFlags((0u16..).zip(set).filter(|(_, on)| *on).fold(0, |bits, (i, _)| bits | 1 << i))
}

/// What of the headers can be told; a value that no header can hold leaves its header out.
pub(super) fn from_wire(
    eth: Option<&wire::Ethernet>,
    ip: Option<&wire::Ip>,
    l4: Option<&wire::Layer4>,
    packet: &mut Packet,
) {
    packet.ethernet = eth.and_then(|e| {
        Some(Ethernet { source: mac_from_text(&e.source)?, destination: mac_from_text(&e.destination)? })
    });
    packet.l4 = l4.and_then(|l4| l4.protocol.as_ref()).and_then(l4_from_wire);
    packet.ip = ip.and_then(|ip| {
        let (source, destination): (IpAddr, IpAddr) = (ip.source.parse().ok()?, ip.destination.parse().ok()?);
        Some(Ip {
            source,
            destination,
            protocol: packet.l4.map_or(0, protocol_number),
            ttl: 0,
            total_length: 0,
            fragment: None,
        })
    });
}

fn mac_from_text(text: &str) -> Option<[u8; 6]> {
    let mut out = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut out {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(out)
}

fn l4_from_wire(p: &Protocol) -> Option<L4> {
    let port = |n: u32| u16::try_from(n).ok();
    let byte = |n: u32| u8::try_from(n).ok();
    Some(match p {
        Protocol::Tcp(t) => L4::Tcp {
            source_port: port(t.source_port)?,
            destination_port: port(t.destination_port)?,
            flags: t.flags.as_ref().map(flags_from_wire).unwrap_or_default(),
        },
        Protocol::Udp(u) => {
            L4::Udp { source_port: port(u.source_port)?, destination_port: port(u.destination_port)? }
        }
        Protocol::Sctp(s) => L4::Sctp {
            source_port: port(s.source_port)?,
            destination_port: port(s.destination_port)?,
            chunk_type: None,
        },
        Protocol::IcmPv4(m) => L4::Icmpv4(IcmpMessage { kind: byte(m.r#type)?, code: byte(m.code)? }),
        Protocol::IcmPv6(m) => L4::Icmpv6(IcmpMessage { kind: byte(m.r#type)?, code: byte(m.code)? }),
        Protocol::Vrrp(v) => {
            L4::Vrrp { kind: byte(v.r#type)?, vrid: byte(v.vrid)?, priority: byte(v.priority)? }
        }
        Protocol::Igmp(i) => {
            L4::Igmp { kind: byte(i.r#type)?, group: i.group_address.parse::<Ipv4Addr>().ok()? }
        }
    })
}

const fn protocol_number(l4: L4) -> u8 {
    match l4 {
        L4::Tcp { .. } => 6,
        L4::Udp { .. } => 17,
        L4::Sctp { .. } => 132,
        L4::Icmpv4(_) => 1,
        L4::Icmpv6(_) => 58,
        L4::Vrrp { .. } => 112,
        L4::Igmp { .. } => 2,
    }
}
