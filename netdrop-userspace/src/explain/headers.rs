//! Packets that can't be read: headers, lengths, fragments.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    IP_CSUM: Actionable,
        "The checksum of the IPv4 header is wrong.",
        causes ["a device or BPF program changed the header without correcting the checksum", "the packet was damaged on the way"],
        next ["nstat -az IpExtInCsumErrors IpInHdrErrors" => "how many so far", "ethtool -S DEVICE | grep -iE 'csum|crc|err'" => "errors that the network card counted"];
    IP_INHDR: Actionable,
        "The IP header is not valid, or the packet's TTL (hop limit) ran out here.",
        causes [
            "a routing loop: two nodes send a packet to each other until its TTL is used up",
            "traceroute and similar tools let the TTL run out on purpose",
            "a broken packet",
        ],
        next [
            "traceroute -n DESTINATION" => "addresses that come again: a loop",
            "nstat -az IpInHdrErrors Ip6InHdrErrors IcmpOutTimeExcds" => "how many so far; time-exceeded messages mean TTL",
        ];
    PKT_TOO_SMALL: Informational,
        "The packet is shorter than its headers say.",
        causes ["a broken or cut-off packet, often from a tunnel or a raw socket"],
        next ["nstat -az IpExtInTruncatedPkts UdpInErrors TcpInErrs" => "how many so far"];
    HDR_TRUNC: Informational,
        "The headers could not be read in one piece: the packet ends too early or memory ran short.",
        causes ["a broken packet that came by a tun or tap device", "memory ran short"],
        next ["ip -s -s link show dev DEVICE" => "errors by kind"];
    IPV6_BAD_EXTHDR: Informational,
        "An IPv6 extension header is not valid or not allowed.",
        causes ["a scanner or a broken sender", "a router on the way adds options that this kernel refuses"],
        next ["nstat -az Ip6InHdrErrors" => "how many so far", "tcpdump -vneni DEVICE 'ip6 and not (tcp or udp or icmp6)'" => "who sends it"];
    DUP_FRAG: Benign,
        "This fragment had already arrived; nothing is lost by dropping the second one.",
        causes ["a fragment was sent twice, or a device on the way copies packets"],
        next ["nstat -az IpReasmFails Ip6ReasmFails IpExtReasmOverlaps" => "how many so far"];
    FRAG_REASM_TIMEOUT: Actionable,
        "A packet in fragments never became whole: some did not arrive in time (30 seconds for IPv4, 60 for IPv6).",
        causes [
            "large UDP packets (DNS with DNSSEC, NFS) are fragmented, and a firewall or load balancer lets only the first fragment through",
            "fragments are spread over several paths or nodes",
            "loss on the way",
        ],
        next [
            "nstat -az IpReasmTimeout IpReasmFails Ip6ReasmTimeout" => "how many so far",
            "tcpdump -nni DEVICE 'ip[6:2] & 0x3fff != 0'" => "the fragments",
        ];
    FRAG_TOO_FAR: Informational,
        "Too many other fragments of the same sender came in between (net.ipv4.ipfrag_max_dist).",
        causes ["heavy fragmented UDP with loss or over several paths"],
        next ["sysctl net.ipv4.ipfrag_max_dist net.ipv4.ipfrag_high_thresh" => "the limits", "nstat -az IpReasmFails" => "how many so far"];
};
