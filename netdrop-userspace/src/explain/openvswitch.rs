//! Open vSwitch (OVN-Kubernetes, Kube-OVN, Antrea): what its data path says, net/openvswitch/drop.h.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    OVS_DROP_LAST_ACTION: Actionable,
        "The flow that the packet matched ends without sending it anywhere.",
        causes [
            "a NetworkPolicy, which OVN and Antrea write as flows, does not allow this traffic",
            "no flow knows the destination: the pod is gone, or its port is not set up yet",
        ],
        next [
            "ovs-appctl dpctl/dump-flows -m names=yes | grep -E 'actions:drop|actions:$'" => "flows of the data path that drop, with their packets",
            "kubectl get networkpolicy -n NAMESPACE -o wide" => "policies that select the pod",
            "ovs-appctl ofproto/trace BRIDGE 'in_port=PORT,tcp,nw_src=SOURCE,nw_dst=DESTINATION'" => "which table and rule decide",
        ];
    OVS_DROP_EXPLICIT: Actionable,
        "A flow of the switch says drop.",
        causes ["a NetworkPolicy or security group was written as a flow that drops", "ovs-vswitchd drops what it has no rule for"],
        next [
            "ovs-appctl dpctl/dump-flows -m names=yes | grep 'drop'" => "flows of the data path that drop, with their packets",
            "kubectl get networkpolicy -n NAMESPACE -o wide" => "policies that select the pod",
        ];
    OVS_DROP_EXPLICIT_WITH_ERROR: Actionable,
        "A flow of the switch says drop, because ovs-vswitchd could not work out where the packet should go.",
        causes ["rules resubmit too deeply or in a circle", "a rule needs more stack or more tunnels than there are"],
        next ["ovs-appctl coverage/show | grep drop" => "the errors, counted by kind", "tail -n 50 /var/log/openvswitch/ovs-vswitchd.log" => "what it says of them"];
    OVS_DROP_ACTION_ERROR: Actionable,
        "The switch could not carry out an action of the flow.",
        causes ["memory ran short", "the packet is too short or of the wrong kind for the header that the action changes"],
        next ["ovs-appctl coverage/show | grep drop" => "the errors, counted by kind", "dmesg | grep -i openvswitch" => "what the kernel said"];
    OVS_DROP_METER: Actionable,
        "The packet was over the rate of a meter.",
        causes ["an egress QoS rule of the CNI plugin, or a limit on packets to the controller, is reached"],
        next ["ovs-ofctl -O OpenFlow15 meter-stats BRIDGE" => "packets of each meter and its bands"];
    OVS_DROP_RECURSION_LIMIT: Actionable,
        "The actions of the flow call each other too deeply.",
        causes ["rules recirculate the packet in a circle"],
        next ["dmesg | grep -i 'recursion limit'" => "the switch that said so", "ovs-appctl ofproto/trace BRIDGE FLOW" => "the way of such a packet through the tables"];
    OVS_DROP_DEFERRED_LIMIT: Actionable,
        "Too many actions wait for the packet's next round through the switch.",
        causes ["rules copy and recirculate the packet many times"],
        next ["dmesg | grep -i 'deferred action'" => "the switch that said so"];
    OVS_DROP_FRAG_L2_TOO_LONG: Actionable,
        "The packet must be fragmented, and its layer-2 header is too long for that.",
        causes ["several VLAN or MPLS tags on a packet larger than the MTU"],
        next ["ip -d link show | grep mtu" => "the MTU of each link; that of the pods must leave room for the tunnel"];
    OVS_DROP_FRAG_INVALID_PROTO: Actionable,
        "The packet is larger than the MTU and is not IP, so it can't be fragmented.",
        causes ["the MTU of the sender's interface is larger than that of the switch's port"],
        next ["ip -d link show | grep mtu" => "the MTU of each link"];
    OVS_DROP_CONNTRACK: Actionable,
        "The switch could not track the packet's connection.",
        causes ["the conntrack table or a zone's limit is full", "the packet is a fragment that never became whole, or is broken"],
        next [
            "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; conntrack -S" => "whether the table is full (drop and insert_failed grow)",
            "ovs-appctl dpctl/ct-get-limits" => "limits of zones",
        ];
    OVS_DROP_IP_TTL: Informational,
        "The packet's TTL ran out in the switch, which routes it.",
        causes ["a routing loop between the switch and another router", "traceroute, on purpose"],
        next ["traceroute -n DESTINATION" => "addresses that come again: a loop"];
};
