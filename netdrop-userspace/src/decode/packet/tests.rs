use proptest::prelude::*;

use super::*;
use crate::flow::{IcmpMessage, Inner, L4, TcpFlags};

fn ipv4_header(protocol: u8, frags: u16, options: usize, payload: usize) -> Vec<u8> {
    let total = u16::try_from(20 + options + payload).unwrap();
    let mut h = vec![0x40 | u8::try_from(5 + options / 4).unwrap(), 0];
    h.extend(total.to_be_bytes());
    h.extend([0x12, 0x34]);
    h.extend(frags.to_be_bytes());
    h.extend([63, protocol, 0, 0, 10, 1, 1, 2, 10, 1, 2, 3]);
    h.extend(vec![1; options]);
    h
}

fn ipv6_header(next: u8, payload: usize) -> Vec<u8> {
    let mut h = vec![0x60, 0, 0, 0];
    h.extend(u16::try_from(payload).unwrap().to_be_bytes());
    h.extend([next, 64]);
    h.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    h.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    h
}

fn tcp_header(flags: u16) -> Vec<u8> {
    let mut h = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0];
    h.extend((0x5000 | flags).to_be_bytes());
    h.extend([0; 6]);
    h
}

fn udp_header(destination: u16) -> Vec<u8> {
    let mut h = vec![0x9c, 0x40];
    h.extend(destination.to_be_bytes());
    h.extend([0, 20, 0, 0]);
    h
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const TCP_SYN: L4 = L4::Tcp { source_port: 40000, destination_port: 80, flags: TcpFlags(2) };

#[test]
fn ipv4_with_options_and_all_tcp_flags() {
    let p = parse_network(Some(IPV4), &join(&[&ipv4_header(6, 0, 8, 20), &tcp_header(0x1ff)]));
    let ip = p.ip.unwrap();
    assert_eq!((ip.source.to_string(), ip.destination.to_string()), ("10.1.1.2".into(), "10.1.2.3".into()));
    assert_eq!((ip.ttl, ip.total_length, ip.protocol, ip.fragment), (63, 48, 6, None));
    assert_eq!(p.l4, Some(L4::Tcp { source_port: 40000, destination_port: 80, flags: TcpFlags(0x1ff) }));
    assert_eq!(p.problem, None);
}

#[test]
fn only_the_first_fragment_has_ports() {
    let first = parse_network(Some(IPV4), &join(&[&ipv4_header(17, 0x2000, 0, 8), &udp_header(53)]));
    assert_eq!(first.l4, Some(L4::Udp { source_port: 40000, destination_port: 53 }));
    assert_eq!(first.ip.unwrap().fragment, Some(Fragment { offset: 0, more: true, id: 0x1234 }));
    let later = parse_network(Some(IPV4), &join(&[&ipv4_header(17, 185, 0, 8), &udp_header(53)]));
    assert_eq!(later.l4, None);
    assert_eq!(later.ip.unwrap().fragment, Some(Fragment { offset: 1480, more: false, id: 0x1234 }));
    assert_eq!(later.problem, None);
}

#[test]
fn ipv6_extension_headers_are_followed() {
    let hop = [60, 0, 1, 4, 0, 0, 0, 0];
    let destination = [51, 1, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let authentication = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let bytes = join(&[&ipv6_header(0, 56), &hop, &destination, &authentication, &tcp_header(2)]);
    let p = parse_network(Some(IPV6), &bytes);
    assert_eq!((p.l4, p.problem), (Some(TCP_SYN), None));
    assert_eq!(p.ip.unwrap().protocol, 6);
}

#[test]
fn ipv6_fragments() {
    let first = join(&[&ipv6_header(44, 28), &[6, 0, 0, 1, 0, 0, 0, 9], &tcp_header(2)]);
    let p = parse_network(Some(IPV6), &first);
    assert_eq!(p.l4, Some(TCP_SYN));
    assert_eq!(p.ip.unwrap().fragment, Some(Fragment { offset: 0, more: true, id: 9 }));
    let later = join(&[&ipv6_header(44, 28), &[6, 0, 5, 0xa8, 0, 0, 0, 9], &tcp_header(2)]);
    let p = parse_network(Some(IPV6), &later);
    assert_eq!((p.l4, p.ip.unwrap().protocol), (None, 6));
    assert_eq!(p.ip.unwrap().fragment, Some(Fragment { offset: 1448, more: false, id: 9 }));
}

#[test]
fn an_endless_chain_ends() {
    let bytes = join(&[&ipv6_header(0, 80), &[0; 80]]);
    assert_eq!(parse_network(Some(IPV6), &bytes).problem, Some(ParseProblem::TooDeep));
}

#[test]
fn icmp_errors_tell_what_they_are_about() {
    let about = join(&[&ipv4_header(6, 0, 0, 20), &tcp_header(2)]);
    let p = parse_network(Some(IPV4), &join(&[&ipv4_header(1, 0, 0, 48), &[3, 1, 0, 0, 0, 0, 0, 0], &about]));
    assert_eq!(p.l4, Some(L4::Icmpv4(IcmpMessage { kind: 3, code: 1 })));
    let Some(Inner::IcmpAbout(inner)) = p.inner else { panic!("{p:?}") };
    assert_eq!(inner.l4, Some(TCP_SYN));
    let about = join(&[&ipv6_header(6, 20), &tcp_header(2)]);
    let p = parse_network(Some(IPV6), &join(&[&ipv6_header(58, 68), &[1, 4, 0, 0, 0, 0, 0, 0], &about]));
    let Some(Inner::IcmpAbout(inner)) = p.inner else { panic!("{p:?}") };
    assert_eq!(inner.l4, Some(TCP_SYN));
}

#[test]
fn an_echo_has_nothing_inside() {
    let about = ipv4_header(6, 0, 0, 20);
    let p = parse_network(Some(IPV4), &join(&[&ipv4_header(1, 0, 0, 28), &[8, 0, 0, 0, 0, 0, 0, 0], &about]));
    assert_eq!((p.l4, p.inner), (Some(L4::Icmpv4(IcmpMessage { kind: 8, code: 0 })), None));
}

#[test]
fn vxlan_shows_the_inner_frame() {
    let inner =
        join(&[&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0], &ipv4_header(6, 0, 0, 20), &tcp_header(2)]);
    let bytes =
        join(&[&ipv4_header(17, 0, 0, 70), &udp_header(4789), &[8, 0, 0, 0, 0, 0x30, 0x39, 0], &inner]);
    let p = parse_network(Some(IPV4), &bytes);
    let Some(Inner::Vxlan { vni: 12345, packet }) = p.inner else { panic!("{p:?}") };
    assert_eq!(packet.l4, Some(TCP_SYN));
}

#[test]
fn frames_tags_and_arp() {
    let tagged = join(&[
        &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xa8, 0x20, 5, 0x81, 0, 0, 7, 8, 0],
        &ipv4_header(6, 0, 0, 20),
        &tcp_header(2),
    ]);
    let p = parse_ethernet(&tagged);
    assert_eq!(p.vlan, Some(Vlan { id: 5, priority: 1 }));
    assert_eq!((p.l4, p.ether_type), (Some(TCP_SYN), Some(IPV4)));
    assert_eq!(p.ethernet.unwrap().source, [2, 0, 0, 0, 0, 1]);
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    let p = parse_network(Some(ARP), &arp);
    assert_eq!(p.arp, Some(Arp { operation: 1, sender: [10, 0, 0, 1].into(), target: [10, 0, 0, 2].into() }));
}

#[test]
fn other_protocols() {
    let p =
        parse_network(Some(IPV4), &join(&[&ipv4_header(132, 0, 0, 16), &[0x9c, 0x40, 0, 80], &[0; 8], &[1]]));
    assert_eq!(p.l4, Some(L4::Sctp { source_port: 40000, destination_port: 80, chunk_type: Some(1) }));
    let p = parse_network(Some(IPV4), &join(&[&ipv4_header(253, 0, 0, 4), &[1, 2, 3, 4]]));
    assert_eq!((p.l4, p.ip.unwrap().protocol, p.problem), (None, 253, None));
    let p = parse_network(Some(0x88b5), &[1, 2, 3]);
    assert_eq!((p.ip, p.ether_type, p.problem), (None, Some(0x88b5), None));
}

/// What fills a frame up is no transport header, however much it looks like one.
#[test]
fn padding_is_not_the_packet() {
    let padding = udp_header(53);
    let p = parse_network(Some(IPV4), &join(&[&ipv4_header(17, 0, 0, 0), &padding]));
    assert_eq!((p.l4, p.ip.unwrap().protocol), (None, 17));
    let p = parse_network(Some(IPV4), &join(&[&ipv4_header(17, 0, 0, 3), &padding]));
    assert_eq!(p.l4, None);
    let short = join(&[&ipv6_header(44, 8), &[17, 0, 0, 1, 0, 0, 0, 9], &padding]);
    let p = parse_network(Some(IPV6), &short);
    assert_eq!((p.l4, p.ip.unwrap().protocol), (None, 17));
    // A GSO packet of more than 64 KiB states 0.
    let mut large = ipv4_header(17, 0, 0, 0);
    large[2..4].fill(0);
    let large = parse_network(Some(IPV4), &join(&[&large, &padding]));
    assert_eq!(large.l4.unwrap().ports(), Some((40000, 53)));
}

#[test]
fn contradictions_are_malformed() {
    let mut h = ipv4_header(6, 0, 0, 20);
    h[0] = 0x44;
    assert_eq!(parse_network(Some(IPV4), &h).problem, Some(ParseProblem::Malformed));
    assert_eq!(parse_network(Some(IPV6), &h.repeat(3)).problem, Some(ParseProblem::Malformed));
}

#[test]
fn without_a_protocol_only_what_fits_is_believed() {
    let p = parse_network(None, &join(&[&ipv4_header(6, 0, 0, 20), &tcp_header(2)]));
    assert_eq!((p.l4, p.ether_type), (Some(TCP_SYN), Some(IPV4)));
    assert_eq!(parse_network(None, &[0x41; 40]).ip, None);
}

#[test]
fn every_cut_tells_a_part_of_the_truth() {
    let hop = [6, 0, 1, 4, 0, 0, 0, 0];
    let whole = [
        (IPV4, join(&[&ipv4_header(6, 0, 8, 20), &tcp_header(0x12)])),
        (IPV6, join(&[&ipv6_header(0, 28), &hop, &tcp_header(0x12)])),
    ];
    for (ether_type, bytes) in whole {
        let truth = parse_network(Some(ether_type), &bytes);
        for end in 0..bytes.len() {
            let cut = parse_network(Some(ether_type), &bytes[..end]);
            if let Some(ip) = cut.ip {
                assert_eq!(
                    (ip.source, ip.destination),
                    (truth.ip.unwrap().source, truth.ip.unwrap().destination)
                );
            }
            if let (Some(l4), Some(true_l4)) = (cut.l4, truth.l4) {
                assert_eq!(l4.ports(), true_l4.ports());
            }
            assert!(cut.l4.is_some() || cut.problem.is_some(), "{end}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_packet(
        bytes in proptest::collection::vec(any::<u8>(), 0..160),
        ether_type in proptest::option::of(prop_oneof![
            Just(IPV4), Just(IPV6), Just(ARP), Just(VLAN_C), Just(VLAN_S), any::<u16>()
        ]),
    ) {
        let p = parse_network(ether_type, &bytes);
        if let Some(l4) = p.l4 {
            prop_assert!(p.ip.is_some(), "{l4:?} without a network header");
        }
        parse_ethernet(&bytes);
    }

    #[test]
    fn plausible_packets_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 40..160), protocol in any::<u8>()) {
        bytes[0] = 0x45;
        bytes[9] = protocol;
        parse_network(Some(IPV4), &bytes);
        bytes[0] = 0x60;
        bytes[6] = protocol;
        parse_network(None, &bytes);
    }
}
