use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::flow::{DropReason, DropSite, Fragment, IcmpMessage};

fn dropped(packet: Packet) -> Flow {
    let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
    flow.packet = packet;
    flow.reason = Some(DropReason { code: 3, subsystem: "CORE".into(), name: "NO_SOCKET".into() });
    flow.site =
        Some(DropSite { address: 1, symbol: Some(Arc::from("tcp_v4_rcv")), offset: 0x12, module: None });
    flow
}

fn ip(l4: Option<L4>) -> Packet {
    let ip = Ip {
        source: "10.0.0.1".parse().unwrap(),
        destination: "10.0.0.2".parse().unwrap(),
        protocol: 6,
        ttl: 64,
        total_length: 60,
        fragment: None,
    };
    Packet { ether_type: Some(0x0800), ip: Some(ip), l4, ..Packet::default() }
}

fn tcp(flags: u16) -> Packet {
    ip(Some(L4::Tcp { source_port: 1234, destination_port: 80, flags: TcpFlags(flags) }))
}

#[test]
fn reason_and_symbol_follow_the_flags() {
    assert_eq!(summary(&dropped(tcp(0x12))), "TCP Flags: SYN, ACK; NO_SOCKET at tcp_v4_rcv");
    assert_eq!(
        summary(&dropped(tcp(0x1ff))),
        "TCP Flags: SYN, ACK, RST, FIN, PSH, URG, ECE, CWR, NS; NO_SOCKET at tcp_v4_rcv"
    );
}

#[test]
fn many_packets_say_how_many() {
    let mut flow = dropped(tcp(2));
    flow.tally.count = 1234;
    flow.site = None;
    assert_eq!(summary(&flow), "TCP Flags: SYN; NO_SOCKET; x1234");
}

#[test]
fn icmp_in_gopackets_words() {
    let of = |l4| summary(&dropped(ip(Some(l4)))).split("; ").next().unwrap().to_owned();
    let v4 = |kind, code| of(L4::Icmpv4(IcmpMessage { kind, code }));
    let v6 = |kind, code| of(L4::Icmpv6(IcmpMessage { kind, code }));
    assert_eq!(v4(8, 0), "ICMPv4 EchoRequest");
    assert_eq!(v4(3, 4), "ICMPv4 DestinationUnreachable(FragmentationNeeded)");
    assert_eq!(v4(3, 99), "ICMPv4 DestinationUnreachable(Code: 99)");
    assert_eq!(v4(8, 1), "ICMPv4 EchoRequest(Code: 1)");
    assert_eq!(v4(200, 7), "ICMPv4 200(7)");
    assert_eq!(v6(133, 0), "ICMPv6 RouterSolicitation");
    assert_eq!(v6(1, 4), "ICMPv6 DestinationUnreachable(PortUnreachable)");
}

#[test]
fn an_icmp_error_says_what_it_is_about() {
    let mut packet = ip(Some(L4::Icmpv4(IcmpMessage { kind: 3, code: 3 })));
    packet.inner = Some(Inner::IcmpAbout(Box::new(tcp(2))));
    assert_eq!(
        summary(&dropped(packet)),
        "ICMPv4 DestinationUnreachable(Port); about 10.0.0.1:1234 -> 10.0.0.2:80 TCP; NO_SOCKET at tcp_v4_rcv"
    );
}

#[test]
fn frames_without_ip_and_fragments() {
    let arp = Arp { operation: 1, sender: [10, 0, 0, 1].into(), target: [10, 0, 0, 2].into() };
    let packet = Packet { ether_type: Some(0x0806), arp: Some(arp), ..Packet::default() };
    assert_eq!(
        summary(&dropped(packet)),
        "Ethernet; ARP who-has 10.0.0.2 tell 10.0.0.1; NO_SOCKET at tcp_v4_rcv"
    );
    let packet = Packet { ether_type: Some(0x88b5), ..Packet::default() };
    assert_eq!(summary(&dropped(packet)), "Ethernet; EtherType 0x88b5; NO_SOCKET at tcp_v4_rcv");
    let mut packet = ip(None);
    packet.ip.as_mut().unwrap().fragment = Some(Fragment { offset: 1480, more: false, id: 1 });
    assert_eq!(summary(&dropped(packet)), "IPv4; fragment offset 1480; NO_SOCKET at tcp_v4_rcv");
    assert_eq!(summary(&dropped(ip(None))), "IPv4; protocol 6; NO_SOCKET at tcp_v4_rcv");
}

#[test]
fn another_servers_text_stays_but_for_control_characters() {
    let mut flow = dropped(tcp(2));
    flow.remote_summary = Some("TCP Flags: SYN\n\u{1b}[31mDrop".into());
    assert_eq!(summary(&flow), "TCP Flags: SYN  [31mDrop");
}
