//! Two nodes with two pods each: a bridge per node, VXLAN between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::Pod;
use crate::link::{Batch, ForwardingTable, Vxlan, mac, wait_until_up};
use crate::netns::Netns;

/// MTU of what VXLAN carries over an Ethernet of 1500.
pub const OVERLAY_MTU: u32 = 1450;
/// VXLAN network identifier.
pub const VNI: u32 = 1;

/// A node: the underlay's `eth0`, the pods' bridge `cni0` and the overlay's `flannel.1`.
#[derive(Debug)]
pub struct Node {
    /// Its namespace.
    pub netns: Netns,
    /// Its address in the underlay.
    pub address: IpAddr,
    /// Address of its bridge: the pods' gateway.
    pub gateway: IpAddr,
    /// Its pods.
    pub pods: [Pod; 2],
}

/// Nodes 192.0.2.1 and 192.0.2.2 with pods 10.244.1.{11,12} and 10.244.2.{11,12}, as flannel with VXLAN lays them out.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub nodes: [Node; 2],
}

impl Cluster {
    /// Builds it in anonymous namespaces.
    pub fn new() -> Result<Self> {
        Self::with(Netns::anonymous)
    }

    /// Builds it in namespaces that `make` makes of the names `worker-1`, `worker-2`, `pod-1-1` to `pod-2-2`.
    pub fn with(make: impl Fn(&str) -> Result<Netns>) -> Result<Self> {
        let nodes = [node(&make, 1)?, node(&make, 2)?];
        Batch::new().veth("eth0", &mac(1), &nodes[1].netns, "eth0", &mac(2)).apply(&nodes[0].netns)?;
        for (n, own, other) in [(1, &nodes[0], &nodes[1]), (2, &nodes[1], &nodes[0])] {
            wire(n, own, other)?;
        }
        for node in &nodes {
            wait_until_up(&node.netns)?;
            node.pods.iter().try_for_each(|pod| wait_until_up(&pod.netns))?;
        }
        Ok(Self { nodes })
    }
}

fn node(make: &impl Fn(&str) -> Result<Netns>, n: u8) -> Result<Node> {
    let netns = make(&format!("worker-{n}"))?;
    netns.sysctl(&[("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.disable_ipv6", "1")])?;
    let pod = |m: u8| -> Result<Pod> {
        let netns = make(&format!("pod-{n}-{m}"))?;
        netns.sysctl(&[("net.ipv6.conf.all.disable_ipv6", "1")])?;
        let v6 = Ipv6Addr::new(0xfd00, 0x244, n.into(), 0, 0, 0, 0, (10 + m).into()).into();
        Ok(Pod {
            netns,
            v4: Ipv4Addr::new(10, 244, n, 10 + m).into(),
            v6,
            mac: [2, 0, 0, 0, 0, pod_mac(n, m)],
        })
    };
    Ok(Node {
        address: Ipv4Addr::new(192, 0, 2, n).into(),
        gateway: bridge_address(n),
        pods: [pod(1)?, pod(2)?],
        netns,
    })
}

const fn pod_mac(n: u8, m: u8) -> u8 {
    n << 4 | m
}

fn bridge_address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 244, n, 1).into()
}

fn overlay_address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 244, n, 0).into()
}

/// What node `n` has of its own, and the way to the other one.
fn wire(n: u8, own: &Node, other: &Node) -> Result<()> {
    let far = 3 - n;
    let (overlay_mac, far_overlay_mac) = (mac(0xe0 | n), mac(0xe0 | far));
    let overlay = Vxlan {
        name: "flannel.1",
        vni: VNI,
        underlay: "eth0",
        local: own.address,
        mac: &overlay_mac,
        mtu: OVERLAY_MTU,
    };
    let mut batch = Batch::new()
        .address("eth0", own.address, 24)
        .up("eth0")
        .neighbour(other.address, &mac(far), "eth0")
        .bridge("cni0", &mac(0xb0 | n))
        .mtu("cni0", OVERLAY_MTU)
        .address("cni0", own.gateway, 24)
        .up("cni0")
        .vxlan(&overlay)
        .address("flannel.1", overlay_address(n), 32)
        .up("flannel.1")
        .neighbour(overlay_address(far), &far_overlay_mac, "flannel.1")
        .route(&format!("10.244.{far}.0/24"), overlay_address(far), "flannel.1");
    let mut table = ForwardingTable::new();
    for (m, pod) in (1..).zip(&own.pods) {
        let device = format!("veth{m}");
        table = table.port(&device, &mac(pod_mac(n, m)));
        batch = batch
            .veth(&device, &mac(0xa0 | m), &pod.netns, "eth0", &mac(pod_mac(n, m)))
            .mtu(&device, OVERLAY_MTU)
            .port("cni0", &device)
            .up(&device)
            .neighbour(pod.v4, &mac(pod_mac(n, m)), "cni0");
    }
    batch.apply(&own.netns)?;
    table.tunnel("flannel.1", &far_overlay_mac, other.address).apply(&own.netns)?;
    for (m, pod) in (1..).zip(&own.pods) {
        let sibling = 3 - m;
        Batch::new()
            .mtu("eth0", OVERLAY_MTU)
            .address("eth0", pod.v4, 24)
            .up("eth0")
            .neighbour(own.gateway, &mac(0xb0 | n), "eth0")
            .neighbour(own.pods[usize::from(sibling) - 1].v4, &mac(pod_mac(n, sibling)), "eth0")
            .route("default", own.gateway, "eth0")
            .apply(&pod.netns)?;
    }
    Ok(())
}
