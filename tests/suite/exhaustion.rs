//! Drops for want of room in the kernel's own tables.

use std::net::SocketAddr;

use netdrop_tests::topology::Router;
use netdrop_tests::{conntrack, rules, traffic, truth};

use crate::harness::{COUNT, Watch};

const PORT: u16 = 4270;

/// No rule says no, yet the packet dies in the firewall's hook: the site tells it from a rule's drop.
#[test]
fn full_conntrack_table() {
    let net = Router::new().expect("a router");
    let filling = conntrack::fill(&net.node).expect("a table to fill");
    if let Err(why) = filling.join() {
        eprintln!("SKIPPED full_conntrack_table: {why}");
        return;
    }
    rules::track_connections(&net.node).expect("nft takes the rule");
    let (from, to) = (SocketAddr::new(net.a.v4, 30_000), SocketAddr::new(net.b.v4, PORT));
    let before = truth::conntrack_drops(&net.node).expect("a counter");
    let watch = Watch::on(&[&net.node]);

    net.a.netns.run(|| traffic::syns(from, to, COUNT)).expect("traffic");

    for flow in watch.exactly(COUNT, |seen| seen.is_between(from.ip(), to)) {
        assert_eq!((flow.reason(), flow.netns()), ("NETFILTER_DROP", Some(net.node.inode())), "{flow:?}");
        assert!(flow.summary().contains("nf_hook_slow"), "{flow:?}");
    }
    assert_eq!(truth::conntrack_drops(&net.node).expect("a counter") - before, u64::from(COUNT));
}
