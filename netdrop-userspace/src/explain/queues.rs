//! Too much at once: queueing disciplines and the per-CPU backlog.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    QDISC_DROP (QDISC_DROP_GENERIC): Actionable,
        "The queueing discipline of the device threw the packet away on its way out.",
        causes [
            "the link or its rate limit is slower than what is sent: the queue is full",
            "a bandwidth limit of the CNI plugin (kubernetes.io/egress-bandwidth) is reached",
            "the interface has no carrier: the other end of a pod's veth pair is down, as when a pod starts or ends",
            "a test tool drops on purpose (netem, chaos experiments)",
        ],
        next [
            "tc -s qdisc show dev DEVICE" => "dropped and overlimits of each queue",
            "kubectl get pod POD -n NAMESPACE -o yaml | grep bandwidth" => "the pod's limits",
        ];
    QDISC_OVERLIMIT (QDISC_DROP_OVERLIMIT): Actionable,
        "The queueing discipline of the device is at its limit of packets or bytes.",
        causes ["more is sent than the link or its rate limit lets through", "the queue is short for the bursts of many pods"],
        next ["tc -s qdisc show dev DEVICE" => "limit, backlog and drops of each queue", "ip -s link show dev DEVICE" => "qlen and drops of the device"];
    QDISC_CONGESTED (QDISC_DROP_CONGESTED): Informational,
        "Active queue management (CoDel, PIE, RED) dropped the packet early to tell the sender to slow down.",
        causes ["the link is busy; a few such drops are how TCP finds its rate", "many: the link or its rate limit is too small"],
        next ["tc -s qdisc show dev DEVICE" => "drops, marks and the delay that the queue aims at"];
    CAKE_FLOOD (QDISC_DROP_FLOOD_PROTECTION): Informational,
        "The CAKE queue's flood protection dropped a packet of a flow that does not slow down.",
        causes ["a UDP sender that ignores loss"],
        next ["tc -s qdisc show dev DEVICE" => "the queue's counters"];
    FQ_BAND_LIMIT (QDISC_DROP_BAND_LIMIT): Actionable,
        "The fq queue's limit for this priority band is reached.",
        causes ["more is sent than the link lets through", "one band of priority takes all"],
        next ["tc -s qdisc show dev DEVICE" => "band_pkts and band_drops"];
    FQ_HORIZON_LIMIT (QDISC_DROP_HORIZON_LIMIT): Actionable,
        "The packet's send time lies too far in the future for the fq queue.",
        causes ["a pod's bandwidth limit (Cilium's bandwidth manager sets send times) has more waiting than the horizon, ten seconds by default", "an application sets SO_TXTIME wrongly"],
        next ["tc -s qdisc show dev DEVICE" => "horizon and horizon_drops"];
    FQ_FLOW_LIMIT (QDISC_DROP_FLOW_LIMIT): Actionable,
        "One flow has more packets in the fq queue than a flow may have.",
        causes ["a UDP sender is faster than the link; the limit is 100 packets by default"],
        next ["tc -s qdisc show dev DEVICE" => "flow_limit and flows_plimit"];
    DUALPI2_STEP_DROP (QDISC_DROP_L4S_STEP_NON_ECN): Informational,
        "The DualPI2 queue dropped a packet above its delay threshold, because it can't be marked.",
        causes ["a sender without ECN in the low-delay queue"],
        next ["tc -s qdisc show dev DEVICE" => "the queue's counters"];
    CPU_BACKLOG: Actionable,
        "The CPU's queue of received packets is full: the kernel can't keep up on that CPU.",
        causes [
            "one CPU takes the traffic of all pods: veth and loopback traffic stays on the sender's CPU",
            "net.core.netdev_max_backlog (1,000 by default) is small for bursts",
            "the CPU is busy with something else in softirq, such as thousands of iptables rules",
        ],
        next [
            "cat /proc/net/softnet_stat" => "one line for each CPU in hexadecimal; the second column counts these drops",
            "sysctl net.core.netdev_max_backlog net.core.netdev_budget" => "the limits",
            "mpstat -P ALL 1 5" => "a CPU near 100 % in %soft",
        ];
};
