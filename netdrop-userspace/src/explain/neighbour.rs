//! The last hop on the link: ARP, neighbour discovery, bridges, MAC addresses.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    NEIGH_FAILED: Actionable,
        "Nobody answered ARP or neighbour discovery for the next hop, so the packet could not be addressed.",
        causes [
            "the pod or node with this address is gone, and a client or endpoint still points to it",
            "the network between the nodes drops ARP, or a cloud drops frames of MAC addresses it does not know",
            "the next hop of a route is wrong",
        ],
        next [
            "ip neigh show nud failed; ip neigh show nud incomplete" => "addresses that nobody answers for",
            "kubectl get endpointslices -A | grep ADDRESS" => "whether a Service still sends there",
            "arping -c 3 -I DEVICE ADDRESS" => "whether anybody answers",
        ];
    NEIGH_QUEUEFULL: Actionable,
        "Too many packets already wait for the next hop's MAC address, so the oldest was thrown away.",
        causes [
            "a burst to an address that does not answer, or answers slowly",
            "a UDP sender that starts at full rate before ARP is done: a few drops at the start are normal",
        ],
        next [
            "ip neigh show nud incomplete" => "addresses that are being asked for",
            "ip -s ntable show dev DEVICE" => "the queue's length (unres_qlen) and counters",
        ];
    NEIGH_CREATEFAIL: Actionable,
        "The kernel could not make a neighbour entry for the next hop.",
        causes [
            "the neighbour table is full (net.ipv4.neigh.default.gc_thresh3), common with more than 1,000 pods or nodes on a link",
            "memory ran short",
        ],
        next [
            "sysctl net.ipv4.neigh.default.gc_thresh3 net.ipv6.neigh.default.gc_thresh3; ip neigh | wc -l" => "the limit and the entries of this namespace; the limit is for all namespaces together",
            "dmesg | grep -i 'neighbour table overflow'" => "whether the table is full",
        ];
    NEIGH_DEAD: Informational,
        "The neighbour entry was being removed while the packet used it.",
        causes ["an interface was just taken down or deleted, as when a pod ends"],
        next ["kubectl get events -A --sort-by=.lastTimestamp | tail" => "pods that just ended on this node"];
    NEIGH_HH_FILLFAIL: Actionable,
        "The kernel could not write the link header, because the device could not build one.",
        causes ["the interface was just being removed, or its type does not fit the neighbour entry"],
        next ["ip -s link show dev DEVICE" => "the state and errors of the interface"];
    OTHERHOST: Informational,
        "The frame's MAC address is another machine's; the interface only saw it because it listens to all frames.",
        causes [
            "a bridge or switch floods frames whose place it does not know yet",
            "an interface is in promiscuous mode (tcpdump, a bridge port)",
            "many of them for a pod's own address: its ARP entry elsewhere holds an old MAC address",
        ],
        next [
            "ip -d link show | grep -i promisc" => "interfaces that listen to all frames",
            "ip neigh show ADDRESS" => "on the sender: the MAC address it uses",
        ];
    UNHANDLED_PROTO (PTYPE_ABSENT): Informational,
        "No part of this kernel takes frames of this EtherType.",
        causes [
            "LLDP, spanning tree, CDP or a switch's own frames reach the node: harmless",
            "IPv6 frames on a node booted with ipv6.disable=1",
            "VLAN-tagged frames for a VLAN that has no interface here",
        ],
        next [
            "tcpdump -neni DEVICE -c 10 not ip and not ip6 and not arp" => "the frames and who sends them",
            "ip -d link show type vlan" => "VLANs this node knows",
        ];
    UNICAST_IN_L2_MULTICAST: Informational,
        "A packet for one IP address came in a frame for many, which hosts must ignore (RFC 1122).",
        causes ["Windows NLB or another cluster that shares an address by a multicast MAC", "a switch or Wi-Fi bridge that rewrites frames"],
        next ["tcpdump -neni DEVICE -c 5 ether multicast and ip" => "the frames and who sends them"];
    MAC_INVALID_SOURCE: Actionable,
        "The frame's source MAC address is not a valid one (multicast, zero, or the device's own on a tunnel).",
        causes ["two interfaces have the same MAC address, as after cloning a VM", "a loop sends frames back"],
        next ["bridge fdb show | sort | uniq -d -w 17" => "MAC addresses in more than one place"];
    LOCAL_MAC: Actionable,
        "The source MAC address of a frame that came in is that of this machine's own device.",
        causes ["a loop in the network sends the node's frames back", "a cloned VM has the same MAC address"],
        next ["ip link | grep -i MAC" => "the interface that owns the address"];
    ARP_PVLAN_DISABLE: Informational,
        "An ARP answer was not needed because private-VLAN proxy ARP is off.",
        causes ["the kernel's proxy ARP got a request it should not answer on this interface"],
        next ["sysctl net.ipv4.conf.DEVICE.proxy_arp_pvlan net.ipv4.conf.DEVICE.proxy_arp" => "the settings"];
    MAC_IEEE_MAC_CONTROL: Benign,
        "An Ethernet control frame (such as PAUSE) that a bridge must not forward.",
        causes ["a switch or network card sends flow-control frames up to the bridge"],
        next ["ethtool -a DEVICE" => "flow-control settings"];
    BRIDGE_INGRESS_STP_STATE: Informational,
        "The bridge port does not take frames yet, because spanning tree holds it.",
        causes ["a pod's port was just added to a bridge with spanning tree on: it waits the forward delay", "spanning tree blocks a port to break a loop"],
        next ["bridge -d link show" => "the state of each port", "ip -d link show type bridge | grep -o 'forward_delay [0-9]*'" => "how long a new port waits"];
    IPV6_NDISC_FRAG: Informational,
        "A neighbour discovery message came in fragments, which RFC 6980 forbids.",
        causes ["a forged packet, or a router that sends huge advertisements"],
        next ["tcpdump -neni DEVICE 'icmp6 or ip6 proto 44'" => "who sends it"];
    IPV6_NDISC_HOP_LIMIT: Actionable,
        "A neighbour discovery message did not have hop limit 255: it came from beyond the link.",
        causes ["a tunnel or router forwards neighbour discovery", "a forged packet"],
        next ["tcpdump -vneni DEVICE icmp6" => "who sends it"];
    IPV6_NDISC_BAD_CODE: Informational,
        "A neighbour discovery message has a code other than 0.",
        causes ["a broken or forged packet"],
        next ["tcpdump -vneni DEVICE icmp6" => "who sends it"];
    IPV6_NDISC_BAD_OPTIONS: Informational,
        "A neighbour discovery message has options that can't be read.",
        causes ["a broken or forged packet, often from a router"],
        next ["tcpdump -vneni DEVICE icmp6" => "who sends it"];
    IPV6_NDISC_NS_OTHERHOST: Informational,
        "A neighbour solicitation asks for an address that is not on this interface.",
        causes ["the multicast group of solicitations covers several addresses, so hosts see each other's: normal", "a bridge floods multicast"],
        next ["ip -6 addr show dev DEVICE" => "the addresses this interface answers for"];
};
