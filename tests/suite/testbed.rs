//! The testbed itself, by the kernel's own counters.

use std::net::SocketAddr;

use netdrop_tests::netns::Netns;
use netdrop_tests::rules::{Chain, Iptables, IptablesRule, NftDrop};
use netdrop_tests::topology::{Cluster, Router};
use netdrop_tests::{expect, traffic, truth};

use crate::harness::LIMIT;

/// Waits until a counter has grown by 20.
fn grows(netns: &Netns, before: &truth::Counters, counter: &str) {
    let grown = || Ok(truth::Counters::read(netns)?.since(before, counter)? == 20);
    expect::until(counter, LIMIT, grown).expect("the packets arrive");
}

#[test]
fn router_forwards_both_families() {
    let net = Router::new().unwrap();
    for v6 in [false, true] {
        let before = truth::Counters::read(&net.b.netns).unwrap();
        let (from, to) = (net.a.address(v6), net.b.address(v6));
        net.a
            .netns
            .run(|| traffic::udp(SocketAddr::new(from, 4000), SocketAddr::new(to, 9), b"x", 20))
            .unwrap();
        grows(&net.b.netns, &before, if v6 { "Udp6NoPorts" } else { "UdpNoPorts" });
    }
}

#[test]
fn cluster_carries_packets_between_nodes() {
    let net = Cluster::new().unwrap();
    let from = &net.nodes[0].pods[0];
    for to in [&net.nodes[0].pods[1], &net.nodes[1].pods[0], &net.nodes[1].pods[1]] {
        let before = truth::Counters::read(&to.netns).unwrap();
        from.netns
            .run(|| traffic::udp(SocketAddr::new(from.v4, 4000), SocketAddr::new(to.v4, 9), b"x", 20))
            .unwrap();
        grows(&to.netns, &before, "UdpNoPorts");
    }
}

#[test]
fn rules_count_what_they_drop() {
    let net = Router::new().unwrap();
    let nft = NftDrop::add(&net.node, "t", Chain::Forward, "udp dport 9").unwrap();
    let legacy =
        IptablesRule::add(&net.node, Iptables::Legacy, Chain::Forward, "-p tcp --dport 9 -j DROP", "test")
            .unwrap();
    let (from, to) = (SocketAddr::new(net.a.v4, 4000), SocketAddr::new(net.b.v4, 9));
    net.a
        .netns
        .run(|| {
            traffic::udp(from, to, b"x", 20)?;
            traffic::syns(from, to, 20)
        })
        .unwrap();
    expect::until("20 of each", LIMIT, || {
        Ok((nft.packets(&net.node)?, legacy.packets(&net.node)?) == (20, 20))
    })
    .unwrap();
    nft.remove(&net.node).unwrap();
    legacy.remove(&net.node).unwrap();
}
