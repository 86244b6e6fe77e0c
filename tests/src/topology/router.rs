//! Two pods and the node that routes between them.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::Pod;
use crate::link::{Batch, mac, wait_until_up};
use crate::netns::Netns;

/// Pods 10.0.1.2 (fd00:1::2) and 10.0.2.2 (fd00:2::2) on a node that forwards between them, by a pair of devices each:
/// `eth0` in the pod, `pod-a` and `pod-b` on the node.
///
/// All neighbours are known from the start, so that no packet is sent but what a test sends.
#[derive(Debug)]
pub struct Router {
    /// The first pod.
    pub a: Pod,
    /// The second pod.
    pub b: Pod,
    /// The node; 10.0.1.1 and 10.0.2.1.
    pub node: Netns,
}

impl Router {
    /// Names of the node's devices: `pod-a` and `pod-b`.
    pub const DEVICES: [&'static str; 2] = ["pod-a", "pod-b"];

    /// MAC address of the node's device towards pod a.
    pub const NODE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    /// Builds it.
    pub fn new() -> Result<Self> {
        let node = Netns::anonymous("node")?;
        let a = pod("a", 1)?;
        let b = pod("b", 2)?;
        let mut on_node = Batch::new();
        for (n, pod) in [(1, &a), (2, &b)] {
            let device = Self::DEVICES[usize::from(n) - 1];
            on_node = on_node
                .veth(device, &mac(n), &pod.netns, "eth0", &mac(0x10 + n))
                .address(device, Ipv4Addr::new(10, 0, n, 1).into(), 24)
                .address(device, gateway6(n).into(), 64)
                .up(device);
        }
        on_node.apply(&node)?;
        node.sysctl(&[("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")])?;
        let mut neighbours = Batch::new();
        for (n, pod) in [(1, &a), (2, &b)] {
            let device = Self::DEVICES[usize::from(n) - 1];
            let gateway = Ipv4Addr::new(10, 0, n, 1);
            Batch::new()
                .address("eth0", pod.v4, 24)
                .address("eth0", pod.v6, 64)
                .up("eth0")
                .neighbour(gateway.into(), &mac(n), "eth0")
                .neighbour(gateway6(n).into(), &mac(n), "eth0")
                .route("default", gateway.into(), "eth0")
                .route("default", gateway6(n).into(), "eth0")
                .apply(&pod.netns)?;
            neighbours = neighbours.neighbour(pod.v4, &mac(0x10 + n), device).neighbour(
                pod.v6,
                &mac(0x10 + n),
                device,
            );
        }
        neighbours.apply(&node)?;
        [&a.netns, &b.netns, &node].into_iter().try_for_each(wait_until_up)?;
        Ok(Self { a, b, node })
    }
}

fn gateway6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, n.into(), 0, 0, 0, 0, 0, 1)
}

fn pod(name: &str, n: u8) -> Result<Pod> {
    Ok(Pod {
        netns: Netns::anonymous(name)?,
        v4: Ipv4Addr::new(10, 0, n, 2).into(),
        v6: Ipv6Addr::new(0xfd00, n.into(), 0, 0, 0, 0, 0, 2).into(),
        mac: [2, 0, 0, 0, 0, 0x10 + n],
    })
}
