//! Drops on a node's bridge and in its overlay.

use std::net::SocketAddr;

use netdrop_tests::rules::{Chain, Iptables, IptablesRule, NftDrop};
use netdrop_tests::topology::{Cluster, Pod, cluster::VNI};
use netdrop_tests::traffic::{self, craft};

use crate::harness::{COUNT, Seen, Watch};

const PORT: u16 = 4247;
const VXLAN_PORT: u16 = 4789;

fn send(from: &Pod, to: &Pod) {
    let (source, target) = (SocketAddr::new(from.v4, 30_000), SocketAddr::new(to.v4, PORT));
    from.netns.run(|| traffic::udp(source, target, b"across", COUNT)).expect("traffic");
}

fn is_for(seen: &Seen, from: &Pod, to: &Pod) -> bool {
    seen.reason() == "NETFILTER_DROP" && seen.is_between(from.v4, SocketAddr::new(to.v4, PORT))
}

/// The nodes' packet dies, and the pods' inside it shows.
fn outer_packet(chain: Chain, node: usize) {
    let net = Cluster::new().expect("a cluster");
    let (from, to) = (&net.nodes[0].pods[0], &net.nodes[1].pods[0]);
    let dropper = &net.nodes[node].netns;
    let rule = NftDrop::add(dropper, "outer", chain, "udp dport 4789").expect("nft takes the rule");
    let watch = Watch::on(&[&net.nodes[0].netns, &net.nodes[1].netns]);

    send(from, to);

    let outer = SocketAddr::new(net.nodes[1].address, VXLAN_PORT);
    for flow in watch.exactly(COUNT, |seen| seen.is_between(net.nodes[0].address, outer)) {
        assert_eq!(flow.reason(), "NETFILTER_DROP", "{flow:?}");
        assert_eq!(flow.netns(), Some(dropper.inode()), "{flow:?}");
        let inner = flow.fact("inner").as_str().unwrap_or_default();
        for part in [from.v4.to_string(), to.v4.to_string(), PORT.to_string()] {
            assert!(inner.contains(&part), "{part} is not in {inner:?}");
        }
    }
    assert_eq!(rule.packets(dropper).expect("a counter"), u64::from(COUNT));
}

#[test]
fn encapsulated_on_the_way_out() {
    outer_packet(Chain::Output, 0);
}

#[test]
fn encapsulated_on_the_way_in() {
    outer_packet(Chain::Input, 1);
}

#[test]
fn after_the_tunnel() {
    let net = Cluster::new().expect("a cluster");
    let (from, to) = (&net.nodes[0].pods[0], &net.nodes[1].pods[1]);
    let node = &net.nodes[1].netns;
    let spec = format!("-p udp --dport {PORT} -j DROP");
    let rule = IptablesRule::add(node, Iptables::Nft, Chain::Forward, &spec, "inner")
        .expect("iptables takes the rule");
    let watch = Watch::on(&[&net.nodes[0].netns, node]);

    send(from, to);

    for flow in watch.exactly(COUNT, |seen| is_for(seen, from, to)) {
        assert_eq!((flow.netns(), flow.interface()), (Some(node.inode()), Some("flannel.1")), "{flow:?}");
    }
    assert_eq!(rule.packets(node).expect("a counter"), u64::from(COUNT));
}

#[test]
fn unknown_vxlan_network() {
    let net = Cluster::new().expect("a cluster");
    let (from, to) = (net.nodes[0].address, net.nodes[1].address);
    let frame = craft::ethernet([2; 6], [4; 6], craft::ether_type::EXPERIMENT, &[0; 50]);
    let outer = craft::udp(
        SocketAddr::new(from, 30_000),
        SocketAddr::new(to, VXLAN_PORT),
        &craft::vxlan(VNI + 98, &frame),
    );
    let packet = craft::ip(from, to, craft::protocol::UDP, &outer);
    let watch = Watch::on(&[&net.nodes[1].netns]);

    net.nodes[0].netns.run(|| traffic::packets(vec![packet; usize::from(COUNT)])).expect("traffic");

    watch.exactly(COUNT, |seen| seen.died_of("VXLAN_VNI_NOT_FOUND", "vxlan_rcv"));
}

/// Pods of one node, by a rule of the bridge itself.
#[test]
fn bridge_firewall() {
    let net = Cluster::new().expect("a cluster");
    let [from, to] = &net.nodes[0].pods;
    let node = &net.nodes[0].netns;
    let rule = NftDrop::add_bridge(node, "b", &format!("udp dport {PORT}")).expect("nft takes the rule");
    let watch = Watch::on(&[node, &from.netns, &to.netns]);

    send(from, to);

    for flow in watch.exactly(COUNT, |seen| is_for(seen, from, to)) {
        assert_eq!(flow.netns(), Some(node.inode()), "{flow:?}");
    }
    assert_eq!(rule.packets(node).expect("a counter"), u64::from(COUNT));
}

/// Pods of one node, by an iptables rule that the bridge hands its packets to (br_netfilter), as kube-proxy wants it.
#[test]
fn bridge_netfilter() {
    let net = Cluster::new().expect("a cluster");
    let [from, to] = &net.nodes[0].pods;
    let node = &net.nodes[0].netns;
    node.sysctl(&[("net.bridge.bridge-nf-call-iptables", "1")]).expect("br_netfilter is there");
    let spec = format!("-p udp --dport {PORT} -j DROP");
    let rule = IptablesRule::add(node, Iptables::Legacy, Chain::Forward, &spec, "b")
        .expect("iptables takes the rule");
    let watch = Watch::on(&[node, &from.netns, &to.netns]);

    send(from, to);

    for flow in watch.exactly(COUNT, |seen| is_for(seen, from, to)) {
        assert_eq!(flow.netns(), Some(node.inode()), "{flow:?}");
    }
    assert_eq!(rule.packets(node).expect("a counter"), u64::from(COUNT));
}

/// As it comes in by a bridge's port the packet still belongs to the sender's socket, but it dies on the node.
#[test]
fn ingress_of_a_port() {
    let net = Cluster::new().expect("a cluster");
    let [from, to] = &net.nodes[0].pods;
    let node = &net.nodes[0].netns;
    let rule =
        NftDrop::add_ingress(node, "i", "veth1", &format!("udp dport {PORT}")).expect("nft takes the rule");
    let watch = Watch::on(&[node, &from.netns, &to.netns]);

    send(from, to);

    for flow in watch.exactly(COUNT, |seen| is_for(seen, from, to)) {
        assert_eq!((flow.netns(), flow.interface()), (Some(node.inode()), Some("veth1")), "{flow:?}");
    }
    assert_eq!(rule.packets(node).expect("a counter"), u64::from(COUNT));
}
