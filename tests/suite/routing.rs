//! Drops of the router: no way, a false sender, too old, too big, nobody home.

use std::net::{IpAddr, SocketAddr};

use netdrop_tests::link::{self, Batch};
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::{self, craft};
use netdrop_tests::truth::Counters;

use crate::harness::{COUNT, LIMIT, Seen, TRIES, Watch};

const PORT: u16 = 4244;

/// What pod a sends, and what the node has to say of it.
struct Case<'a> {
    /// Whole IP packets.
    packets: Vec<Vec<u8>>,
    /// The kernel's reason.
    reason: &'a str,
    /// A counter of the node that grows by one for each.
    counter: Option<&'a str>,
}

fn udp_packet(from: IpAddr, to: IpAddr) -> Vec<u8> {
    let datagram = craft::udp(SocketAddr::new(from, 30_000), SocketAddr::new(to, PORT), b"on the way");
    craft::ip(from, to, craft::protocol::UDP, &datagram)
}

/// Sends from pod a. By frames: once the node has told it the size that fits, the pod's own kernel refuses packets that are too big.
fn send(net: &Router, packets: &[Vec<u8>]) {
    let device = link::index(&net.a.netns, "eth0").expect("the pod has a device");
    let frames = packets.iter().map(|packet| {
        let v6 = packet[0] >> 4 == 6;
        let ether_type = if v6 { craft::ether_type::IPV6 } else { craft::ether_type::IPV4 };
        craft::ethernet(Router::NODE_MAC, net.a.mac, ether_type, packet)
    });
    let frames: Vec<Vec<u8>> = frames.collect();
    net.a.netns.run(|| traffic::frames(device, &frames)).expect("traffic");
}

/// Sends from pod a; all have to die on the node.
fn on_node(net: &Router, case: &Case<'_>) -> Vec<Seen> {
    let count = case.packets.len();
    let before = Counters::read(&net.node).expect("counters");
    let watch = Watch::on(&[&net.node]);

    send(net, &case.packets);

    let seen = watch.exactly(count, |seen| seen.reason() == case.reason);
    let after = Counters::read(&net.node).expect("counters");
    if let Some(counter) = case.counter {
        let grown = after.since(&before, counter).expect("a counter");
        assert_eq!(grown, count as u64, "{counter}; all that grew: {:?}", after.grown(&before));
    }
    for flow in &seen {
        assert_eq!(flow.netns(), Some(net.node.inode()), "{flow:?}");
        assert_eq!(flow.port(), Some(PORT), "{flow:?}");
    }
    seen
}

#[test]
fn no_route_v4() {
    let net = Router::new().expect("a router");
    let to = "203.0.113.1".parse().expect("an address");
    let packets = vec![udp_packet(net.a.v4, to); usize::from(COUNT)];
    let seen = on_node(&net, &Case { packets, reason: "IP_INNOROUTES", counter: Some("IpExtInNoRoutes") });
    assert!(seen.iter().all(|flow| flow.addresses() == Some((net.a.v4, to))));
}

#[test]
fn no_route_v6() {
    let net = Router::new().expect("a router");
    let to = "2001:db8::1".parse().expect("an address");
    let packets = vec![udp_packet(net.a.v6, to); usize::from(COUNT)];
    let seen = on_node(&net, &Case { packets, reason: "IP_INNOROUTES", counter: Some("Ip6InNoRoutes") });
    assert!(seen.iter().all(|flow| flow.addresses() == Some((net.a.v6, to))));
}

#[test]
fn rp_filter() {
    let net = Router::new().expect("a router");
    net.node.sysctl(&[("net.ipv4.conf.pod-a.rp_filter", "1")]).expect("rp_filter");
    let from = "10.0.2.77".parse().expect("an address");
    let packets = vec![udp_packet(from, net.b.v4); usize::from(COUNT)];
    let case = Case { packets, reason: "IP_RPFILTER", counter: Some("TcpExtIPReversePathFilter") };
    assert!(on_node(&net, &case).iter().all(|flow| flow.interface() == Some("pod-a")));
}

#[test]
fn time_to_live_v4() {
    let net = Router::new().expect("a router");
    let (IpAddr::V4(from), IpAddr::V4(to)) = (net.a.v4, net.b.v4) else { panic!("not IPv4") };
    let datagram = craft::udp(SocketAddr::new(net.a.v4, 30_000), SocketAddr::new(net.b.v4, PORT), b"late");
    let mut header = craft::Ipv4::new(from, to, craft::protocol::UDP);
    header.ttl = 1;
    let packets = vec![header.packet(&datagram); usize::from(COUNT)];
    let case = Case { packets, reason: "IP_INHDR", counter: Some("IpInHdrErrors") };
    assert!(on_node(&net, &case).iter().all(|flow| flow.fact("ttl").as_f64() == Some(1.0)));
}

#[test]
fn hop_limit_v6() {
    let net = Router::new().expect("a router");
    let mut packet = udp_packet(net.a.v6, net.b.v6);
    packet[7] = 1;
    let case = Case {
        packets: vec![packet; usize::from(COUNT)],
        reason: "IP_INHDR",
        counter: Some("Ip6InHdrErrors"),
    };
    on_node(&net, &case);
}

fn too_big(net: &Router, from: IpAddr, to: IpAddr, counter: &str) {
    Batch::new().mtu("pod-b", 1400).apply(&net.node).expect("a smaller MTU");
    let datagram = craft::udp(SocketAddr::new(from, 30_000), SocketAddr::new(to, PORT), &[0; 1420]);
    let mut packet = craft::ip(from, to, craft::protocol::UDP, &datagram);
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) {
        let mut header = craft::Ipv4::new(from, to, craft::protocol::UDP);
        header.fragment = craft::DONT_FRAGMENT;
        packet = header.packet(&datagram);
    }
    on_node(
        net,
        &Case { packets: vec![packet; usize::from(COUNT)], reason: "PKT_TOO_BIG", counter: Some(counter) },
    );
}

#[test]
fn too_big_v4() {
    let net = Router::new().expect("a router");
    too_big(&net, net.a.v4, net.b.v4, "IpFragFails");
}

#[test]
fn too_big_v6() {
    let net = Router::new().expect("a router");
    too_big(&net, net.a.v6, net.b.v6, "Ip6InTooBigErrors");
}

/// Nobody answers the node's ARP: the packets wait for the last of its probes, then they die together.
#[test]
fn unknown_neighbour() {
    let net = Router::new().expect("a router");
    let quick = [("net.ipv4.neigh.pod-b.retrans_time_ms", "20"), ("net.ipv4.neigh.pod-b.mcast_solicit", "1")];
    net.node.sysctl(&quick).expect("neighbour settings");
    let count = usize::from(COUNT);
    let failed = |seen: &Seen| seen.reason() == "NEIGH_FAILED";
    let mut watch = Watch::on(&[&net.node]);
    let all = (0..TRIES).any(|n| {
        let to = IpAddr::from([10, 0, 2, 90 + u8::try_from(n).expect("a few")]);
        send(&net, &vec![udp_packet(net.a.v4, to); count]);
        watch.comes(count, LIMIT / 4, failed)
    });
    assert!(all, "{:?}", watch.seen());
    let (seen, ..) = watch.finish(failed);
    for flow in &seen {
        assert_eq!((flow.netns(), flow.port()), (Some(net.node.inode()), Some(PORT)), "{flow:?}");
    }
    // Those of a neighbour die together, or where none is seen.
    let of = |to| seen.iter().filter(|flow| flow.addresses().is_some_and(|(_, own)| own == to)).count();
    let each: Vec<usize> = (90..94).map(|n| of(IpAddr::from([10, 0, 2, n]))).collect();
    assert!(each.iter().all(|n| *n == 0 || *n == count) && seen.len() >= count, "{each:?}");
}
