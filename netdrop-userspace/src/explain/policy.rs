//! Dropped on purpose: netfilter, BPF, tc, XDP, security modules, IPsec.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    NETFILTER_DROP: Actionable,
        "A netfilter rule (iptables, nftables, conntrack) refused the packet; a REJECT rule also ends here after it has answered.",
        causes [
            "a NetworkPolicy, which many CNI plugins write as iptables or nftables rules, does not allow this traffic",
            "a firewall of the node (firewalld, ufw, a FORWARD policy of DROP) does not know the pod network",
            "kube-proxy rejects a Service that has no ready endpoints, and drops packets that conntrack calls INVALID",
            "the conntrack table is full; the kernel log then says 'nf_conntrack: table full, dropping packet'",
        ],
        next [
            "kubectl get networkpolicy -n NAMESPACE -o wide" => "policies that select the pod",
            "iptables-save -c | grep -E 'DROP|REJECT'; nft list ruleset | grep -nE 'drop|reject'" => "rules that drop, with counters: run it twice and see which one grows; for rules without counters, a rule with 'meta nftrace set 1' and nft monitor trace",
            "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; conntrack -S" => "whether the conntrack table is full (drop and insert_failed grow)",
        ];
    BPF_CGROUP_EGRESS: Actionable,
        "A BPF program on the sender's cgroup refused the packet as it left the socket.",
        causes [
            "a CNI plugin or policy agent enforces egress rules with cgroup BPF programs",
            "a systemd unit has IPAddressDeny= or RestrictNetworkInterfaces=",
        ],
        next [
            "bpftool cgroup tree" => "BPF programs on each cgroup; look for cgroup_inet_egress",
            "kubectl get networkpolicy -n NAMESPACE -o wide" => "egress policies that select the sender",
        ];
    SOCKET_FILTER: Actionable,
        "A filter on the receiving socket, or an ingress BPF program on its cgroup, refused the packet.",
        causes [
            "a CNI plugin or policy agent enforces ingress rules with cgroup BPF programs",
            "a systemd unit has IPAddressDeny=",
            "the program filters on its own socket (SO_ATTACH_FILTER), as DHCP and capture tools do: then it is on purpose",
        ],
        next [
            "bpftool cgroup tree" => "BPF programs on each cgroup; look for cgroup_inet_ingress",
            "nsenter -t PID -n ss -0 -b" => "filters on packet sockets in the pod's namespace",
        ];
    TC_INGRESS: Actionable,
        "A tc program or filter on the device refused the packet as it came in.",
        causes [
            "a CNI plugin that works with BPF (Cilium, Calico's BPF mode) enforces policy there; its own monitor names the rule",
            "a tc filter with 'action drop', or a police action for bandwidth limits",
        ],
        next [
            "bpftool net show dev DEVICE" => "tc and TCX programs on the device",
            "tc -s filter show dev DEVICE ingress" => "filters and their counters",
            "kubectl -n kube-system exec ds/cilium -- hubble observe --verdict DROPPED" => "Cilium's own reason, if Cilium is the CNI plugin",
        ];
    TC_EGRESS: Actionable,
        "A tc program or filter on the device refused the packet on its way out.",
        causes [
            "a CNI plugin that works with BPF enforces policy on the pod's interface",
            "a tc filter with 'action drop', or a police action for bandwidth limits",
        ],
        next [
            "bpftool net show dev DEVICE" => "tc and TCX programs on the device",
            "tc -s filter show dev DEVICE egress" => "filters and their counters",
        ];
    TC_CHAIN_NOTFOUND: Actionable,
        "A tc filter sent the packet to a chain that does not exist.",
        causes ["tc filters were only half installed or half removed, for example while a hardware-offload CNI restarted"],
        next ["tc -s filter show dev DEVICE ingress" => "filters with 'goto chain N'; every N must exist"];
    TC_RECLASSIFY_LOOP: Actionable,
        "The tc filters on the device sent the packet round in a circle.",
        causes ["two tc filters reclassify to each other"],
        next ["tc -s filter show dev DEVICE ingress" => "filters with 'action reclassify' or 'goto chain'"];
    TC_COOKIE_ERROR: Informational,
        "tc lost its notes about a packet while it passed through conntrack defragmentation or chains.",
        causes ["memory ran short while tc handled a fragment or a chain", "hardware offload and software chains disagree"],
        next ["tc -s filter show dev DEVICE ingress" => "filters with chains or 'action ct'"];
    TC_ERROR: Informational,
        "tc failed inside while it looked for the packet's filter; later kernels say how.",
        causes ["a filter names a chain that does not exist, or filters send the packet round in a circle", "memory ran short while tc handled a fragment or a chain"],
        next ["tc -s filter show dev DEVICE ingress; tc -s filter show dev DEVICE egress" => "filters with 'goto chain N', 'action reclassify' or 'action ct'"];
    XDP: Actionable,
        "An XDP program in generic mode dropped the packet.",
        causes [
            "a load balancer or DDoS filter (Cilium's XDP mode, a node agent) dropped it on purpose",
            "in native mode XDP drops packets before the kernel makes an skb of them: netdrop sees none of those",
        ],
        next [
            "ip -d link show dev DEVICE | grep -i xdp" => "whether a program is attached, and in which mode",
            "bpftool net show" => "all XDP and tc programs of the node",
        ];
    SECURITY_HOOK: Actionable,
        "A security module (SELinux, Smack, a BPF LSM program) refused the packet.",
        causes ["SELinux network labels (NetLabel, SECMARK) don't allow this peer", "a BPF LSM program of a runtime-security agent refused it"],
        next [
            "ausearch -m avc -ts recent" => "SELinux refusals",
            "bpftool prog list | grep -w lsm" => "BPF LSM programs",
        ];
    XFRM_POLICY: Actionable,
        "An IPsec policy expected the packet to be encrypted (or not), and it was the other way.",
        causes [
            "the CNI plugin encrypts between nodes, and the other node has not, or has an older key",
            "strongSwan or Libreswan on the node selects pod addresses",
        ],
        next [
            "ip xfrm policy; ip -s xfrm state" => "policies and keys, with error counters",
            "cat /proc/net/xfrm_stat" => "which check failed",
        ];
    PSP_INPUT: Actionable,
        "The PSP (per-socket encryption) check refused a packet that arrived.",
        causes ["one end has PSP keys for this connection and the other has not, or the keys were changed"],
        next ["ss -tie dst ADDRESS" => "the connection that is affected"];
    PSP_OUTPUT: Actionable,
        "The PSP (per-socket encryption) check refused a packet on its way out.",
        causes ["the route moved the connection to a device that does not encrypt with PSP"],
        next ["ip route get ADDRESS" => "the device the packet leaves by now"];
    TCP_MINTTL: Actionable,
        "The packet came from farther away than the socket allows (IP_MINTTL).",
        causes ["BGP with TTL security (GTSM) between a node and its router: one more hop than configured lies between them"],
        next ["ss -tnp '( sport = :179 or dport = :179 )'" => "BGP sessions; compare the hops with the TTL security setting of the speaker"];
};
