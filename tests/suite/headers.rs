//! Packets of uncommon shape, dropped by a firewall on the node: what they say is still read right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netdrop_tests::rules::{Chain, NftDrop};
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::{self, craft};

use crate::harness::{COUNT, Seen, Watch};

const PORT: u16 = 4245;

/// Sends from pod a what the node's firewall drops by `rule`.
fn forwarded(net: &Router, rule: &str, send: impl FnOnce() -> anyhow::Result<()> + Send) -> Vec<Seen> {
    let rule = NftDrop::add(&net.node, "shape", Chain::Forward, rule).expect("nft takes the rule");
    let watch = Watch::on(&[&net.node]);
    net.a.netns.run(send).expect("traffic");
    let seen = watch.exactly(COUNT, |seen| seen.reason() == "NETFILTER_DROP");
    assert_eq!(rule.packets(&net.node).expect("a counter"), u64::from(COUNT));
    for flow in &seen {
        assert_eq!(flow.netns(), Some(net.node.inode()), "{flow:?}");
        assert_eq!(flow.interface(), Some("pod-a"), "{flow:?}");
    }
    seen
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(_) => panic!("not IPv4"),
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(v6) => v6,
        IpAddr::V4(_) => panic!("not IPv6"),
    }
}

fn datagram(from: IpAddr, to: IpAddr, len: usize) -> Vec<u8> {
    craft::udp(SocketAddr::new(from, 30_000), SocketAddr::new(to, PORT), &vec![0; len])
}

#[test]
fn options_v4() {
    let net = Router::new().expect("a router");
    let mut header = craft::Ipv4::new(v4(net.a.v4), v4(net.b.v4), craft::protocol::UDP);
    header.options = vec![1; 8];
    let packet = header.packet(&datagram(net.a.v4, net.b.v4, 10));
    let seen =
        forwarded(&net, &format!("udp dport {PORT}"), || traffic::packets(vec![packet; usize::from(COUNT)]));
    assert!(seen.iter().all(|flow| flow.is_between(net.a.v4, SocketAddr::new(net.b.v4, PORT))), "{seen:?}");
}

#[test]
fn extension_headers_v6() {
    let net = Router::new().expect("a router");
    let datagram = datagram(net.a.v6, net.b.v6, 10);
    let inner = craft::options6(craft::protocol::UDP, &datagram);
    let packet = craft::ipv6(v6(net.a.v6), v6(net.b.v6), 0, &craft::options6(60, &inner));
    let rule = format!("ip6 daddr {}", net.b.v6);
    let seen = forwarded(&net, &rule, || traffic::packets(vec![packet; usize::from(COUNT)]));
    assert!(seen.iter().all(|flow| flow.is_between(net.a.v6, SocketAddr::new(net.b.v6, PORT))), "{seen:?}");
    assert!(seen.iter().all(|flow| flow.fact("protocol").as_f64() == Some(17.0)), "{seen:?}");
}

/// First fragments have ports, later ones have none; neither has another's.
fn check_fragments(seen: &[Seen], from: IpAddr, to: IpAddr) {
    assert!(seen.iter().all(|flow| flow.addresses() == Some((from, to))), "{seen:?}");
    let with_ports = seen.iter().filter(|flow| flow.port() == Some(PORT)).count();
    let without = seen.iter().filter(|flow| flow.transport().is_none()).count();
    assert_eq!((with_ports, without), (usize::from(COUNT / 2), usize::from(COUNT / 2)), "{seen:?}");
}

#[test]
fn fragments_v4() {
    let net = Router::new().expect("a router");
    let datagram = datagram(net.a.v4, net.b.v4, 72);
    let mut header = craft::Ipv4::new(v4(net.a.v4), v4(net.b.v4), craft::protocol::UDP);
    let packets: Vec<Vec<u8>> = (0..COUNT)
        .map(|n| {
            header.id = n / 2;
            header.fragment = if n % 2 == 0 { craft::MORE_FRAGMENTS } else { 40 / 8 };
            header.packet(if n % 2 == 0 { &datagram[..40] } else { &datagram[40..] })
        })
        .collect();
    let rule = format!("ip daddr {}", net.b.v4);
    check_fragments(&forwarded(&net, &rule, || traffic::packets(&packets)), net.a.v4, net.b.v4);
}

#[test]
fn fragments_v6() {
    let net = Router::new().expect("a router");
    let datagram = datagram(net.a.v6, net.b.v6, 72);
    let packets: Vec<Vec<u8>> = (0..COUNT)
        .map(|n| {
            let (offset, part) = if n % 2 == 0 { (0, &datagram[..40]) } else { (40, &datagram[40..]) };
            let payload = craft::fragment6(craft::protocol::UDP, offset, n % 2 == 0, u32::from(n / 2), part);
            craft::ipv6(v6(net.a.v6), v6(net.b.v6), 44, &payload)
        })
        .collect();
    let rule = format!("ip6 daddr {}", net.b.v6);
    check_fragments(&forwarded(&net, &rule, || traffic::packets(&packets)), net.a.v6, net.b.v6);
}

/// One buffer of ten datagrams is one packet until a device cuts it up: one drop.
#[test]
fn segmentation_offload() {
    let net = Router::new().expect("a router");
    let (from, to) = (SocketAddr::new(net.a.v4, 30_000), SocketAddr::new(net.b.v4, PORT));
    let rule = format!("udp dport {PORT}");
    let seen = forwarded(&net, &rule, || traffic::udp_gso(from, to, 1000, 10, COUNT));
    for flow in &seen {
        assert!(flow.is_between(from.ip(), to), "{flow:?}");
        assert!(flow.fact("length").as_f64().is_some_and(|len| len > 10_000.0), "{flow:?}");
    }
}

#[test]
fn unknown_protocol() {
    let net = Router::new().expect("a router");
    let packet = craft::ip(net.a.v4, net.b.v4, craft::protocol::EXPERIMENT, &[0; 30]);
    let rule = format!("ip daddr {}", net.b.v4);
    for flow in forwarded(&net, &rule, || traffic::packets(vec![packet; usize::from(COUNT)])) {
        assert_eq!(flow.addresses(), Some((net.a.v4, net.b.v4)), "{flow:?}");
        assert_eq!(flow.transport(), None, "{flow:?}");
        assert_eq!(flow.fact("protocol").as_f64(), Some(253.0), "{flow:?}");
    }
}

/// The packet that an ICMP error is about shows too: its sender is the one who will wonder.
fn icmp_error(from: IpAddr, to: IpAddr, net: &Router, rule: &str, protocol: u8) {
    let about = craft::ip(to, from, craft::protocol::UDP, &datagram(to, from, 10));
    let packet = craft::ip(from, to, protocol, &craft::port_unreachable(from, to, &about));
    for flow in forwarded(net, rule, || traffic::packets(vec![packet; usize::from(COUNT)])) {
        assert_eq!(flow.addresses(), Some((from, to)), "{flow:?}");
        let inner = flow.fact("inner").as_str().unwrap_or_default();
        for part in [from.to_string(), to.to_string(), PORT.to_string()] {
            assert!(inner.contains(&part), "{part} is not in {inner:?}");
        }
    }
}

#[test]
fn icmp_error_v4() {
    let net = Router::new().expect("a router");
    let rule = "icmp type destination-unreachable";
    icmp_error(net.a.v4, net.b.v4, &net, rule, craft::protocol::ICMP);
}

#[test]
fn icmp_error_v6() {
    let net = Router::new().expect("a router");
    let rule = "icmpv6 type destination-unreachable";
    icmp_error(net.a.v6, net.b.v6, &net, rule, craft::protocol::ICMPV6);
}
