//! A packet that died before its IP header was written: what its socket knows of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netdrop_common::event::{Ends, flag};

use super::{IPV4, IPV6, transport};
use crate::decode::DropEvent;
use crate::flow::{Ip, L4, Packet, ParseProblem};

const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_LITE: u8 = 136;

/// Addresses and ports are the socket's. One that has no other end (any more) knows none, and the bytes don't either.
pub(super) fn parse(event: &DropEvent, ends: &Ends) -> Packet {
    let unknown =
        Packet { ether_type: event.protocol(), problem: Some(ParseProblem::Unwritten), ..Packet::default() };
    let (source, destination) = (address(ends.family, ends.source), address(ends.family, ends.destination));
    let ports = [ends.source_port, ends.destination_port].map(u16::from_be_bytes);
    if source.is_unspecified() || destination.is_unspecified() || ports.contains(&0) {
        return unknown;
    }
    // A socket for both speaks IPv4 to a peer of that.
    let (source, destination) = (source.to_canonical(), destination.to_canonical());
    if source.is_ipv4() != destination.is_ipv4() {
        return unknown;
    }
    let ip = Ip { source, destination, protocol: ends.protocol, ttl: 0, total_length: 0, fragment: None };
    Packet {
        ether_type: Some(if source.is_ipv4() { IPV4 } else { IPV6 }),
        ip: Some(ip),
        l4: l4(event, ends.protocol, ports),
        ..unknown
    }
}

fn address(family: u8, bytes: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    if family == 4 { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(bytes).into() }
}

/// TCP writes its own header first, so it may be there with its flags.
fn l4(event: &DropEvent, protocol: u8, [source_port, destination_port]: [u16; 2]) -> Option<L4> {
    match protocol {
        TCP => {}
        UDP | UDP_LITE => return Some(L4::Udp { source_port, destination_port }),
        _ => return None,
    }
    let mut written = Packet::default();
    if event.has(flag::HEAD_DATA) {
        transport::parse(&mut written, TCP, event.head(), super::Depth::Inner);
    }
    Some(match written.l4 {
        Some(tcp @ L4::Tcp { .. }) if tcp.ports() == Some((source_port, destination_port)) => tcp,
        _ => L4::Tcp { source_port, destination_port, flags: crate::flow::TcpFlags::default() },
    })
}

#[cfg(test)]
mod tests {
    use netdrop_common::event::{ABI_VERSION, DropRecord, UNWRITTEN_HEAD};
    use netdrop_common::hook;

    use super::*;
    use crate::decode;
    use crate::flow::TcpFlags;

    /// The bytes of a record of `head`, whose socket has these ends.
    fn record(flags: u32, head: &[u8], ends: &Ends) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<DropRecord>()];
        bytes[..2].copy_from_slice(&[ABI_VERSION, hook::KFREE_SKB]);
        bytes[2..4].copy_from_slice(&264u16.to_ne_bytes());
        bytes[4..8].copy_from_slice(&(flags | flag::UNWRITTEN | flag::SOCKET).to_ne_bytes());
        bytes[std::mem::offset_of!(DropRecord, head_len)] = u8::try_from(head.len()).unwrap();
        bytes[136..136 + head.len()].copy_from_slice(head);
        let tail = &mut bytes[136 + UNWRITTEN_HEAD..];
        tail[..16].copy_from_slice(&ends.source);
        tail[16..32].copy_from_slice(&ends.destination);
        tail[32..34].copy_from_slice(&ends.source_port);
        tail[34..36].copy_from_slice(&ends.destination_port);
        tail[36..38].copy_from_slice(&[ends.family, ends.protocol]);
        bytes
    }

    fn parsed(flags: u32, head: &[u8], ends: &Ends) -> Packet {
        decode::parse(&DropEvent::decode(&record(flags, head, ends)).unwrap())
    }

    fn ends(family: u8, addresses: [&str; 2], protocol: u8) -> Ends {
        let bytes = |text: &str| match text.parse().unwrap() {
            IpAddr::V4(v4) => {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&v4.octets());
                bytes
            }
            IpAddr::V6(v6) => v6.octets(),
        };
        Ends {
            source: bytes(addresses[0]),
            destination: bytes(addresses[1]),
            source_port: 40_000u16.to_be_bytes(),
            destination_port: 443u16.to_be_bytes(),
            family,
            protocol,
            _pad: [0; 2],
        }
    }

    /// 40000 to 443, with PSH and ACK.
    const HEADER: [u8; 20] = [0x9c, 0x40, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0, 9, 0, 0, 0, 0];

    #[test]
    fn a_connection_names_its_ends_and_the_header_its_flags() {
        let packet = parsed(flag::HEAD_DATA, &HEADER, &ends(4, ["10.0.0.1", "10.0.0.2"], 6));
        let ip = packet.ip.unwrap();
        assert_eq!((ip.source, ip.destination), ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()));
        let flags = TcpFlags(0x18);
        assert_eq!(packet.l4, Some(L4::Tcp { source_port: 40_000, destination_port: 443, flags }));
        assert_eq!((packet.ether_type, packet.problem), (Some(IPV4), Some(ParseProblem::Unwritten)));
        let mut other = HEADER;
        other[1] = 1;
        let flags = TcpFlags::default();
        for (kind, head) in
            [(flag::HEAD_DATA, &other[..]), (flag::HEAD_DATA, &[]), (flag::HEAD_NETWORK, &HEADER)]
        {
            let packet = parsed(kind, head, &ends(4, ["10.0.0.1", "10.0.0.2"], 6));
            let expected = L4::Tcp { source_port: 40_000, destination_port: 443, flags };
            assert_eq!(packet.l4, Some(expected), "another's header is not believed");
        }
    }

    #[test]
    fn ipv6_and_datagrams_and_peers_of_ipv4() {
        let packet = parsed(flag::HEAD_NETWORK, &[0x45; 40], &ends(6, ["fd00::1", "fd00::2"], 17));
        assert_eq!(packet.ip.unwrap().destination, "fd00::2".parse::<IpAddr>().unwrap());
        assert_eq!(packet.l4, Some(L4::Udp { source_port: 40_000, destination_port: 443 }));
        assert_eq!(packet.ether_type, Some(IPV6));
        let raw = parsed(flag::HEAD_NETWORK, &[0x45; 40], &ends(6, ["fd00::1", "fd00::2"], 99));
        assert_eq!((raw.ip.unwrap().protocol, raw.l4), (99, None), "its ports are not ports");
        let mapped = parsed(flag::HEAD_DATA, &HEADER, &ends(6, ["::ffff:10.0.0.1", "::ffff:10.0.0.2"], 6));
        assert_eq!(mapped.ip.unwrap().source, "10.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(mapped.ether_type, Some(IPV4));
    }

    #[test]
    fn a_socket_without_another_end_knows_nothing() {
        let listener = ends(4, ["10.0.0.1", "0.0.0.0"], 6);
        let closed = Ends { destination_port: [0; 2], ..ends(4, ["10.0.0.1", "10.0.0.2"], 6) };
        let odd = ends(6, ["::ffff:10.0.0.1", "fd00::2"], 6);
        for ends in [listener, closed, odd, ends(6, ["::", "fd00::2"], 17)] {
            let packet = parsed(flag::HEAD_DATA, &[0x45; 60], &ends);
            assert_eq!((packet.ip, packet.l4), (None, None), "{ends:?}");
            assert_eq!(packet.problem, Some(ParseProblem::Unwritten));
        }
    }

    #[test]
    fn the_bytes_end_before_the_ends() {
        let ends = ends(4, ["10.0.0.1", "10.0.0.2"], 6);
        let mut long = record(flag::HEAD_DATA, &[0; UNWRITTEN_HEAD], &ends);
        assert_eq!(DropEvent::decode(&long).unwrap().head().len(), UNWRITTEN_HEAD);
        long[std::mem::offset_of!(DropRecord, head_len)] += 1;
        assert!(DropEvent::decode(&long).is_err());
    }
}
