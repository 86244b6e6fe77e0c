//! Which node a drop belongs to, where several nodes share one kernel (kind, test clusters): every agent's hook sees all of them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Names;
use crate::flow::Flow;

/// What was learnt of a namespace holds this long: inodes are used again.
const TRUST: Duration = Duration::from_mins(1);
/// Most namespaces remembered.
const MOST: usize = 8192;

/// Whose drop it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// This node's.
    Own,
    /// Known to be another node's.
    Other,
    /// Can't be told; reported, for nothing may be lost.
    Unknown,
}

/// Places drops by their network namespace.
pub struct NodeScope {
    own_netns: Option<u32>,
    node: Arc<str>,
    names: Names,
    learnt: HashMap<u32, (Placement, Timestamp)>,
}

impl NodeScope {
    /// For the node of this name, whose host namespace has the inode `own_netns`.
    pub fn new(own_netns: Option<u32>, node: Arc<str>, names: Names) -> Self {
        Self { own_netns, node, names, learnt: HashMap::new() }
    }

    /// Whose a drop is. `local` is the first address of the device the packet was on: it tells whose namespace that is. A packet
    /// without a device was sent there, from its source address.
    pub fn place(&mut self, flow: &Flow, local: Option<Ipv4Addr>) -> Placement {
        let inode = flow.netns.as_ref().map(|n| n.inode);
        if inode.is_some() && inode == self.own_netns {
            return Placement::Own;
        }
        let local = local.filter(|a| !a.is_loopback()).map(std::net::IpAddr::V4);
        let sent = || {
            let sent_here = flow.interface.is_none() && flow.incoming_ifindex.is_none();
            flow.packet.ip.filter(|_| sent_here).map(|ip| ip.source)
        };
        let by_address = local
            .or_else(sent)
            .and_then(|a| self.names.node_of(a, flow.time))
            .map(|node| if node == self.node { Placement::Own } else { Placement::Other });
        match (by_address, inode) {
            (Some(placement), Some(inode)) => {
                self.learn(inode, placement, flow.time);
                placement
            }
            (Some(placement), None) => placement,
            (None, Some(inode)) => self.remembered(inode, flow.time),
            (None, None) => Placement::Unknown,
        }
    }

    fn learn(&mut self, inode: u32, placement: Placement, now: Timestamp) {
        if self.learnt.len() >= MOST {
            self.learnt.clear();
        }
        self.learnt.insert(inode, (placement, now));
    }

    fn remembered(&self, inode: u32, now: Timestamp) -> Placement {
        let trust = SignedDuration::try_from(TRUST).unwrap_or_default();
        match self.learnt.get(&inode) {
            Some((placement, at)) if now.duration_since(*at) <= trust => *placement,
            _ => Placement::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Interface, Ip, Netns, Verdict};

    fn flow(inode: u32, second: i64, with_device: bool, source: &str) -> Flow {
        let mut f = Flow::new(Timestamp::from_second(second).unwrap(), Verdict::Dropped);
        f.netns = Some(Netns { inode, name: None });
        f.interface = with_device.then_some(Interface { index: 2, name: None });
        f.packet.ip = Some(Ip {
            source: source.parse().unwrap(),
            destination: "10.0.1.9".parse().unwrap(),
            protocol: 6,
            ttl: 64,
            total_length: 0,
            fragment: None,
        });
        f
    }

    fn scope() -> NodeScope {
        let names = Names::default();
        names.set_nodes(
            [
                ("192.168.0.1".parse().unwrap(), Arc::from("n1")),
                ("192.168.0.2".parse().unwrap(), Arc::from("n2")),
            ]
            .into_iter()
            .collect(),
            vec![
                ("10.0.1.0/24".parse().unwrap(), "n1".into()),
                ("10.0.2.0/24".parse().unwrap(), "n2".into()),
            ],
        );
        NodeScope::new(Some(1), "n1".into(), names)
    }

    #[test]
    fn namespaces_are_placed_by_what_is_known_of_them() {
        let mut s = scope();
        let local = |a: &str| Some(a.parse().unwrap());
        assert_eq!(s.place(&flow(1, 0, true, "10.0.2.5"), None), Placement::Own);
        assert_eq!(s.place(&flow(2, 0, true, "10.0.2.5"), local("10.0.1.5")), Placement::Own);
        assert_eq!(s.place(&flow(3, 0, true, "10.0.1.5"), local("10.0.2.5")), Placement::Other);
        assert_eq!(s.place(&flow(4, 0, false, "10.0.2.5"), None), Placement::Other, "sent from there");
        assert_eq!(s.place(&flow(5, 0, true, "10.0.2.5"), None), Placement::Unknown, "forwarded by somebody");
        assert_eq!(s.place(&flow(6, 0, true, "10.0.2.5"), local("192.168.0.2")), Placement::Other);
    }

    #[test]
    fn what_was_learnt_is_trusted_for_a_while() {
        let mut s = scope();
        assert_eq!(s.place(&flow(6, 0, true, "1.1.1.1"), Some([192, 168, 0, 2].into())), Placement::Other);
        assert_eq!(s.place(&flow(6, 30, true, "1.1.1.1"), None), Placement::Other);
        assert_eq!(s.place(&flow(6, 100, true, "1.1.1.1"), None), Placement::Unknown);
        assert_eq!(s.place(&flow(6, 101, true, "1.1.1.1"), Some([127, 0, 0, 1].into())), Placement::Unknown);
    }
}
