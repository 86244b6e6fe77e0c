//! Frames that are no ordinary IP: ARP, other EtherTypes, VLAN tags, broken headers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netdrop_tests::link;
use netdrop_tests::observer::Observer;
use netdrop_tests::rules::NftDrop;
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::{self, craft};
use netdrop_tests::truth;

use crate::harness::{COUNT, Seen, Watch, binary, json_args};

const PORT: u16 = 4246;
const NODE_MAC: [u8; 6] = Router::NODE_MAC;

/// Sends a frame from pod a, 20 times; all have to die on the node for this reason.
fn on_node(net: &Router, frame: &[u8], reason: &str) -> Vec<Seen> {
    let device = link::index(&net.a.netns, "eth0").expect("the pod has a device");
    let watch = Watch::on(&[&net.node]);
    let frames = std::iter::repeat_n(frame, COUNT.into());
    net.a.netns.run(|| traffic::frames(device, frames)).expect("traffic");
    let seen = watch.exactly(COUNT, |seen| seen.reason() == reason && is_from(seen, net));
    for flow in &seen {
        assert_eq!(flow.netns(), Some(net.node.inode()), "{flow:?}");
        assert_eq!(flow.interface(), Some("pod-a"), "{flow:?}");
    }
    seen
}

/// Whether the frame is pod a's; the kernel sends some of its own, of neighbour discovery.
fn is_from(seen: &Seen, net: &Router) -> bool {
    let mac: Vec<String> = net.a.mac.iter().map(|byte| format!("{byte:02x}")).collect();
    seen.0["ethernet"]["source"] == mac.join(":") && seen.transport() != Some("ICMPv6")
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(_) => panic!("not IPv4"),
    }
}

/// UDP from pod a to the node.
fn udp_packet(net: &Router) -> Vec<u8> {
    let (from, to) = (SocketAddr::new(net.a.v4, 30_000), SocketAddr::from(([10, 0, 1, 1], PORT)));
    craft::ip(from.ip(), to.ip(), craft::protocol::UDP, &craft::udp(from, to, b"a frame"))
}

#[test]
fn arp() {
    let net = Router::new().expect("a router");
    let rule = NftDrop::add_arp(&net.node, "arps", "arp operation request").expect("nft takes the rule");
    let request = craft::arp_request(net.a.mac, v4(net.a.v4), Ipv4Addr::new(10, 0, 1, 1));
    let frame = craft::ethernet([0xff; 6], net.a.mac, craft::ether_type::ARP, &request);
    for flow in on_node(&net, &frame, "NETFILTER_DROP") {
        assert_eq!((flow.addresses(), flow.transport()), (None, None), "{flow:?}");
        assert!(flow.summary().contains("10.0.1.1"), "the question is not in {:?}", flow.summary());
    }
    assert_eq!(rule.packets(&net.node).expect("a counter"), u64::from(COUNT));
}

#[test]
fn unknown_ether_type() {
    let net = Router::new().expect("a router");
    let frame = craft::ethernet(NODE_MAC, net.a.mac, craft::ether_type::EXPERIMENT, &[0; 50]);
    for flow in on_node(&net, &frame, "UNHANDLED_PROTO") {
        assert_eq!((flow.addresses(), flow.transport()), (None, None), "{flow:?}");
    }
}

fn tagged(net: &Router) -> Vec<u8> {
    let tagged = craft::vlan(7, 3, craft::ether_type::IPV4, &udp_packet(net));
    craft::ethernet(NODE_MAC, net.a.mac, craft::ether_type::VLAN, &tagged)
}

#[test]
fn vlan_tag() {
    let net = Router::new().expect("a router");
    let rule = NftDrop::add_ingress(&net.node, "tags", "pod-a", "vlan id 7").expect("nft takes the rule");
    for flow in on_node(&net, &tagged(&net), "NETFILTER_DROP") {
        assert!(flow.is_between(net.a.v4, SocketAddr::from(([10, 0, 1, 1], PORT))), "{flow:?}");
        assert_eq!(flow.fact("vlan").as_f64(), Some(7.0), "{flow:?}");
    }
    assert_eq!(rule.packets(&net.node).expect("a counter"), u64::from(COUNT));
}

/// Behind two tags flows are not told apart in the kernel: none gets another's packets.
#[test]
fn two_tags_of_many_flows() {
    const FLOWS: u16 = 5;
    const EACH: u64 = 400;
    let net = Router::new().expect("a router");
    let frame = |port: u16| {
        let (from, to) = (SocketAddr::new(net.a.v4, port), SocketAddr::from(([10, 0, 1, 1], PORT)));
        let udp = craft::udp(from, to, b"tagged");
        let packet = craft::ip(from.ip(), to.ip(), craft::protocol::UDP, &udp);
        let inner = craft::vlan(200, 0, craft::ether_type::IPV4, &packet);
        let outer = craft::vlan(100, 0, craft::ether_type::VLAN, &inner);
        craft::ethernet(NODE_MAC, net.a.mac, craft::ether_type::VLAN, &outer)
    };
    let frames: Vec<_> = (0..FLOWS).map(|n| frame(31_000 + n)).collect();
    let device = link::index(&net.a.netns, "eth0").expect("the pod has a device");
    let observer = Observer::start(&binary(), json_args(&[&net.node])).expect("netdrop captures");
    let all = (0..EACH).flat_map(|_| &frames);
    net.a.netns.run(|| traffic::frames(device, all)).expect("traffic");
    truth::arrived().expect("no frame is on its way for ever");
    let ended = observer.interrupt().expect("netdrop ends when interrupted");
    let mut told = BTreeMap::<u32, u64>::new();
    for line in &ended.rest {
        let mut value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let seen = Seen(value["flow"].take());
        if seen.port() == Some(PORT) {
            *told.entry(seen.l4("source_port").expect("a port")).or_default() += seen.count();
        }
    }
    assert_eq!(told, (0..FLOWS).map(|n| (31_000 + u32::from(n), EACH)).collect(), "{}", ended.talk);
}

/// A tag that no device of the node takes: the kernel forgets it, and holds the packet to be somebody else's
/// (__netif_receive_skb_core, net/core/dev.c, since 3.8).
#[test]
fn vlan_tag_of_nobody() {
    let net = Router::new().expect("a router");
    for flow in on_node(&net, &tagged(&net), "OTHERHOST") {
        assert!(flow.is_between(net.a.v4, SocketAddr::from(([10, 0, 1, 1], PORT))), "{flow:?}");
    }
}

#[test]
fn for_another_host() {
    let net = Router::new().expect("a router");
    let frame = craft::ethernet([2, 9, 9, 9, 9, 9], net.a.mac, craft::ether_type::IPV4, &udp_packet(&net));
    for flow in on_node(&net, &frame, "OTHERHOST") {
        assert!(flow.is_between(net.a.v4, SocketAddr::from(([10, 0, 1, 1], PORT))), "{flow:?}");
    }
}

#[test]
fn bad_ipv4_checksum() {
    let net = Router::new().expect("a router");
    let mut packet = udp_packet(&net);
    packet[10] ^= 0xff;
    let frame = craft::ethernet(NODE_MAC, net.a.mac, craft::ether_type::IPV4, &packet);
    for flow in on_node(&net, &frame, "IP_CSUM") {
        assert_eq!(flow.port(), Some(PORT), "{flow:?}");
    }
}

#[test]
fn bad_udp_checksum() {
    let net = Router::new().expect("a router");
    let mut packet = udp_packet(&net);
    packet[20 + 6] ^= 0xff;
    let frame = craft::ethernet(NODE_MAC, net.a.mac, craft::ether_type::IPV4, &packet);
    for flow in on_node(&net, &frame, "UDP_CSUM") {
        assert_eq!(flow.port(), Some(PORT), "{flow:?}");
    }
}

#[test]
fn header_of_another_version() {
    let net = Router::new().expect("a router");
    let mut packet = udp_packet(&net);
    packet[0] = 0x95;
    let frame = craft::ethernet(NODE_MAC, net.a.mac, craft::ether_type::IPV4, &packet);
    for flow in on_node(&net, &frame, "IP_INHDR") {
        assert_eq!(flow.transport(), None, "{flow:?}");
    }
}

/// Half of an IPv4 header is no header: nothing is made up of it.
#[test]
fn cut_off_in_the_header() {
    let net = Router::new().expect("a router");
    let frame = craft::ethernet(NODE_MAC, net.a.mac, craft::ether_type::IPV4, &udp_packet(&net)[..10]);
    for flow in on_node(&net, &frame, "IP_INHDR") {
        assert_eq!((flow.addresses(), flow.transport()), (None, None), "{flow:?}");
    }
}
