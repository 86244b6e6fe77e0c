//! Drops at sockets: nobody listens, or nobody reads.

use std::net::SocketAddr;

use netdrop_tests::expect;
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::{self, Mailbox};
use netdrop_tests::truth::Counters;

use crate::harness::{COUNT, LIMIT, Watch};

const PORT: u16 = 4243;

fn udp_closed_port(v6: bool) {
    let net = Router::new().expect("a router");
    let (from, to) = (SocketAddr::new(net.a.address(v6), 30_000), SocketAddr::new(net.b.address(v6), PORT));
    let before = Counters::read(&net.b.netns).expect("counters");
    let watch = Watch::on(&[&net.b.netns]);

    net.a.netns.run(|| traffic::udp(from, to, b"anyone?", COUNT)).expect("traffic");

    let seen = watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET");
    let grown = Counters::read(&net.b.netns).expect("counters");
    let counter = if v6 { "Udp6NoPorts" } else { "UdpNoPorts" };
    assert_eq!(grown.since(&before, counter).expect("a counter"), u64::from(COUNT));
    for flow in seen {
        assert!(flow.is_between(from.ip(), to), "{flow:?}");
        assert_eq!((flow.netns(), flow.interface()), (Some(net.b.netns.inode()), Some("eth0")), "{flow:?}");
    }
}

#[test]
fn udp_closed_port_v4() {
    udp_closed_port(false);
}

#[test]
fn udp_closed_port_v6() {
    udp_closed_port(true);
}

fn tcp_closed_port(v6: bool) {
    let net = Router::new().expect("a router");
    let (from, to) = (SocketAddr::new(net.a.address(v6), 30_000), SocketAddr::new(net.b.address(v6), PORT));
    let before = Counters::read(&net.b.netns).expect("counters");
    let watch = Watch::on(&[&net.b.netns]);

    net.a.netns.run(|| traffic::syns(from, to, COUNT)).expect("traffic");

    let seen = watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET");
    let grown = Counters::read(&net.b.netns).expect("counters");
    assert_eq!(grown.since(&before, "TcpOutRsts").expect("a counter"), u64::from(COUNT));
    for flow in seen {
        assert!(flow.is_between(from.ip(), to), "{flow:?}");
        assert_eq!(flow.transport(), Some("TCP"), "{flow:?}");
    }
}

#[test]
fn tcp_closed_port_v4() {
    tcp_closed_port(false);
}

#[test]
fn tcp_closed_port_v6() {
    tcp_closed_port(true);
}

/// A closed port on the pod's own loopback: sent and dropped in the same namespace.
#[test]
fn closed_port_on_loopback() {
    let net = Router::new().expect("a router");
    let (from, to) = (SocketAddr::from(([127, 0, 0, 1], 30_000)), SocketAddr::from(([127, 0, 0, 1], PORT)));
    let watch = Watch::on(&[&net.a.netns]);

    net.a.netns.run(|| traffic::udp(from, to, b"anyone?", COUNT)).expect("traffic");

    for flow in watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET") {
        assert!(flow.is_between(from.ip(), to), "{flow:?}");
        assert_eq!(flow.interface(), Some("lo"), "{flow:?}");
    }
}

fn full_socket_buffer(v6: bool) {
    let net = Router::new().expect("a router");
    let (from, to) = (SocketAddr::new(net.a.address(v6), 30_000), SocketAddr::new(net.b.address(v6), PORT));
    let mailbox = net.b.netns.run(|| Mailbox::bind(to)).expect("a socket");
    let before = Counters::read(&net.b.netns).expect("counters");
    let watch = Watch::on(&[&net.b.netns]);

    net.a.netns.run(|| traffic::udp(from, to, &[0; 500], 2 * COUNT)).expect("traffic");

    // Each finds no room, or some, before any is made by reading.
    let delivered = if v6 { "Ip6InDelivers" } else { "IpInDelivers" };
    let all = u64::from(2 * COUNT);
    let came = || Ok(Counters::read(&net.b.netns)?.since(&before, delivered)? >= all);
    expect::until("the arrival of every datagram", LIMIT, came).expect("all arrive");
    // How many have room is the kernel's affair; how many have not, it counts.
    let counter = if v6 { "Udp6RcvbufErrors" } else { "UdpRcvbufErrors" };
    let (mut held, mut dropped) = (0, 0);
    let arrived = || {
        held += mailbox.empty()?;
        dropped = Counters::read(&net.b.netns)?.since(&before, counter)?;
        Ok(held + dropped == all)
    };
    expect::until("the arrival of every datagram", LIMIT, arrived).expect("all arrive");
    assert!(dropped >= u64::from(COUNT), "only {dropped} had no room");
    let dropped = usize::try_from(dropped).expect("a count");
    for flow in watch.exactly(dropped, |seen| seen.reason() == "SOCKET_RCVBUFF") {
        assert!(flow.is_between(from.ip(), to), "{flow:?}");
        assert_eq!(flow.netns(), Some(net.b.netns.inode()), "{flow:?}");
    }
}

#[test]
fn full_socket_buffer_v4() {
    full_socket_buffer(false);
}

#[test]
fn full_socket_buffer_v6() {
    full_socket_buffer(true);
}
