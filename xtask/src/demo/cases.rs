//! The drops of the demo. Each goes to a port of its own, by which its lines are known.

use anyhow::Result;

use super::provoke;
use super::stage::Stage;

/// One kind of drop.
pub(super) struct Case {
    /// What an SRE would call it.
    pub(super) title: &'static str,
    /// What is done, in a sentence.
    pub(super) done: &'static str,
    /// What the line means, in a sentence.
    pub(super) means: &'static str,
    /// Destination port of its packets.
    pub(super) port: u16,
    /// Packets sent.
    pub(super) sent: u16,
    /// Does it.
    pub(super) provoke: for<'a> fn(&'a Stage, &Case) -> Result<Truth<'a>>,
}

/// What the kernel itself has to say of a case.
pub(super) struct Truth<'a> {
    /// How many drops have to show up.
    pub(super) expected: u64,
    /// Reads, once they have, how many the kernel has counted; `None`: it has no counter for such drops.
    pub(super) counted: Box<dyn FnOnce() -> Result<Option<u64>> + 'a>,
}

impl<'a> Truth<'a> {
    pub(super) fn new(expected: impl Into<u64>, counted: impl FnOnce() -> Result<Option<u64>> + 'a) -> Self {
        Self { expected: expected.into(), counted: Box::new(counted) }
    }
}

/// All but the full connection tracking table.
pub(super) fn all() -> [Case; 11] {
    [
        Case {
            title: "policy in FORWARD, by nft",
            done: "checkout-api opens connections to payments-db:5432; an nft rule on worker-1 says drop.",
            means: "The firewall of the sender's node refused it: `nft list ruleset` on worker-1 has the rule.",
            port: 5432,
            sent: 20,
            provoke: provoke::nft_forward,
        },
        Case {
            title: "policy in FORWARD, by iptables",
            done: "prometheus scrapes checkout-api:9090; an iptables rule on worker-1 says DROP.",
            means: "The firewall of the receiver's node refused it: `iptables -vnL FORWARD` on worker-1 counts it.",
            port: 9090,
            sent: 20,
            provoke: provoke::iptables_forward,
        },
        Case {
            title: "policy in OUTPUT",
            done: "load-generator asks 8.8.8.8:53 for a name; a rule inside its own namespace drops it.",
            means: "It never left the pod: no interface, and the process that sent it is known.",
            port: 53,
            sent: 20,
            provoke: provoke::output,
        },
        Case {
            title: "closed UDP port",
            done: "checkout-api sends metrics to payments-db:8125, where nobody listens.",
            means: "It arrived, and the pod had no socket for it: the process is down or the port is wrong.",
            port: 8125,
            sent: 20,
            provoke: provoke::closed_udp,
        },
        Case {
            title: "closed TCP port",
            done: "load-generator opens connections to payments-db:3306, where nobody listens.",
            means: "The pod answered with a reset (connection refused): the process is down or the port is wrong.",
            port: 3306,
            sent: 20,
            provoke: provoke::closed_tcp,
        },
        Case {
            title: "no route",
            done: "checkout-api sends to 10.250.0.9:4443, a network that worker-1 has no route to.",
            means: "The node did not know where to send it: compare `ip route get 10.250.0.9` on worker-1.",
            port: 4443,
            sent: 20,
            provoke: provoke::no_route,
        },
        Case {
            title: "reverse path filter",
            done: "load-generator sends with a source address that belongs behind the overlay.",
            means: "It came in by an interface that the way back does not use: rp_filter=1 on worker-1.",
            port: 7946,
            sent: 20,
            provoke: provoke::rp_filter,
        },
        Case {
            title: "full socket buffer",
            done: "checkout-api sends to payments-db:9125, whose process is too slow to read.",
            means: "The receiver's queue was full: it is slow, or its net.core.rmem is small for this burst.",
            port: 9125,
            sent: 40,
            provoke: provoke::full_buffer,
        },
        Case {
            title: "too big for the overlay",
            done: "checkout-api, its MTU set to 1500 by mistake, sends 1500 bytes with don't-fragment.",
            means: "VXLAN leaves room for 1450: the pod's MTU is wrong, or the ICMP that says so is filtered.",
            port: 6443,
            sent: 20,
            provoke: provoke::too_big,
        },
        Case {
            title: "time to live ran out",
            done: "load-generator sends to payments-db:33434 with a TTL of 1, as traceroute does.",
            means: "The node is the first hop and gave it up; without traceroute, suspect a routing loop.",
            port: 33434,
            sent: 20,
            provoke: provoke::time_to_live,
        },
        Case {
            title: "unknown neighbour",
            done: "prometheus sends to 10.244.1.99:9100, an address on worker-1 that no pod has any more.",
            means: "Nobody answered the node's ARP: the pod is gone, but something still holds its address.",
            port: 9100,
            sent: 20,
            provoke: provoke::unknown_neighbour,
        },
    ]
}

/// Last, as it takes seconds to prepare.
pub(super) fn conntrack() -> Case {
    Case {
        title: "full conntrack table",
        done: "checkout-api opens connections to payments-db:5433; worker-1 tracks as many as it can already.",
        means: "No rule said no: worker-1 could not track one more. Raise nf_conntrack_max, or find who fills it.",
        port: 5433,
        sent: 20,
        provoke: provoke::full_conntrack,
    }
}
