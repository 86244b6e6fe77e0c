//! Packets that die before their IP header is written: the socket knows where they were to go.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use netdrop_tests::netns::Netns;
use netdrop_tests::rules::{Chain, NftDrop};
use netdrop_tests::topology::Router;
use netdrop_tests::traffic;

use crate::harness::{COUNT, Seen, Watch};

const PORT: u16 = 4293;

/// A connection of pod a loses its way: TCP writes its header, IP finds no route and writes none.
fn tcp_without_a_route(v6: bool) {
    let net = Router::new().expect("a router");
    let to = SocketAddr::new(net.b.address(v6), PORT);
    let _listener = net.b.netns.run(|| Ok(TcpListener::bind(to)?)).expect("a listener");
    let connect = || Ok(TcpStream::connect(to)?);
    let mut connection = net.a.netns.run(connect).expect("a connection");
    let from = connection.local_addr().expect("an address");
    let route = if v6 { "route del ::/0\n" } else { "route del 0.0.0.0/0\n" };
    net.a.netns.ip(route).expect("the default route goes");
    let mut watch = Watch::on(&[&net.a.netns]);

    connection.write_all(b"no way").expect("the socket takes it");

    // It is sent again until it is acknowledged.
    watch.wait_for(3_usize, |seen| seen.is_between(from.ip(), to));
    for flow in watch.seen().iter().filter(|seen| seen.port() == Some(PORT)) {
        assert_eq!(
            (flow.transport(), flow.l4("source_port")),
            (Some("TCP"), Some(from.port().into())),
            "{flow:?}"
        );
        assert_eq!(flow.0["l4"]["TCP"]["flags"]["ACK"].as_bool(), Some(true), "{flow:?}");
        assert_eq!(flow.0["traffic_direction"], "EGRESS", "{flow:?}");
        assert!(flow.fact("unwritten").as_bool() == Some(true) && flow.fact("ttl").is_null(), "{flow:?}");
    }
}

#[test]
fn tcp_without_a_route_v4() {
    tcp_without_a_route(false);
}

#[test]
fn tcp_without_a_route_v6() {
    tcp_without_a_route(true);
}

/// A datagram that waits for the rest of its data when its socket is closed. It may go elsewhere than the socket is connected to.
fn unfinished_datagrams(v6: bool) {
    let netns = Netns::anonymous("unwritten").expect("a namespace");
    let at = |port| {
        if v6 {
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
        } else {
            SocketAddr::from(([127, 0, 0, 1], port))
        }
    };
    let (from, to) = (at(30_000), at(PORT));
    let watch = Watch::with(&[&netns], &["--include-benign"]);

    netns.run(|| traffic::unfinished(from, None, to, COUNT)).expect("traffic");
    netns.run(|| traffic::unfinished(from, Some(at(PORT + 1)), to, COUNT)).expect("traffic");

    let flush = if v6 { "__ip6_flush_pending_frames" } else { "__ip_flush_pending_frames" };
    let is_ours = |seen: &Seen| seen.fact("site").as_str().is_some_and(|site| site.starts_with(flush));
    for flow in watch.exactly(2 * COUNT, is_ours) {
        assert!(flow.is_between(from.ip(), to), "{flow:?}");
        assert_eq!((flow.transport(), flow.l4("source_port")), (Some("UDP"), Some(30_000)), "{flow:?}");
        assert_eq!(
            (flow.netns(), flow.fact("unwritten").as_bool()),
            (Some(netns.inode()), Some(true)),
            "{flow:?}"
        );
    }
}

#[test]
fn unfinished_datagrams_v4() {
    unfinished_datagrams(false);
}

#[test]
fn unfinished_datagrams_v6() {
    unfinished_datagrams(true);
}

/// Filters by address and port find such packets: the kernel side lets through what it can't read.
#[test]
fn filters_find_them() {
    let netns = Netns::anonymous("unwritten").expect("a namespace");
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let port = PORT.to_string();
    let watch = Watch::with(&[&netns], &["--include-benign", "--to-ip=127.0.0.1", "--to-port", &port]);

    netns.run(|| traffic::unfinished(at(30_000), None, at(PORT + 1), COUNT)).expect("traffic");
    netns.run(|| traffic::unfinished(at(30_000), None, at(PORT), COUNT)).expect("traffic");

    let (_, others) = watch.split(COUNT, |seen| seen.is_between(at(1).ip(), at(PORT)));
    assert!(others.is_empty(), "{others:?}");
}

/// The header of what a rule refuses on its way out is written, and read: whatever else the socket does.
#[test]
fn what_is_written_is_read() {
    let netns = Netns::anonymous("unwritten").expect("a namespace");
    let _rule = NftDrop::add(&netns, "deny", Chain::Output, &format!("udp dport {PORT}"))
        .expect("nft takes the rule");
    let watch = Watch::on(&[&netns]);
    for v6 in [false, true] {
        let at = |port| {
            if v6 {
                SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
            } else {
                SocketAddr::from(([127, 0, 0, 1], port))
            }
        };
        netns.run(|| traffic::udp(at(30_000), at(PORT), b"finished", COUNT)).expect("traffic");
    }
    for flow in watch.exactly(2 * COUNT, |seen| seen.reason() == "NETFILTER_DROP") {
        assert!(flow.fact("unwritten").is_null(), "{flow:?}");
        assert_eq!((flow.port(), flow.fact("ttl").as_f64()), (Some(PORT), Some(64.0)), "{flow:?}");
    }
}
