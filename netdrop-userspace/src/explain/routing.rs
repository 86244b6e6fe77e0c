//! No way from here to there: routes, addresses, forwarding, size.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    IP_RPFILTER: Actionable,
        "Strict or loose reverse-path filtering: the kernel would not answer this source by the interface the packet came in by.",
        causes [
            "the node has more than one interface and the answer would leave by another one (asymmetric routing)",
            "net.ipv4.conf.*.rp_filter is 1 on the interfaces of the CNI plugin, often set by a distribution's sysctl file",
            "the route back to the pod network is missing while a CNI plugin starts or a node joins",
        ],
        next [
            "sysctl -a 2>/dev/null | grep '\\.rp_filter'" => "the setting; of 'all' and the interface's own the larger counts",
            "ip route get SOURCE" => "the interface the answer would take",
            "nstat -az TcpExtIPReversePathFilter" => "how many so far",
        ];
    IP_OUTNOROUTES: Actionable,
        "A packet made on this machine found no route to its destination.",
        causes [
            "the route was withdrawn while the connection was open: a BGP session, a VPN or an interface went down",
            "the packet was marked or translated by a rule, and the route for its new mark or address is missing",
            "a program that finds no route at the start gets 'Network is unreachable'; then no packet is made and none is seen here",
        ],
        next [
            "nsenter -t PID -n ip route; nsenter -t PID -n ip -6 route" => "routes in the pod's namespace",
            "nsenter -t PID -n ip route get DESTINATION" => "what the kernel would do",
            "nstat -az IpOutNoRoutes Ip6OutNoRoutes" => "how many so far",
        ];
    IP_INNOROUTES: Actionable,
        "A packet that should be forwarded found no route to its destination.",
        causes [
            "the node has no route to the pod network of another node: the CNI plugin or its BGP peer is down there",
            "a pod was deleted, and a client still sends to its old address",
            "the route to another cluster, VPC or VPN was withdrawn",
        ],
        next [
            "ip route get DESTINATION from SOURCE iif DEVICE" => "what the kernel would do with such a packet",
            "ip route show table all | grep -F POD_NETWORK" => "whether any table has a route for the pod network",
            "kubectl get pods -A -o wide | grep DESTINATION" => "whether the address belongs to a pod at all",
        ];
    IP_INADDRERRORS: Actionable,
        "The packet is for someone else, and this machine may not forward it or the address can't be forwarded.",
        causes [
            "net.ipv4.ip_forward (or net.ipv6.conf.all.forwarding) is 0 on a node",
            "forwarding is on for the node but was switched off for this interface",
            "a late packet for a pod address that its namespace no longer has",
            "IPv6: the source or destination is link-local, loopback or multicast and may not leave its link",
        ],
        next [
            "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.conf.DEVICE.forwarding" => "must be 1 on every node",
            "nstat -az IpInAddrErrors Ip6InAddrErrors" => "how many so far",
        ];
    IP_LOCAL_SOURCE: Actionable,
        "A packet came in from outside with one of this machine's own addresses as its source.",
        causes [
            "two machines or pods have the same address",
            "a packet of this node was sent back to it: a loop, a hairpin without masquerading, or a mirror port",
        ],
        next [
            "ip addr | grep -w SOURCE" => "the interface that owns the address",
            "arping -D -I DEVICE SOURCE" => "whether someone else answers for it",
        ];
    IP_INVALID_SOURCE: Actionable,
        "The source address can't be one: multicast, broadcast, zero or unusable on this interface.",
        causes [
            "a client without an address yet sends more than DHCP",
            "a broken or forged packet (martian source)",
        ],
        next [
            "sysctl -w net.ipv4.conf.all.log_martians=1; dmesg -w | grep -i martian" => "each such packet with its MAC address",
        ];
    IP_INVALID_DEST: Actionable,
        "The destination address can't be one here: zero, broadcast where none is allowed, or reserved.",
        causes ["an application sends to 0.0.0.0 or to a broadcast address that the pod network does not have", "a broken or forged packet (martian destination)"],
        next ["sysctl -w net.ipv4.conf.all.log_martians=1; dmesg -w | grep -i martian" => "each such packet with its MAC address"];
    IP_LOCALNET: Actionable,
        "A packet with an address of 127.0.0.0/8 was on an interface other than loopback.",
        causes [
            "a NodePort or DNAT rule sends traffic to 127.0.0.1 while net.ipv4.conf.*.route_localnet is 0",
            "kube-proxy on purpose no longer allows NodePorts on localhost (nftables mode, or --iptables-localhost-nodeports=false)",
        ],
        next [
            "sysctl -a 2>/dev/null | grep route_localnet" => "whether the kernel may route 127.0.0.0/8",
            "iptables-save -t nat | grep 127.0.0" => "rules that send traffic there",
        ];
    PKT_TOO_BIG: Actionable,
        "The packet is larger than the next link's MTU and may not be fragmented; the sender is told by ICMP.",
        causes [
            "the pods' MTU leaves no room for the overlay's header (VXLAN takes 50 bytes over IPv4, WireGuard 60 to 80)",
            "ICMP 'fragmentation needed' or 'packet too big' is blocked on the way back, so the sender never learns",
            "nodes have different MTUs (jumbo frames on some of them)",
        ],
        next [
            "ip -d link show | grep -E 'mtu|vxlan|geneve|wireguard'" => "the MTU of each link; a pod's must be the smallest on its way",
            "nsenter -t PID -n ping -M do -s 1422 DESTINATION" => "whether 1450 bytes pass; go down until they do",
            "nstat -az IpFragFails Ip6InTooBigErrors" => "how many so far",
        ];
    IP_TUNNEL_ECN: Informational,
        "The congestion mark of a tunnelled packet contradicts that of its outer header.",
        causes ["a device on the way rewrites the ECN or TOS bits of the tunnel's packets"],
        next ["sysctl net.ipv4.tcp_ecn" => "whether this machine asks for ECN"];
    VXLAN_INVALID_HDR: Actionable,
        "A VXLAN packet has a header that its device does not accept.",
        causes [
            "something else sends to the VXLAN port (8472 for Flannel and Cilium, 4789 for Calico)",
            "the two ends disagree on extensions (GBP, GPE) or remote checksum offload",
        ],
        next [
            "ip -d link show type vxlan" => "port and extensions on this node; compare with the other",
            "tcpdump -ni DEVICE -c 5 udp port 8472 or udp port 4789" => "who sends",
        ];
    VXLAN_VNI_NOT_FOUND: Actionable,
        "A VXLAN packet carries a network identifier (VNI) that no device here has.",
        causes [
            "two clusters or two CNI plugins share a network and a VXLAN port",
            "the overlay was set up again with another VNI, and a node still has the old one",
        ],
        next ["ip -d link show type vxlan | grep 'vxlan id'" => "the VNI on this node; compare with the other"];
    VXLAN_ENTRY_EXISTS: Informational,
        "A MAC address came by another tunnel endpoint than its fixed entry says, so it was not learnt.",
        causes ["two pods or nodes have the same MAC address", "the CNI plugin's forwarding entries are out of date"],
        next ["bridge fdb show dev DEVICE" => "the entries; those with 'static' or 'permanent' don't move"];
    NO_TX_TARGET (VXLAN_NO_REMOTE): Actionable,
        "A tunnel or bridge device knows no other end to send the packet to.",
        causes [
            "the CNI plugin has not yet written the forwarding entry of a new node",
            "the other node left the cluster, and a client still sends there",
        ],
        next [
            "bridge fdb show dev DEVICE" => "which MAC addresses lead to which node",
            "kubectl get nodes -o wide" => "the nodes there are",
        ];
    TUNNEL_TXINFO: Actionable,
        "A packet reached a tunnel device in external mode without saying which tunnel it is for.",
        causes ["something sends by the CNI plugin's tunnel device directly, without its BPF program or route", "the plugin's BPF program is not attached"],
        next ["ip route show | grep DEVICE; bpftool net show dev DEVICE" => "routes that lead there, and the programs on it"];
    RECURSION_LIMIT: Actionable,
        "The packet went through too many stacked devices and was stopped as a loop.",
        causes [
            "a tunnel's packets are routed into the tunnel itself",
            "bridges, tc redirects or tunnels form a circle",
        ],
        next [
            "ip route get TUNNEL_PEER" => "must not leave by the tunnel",
            "dmesg | grep -iE 'dead loop|recursion'" => "the device, if the kernel said so",
        ];
    IPV6DISABLED: Actionable,
        "IPv6 is switched off on the interface.",
        causes [
            "net.ipv6.conf.*.disable_ipv6 is 1 in the pod or on the node: right for an IPv4 cluster, wrong for dual stack",
            "neighbours still send router advertisements or multicast: harmless",
        ],
        next ["sysctl -a 2>/dev/null | grep disable_ipv6" => "where it is off"];
};
