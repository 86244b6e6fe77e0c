//! Devices, drivers and what the kernel says when it gives no reason.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    NOT_SPECIFIED: Informational,
        "The kernel freed the packet as dropped but gave no reason; the place in the kernel says more.",
        causes [
            "code that has not been taught to give reasons yet: many drivers, netlink, older protocols",
            "the symbol after 'at' names the function that dropped it; its source says why",
            "at tcp_v4_rcv: mostly the last FIN of a connection that this side has closed; at ip_rcv_finish_core: multicast that nobody here wants",
            "at ip_error: a route of type blackhole, unreachable or prohibit; at __dev_forward_skb2: the other end of a veth pair has a smaller MTU",
        ],
        next [
            "netdrop explain NOT_SPECIFIED --site SYMBOL" => "what it means at the place that a drop names",
            "netdrop observe --reason NOT_SPECIFIED -o json" => "the whole record of each, with its place and what that means",
            "nstat -z; sleep 5; nstat" => "which counter of the kernel grows at the same rate",
        ];
    DEV_READY: Actionable,
        "The device is not up or has no other end, so it can't take the packet.",
        causes [
            "a pod is starting or ending: one end of its veth pair is down or gone",
            "someone set the interface down",
        ],
        next ["ip -d link show dev DEVICE" => "must be UP and LOWER_UP", "kubectl get events -A --sort-by=.lastTimestamp | tail" => "pods that start or end on this node"];
    DEV_HDR: Actionable,
        "The driver could not read or build its own header of the packet.",
        causes ["a tun, tap or tunnel device got a malformed frame", "a VM's virtio driver sends wrong metadata"],
        next ["ip -s -s link show dev DEVICE" => "errors by kind"];
    SKB_CSUM: Actionable,
        "The kernel could not compute or complete the packet's checksum.",
        causes ["broken offload metadata from a driver or VM", "a BPF program changed the packet's size without correcting offsets"],
        next ["ethtool -k DEVICE | grep checksum" => "offloads of the device", "dmesg | grep -iE 'checksum|skb_warn_bad_offload'" => "the driver, if the kernel named it"];
    SKB_GSO_SEG: Actionable,
        "The kernel could not cut a large (GSO) packet into packets of the link's size.",
        causes ["a driver, tunnel or BPF program set wrong segmentation data", "a VM sends a segmentation type that the host does not know"],
        next ["ethtool -k DEVICE | grep -E 'segmentation|gro'" => "offloads; try: ethtool -K DEVICE gso off gro off tso off"];
    SKB_BAD_GSO: Actionable,
        "A large (GSO) packet has segmentation data that does not fit its headers.",
        causes ["a VM or a program with a packet socket sends wrong virtio headers", "a BPF program changed the packet's size without correcting its segmentation data"],
        next ["ip -s -s link show dev DEVICE" => "errors by kind", "ip -d tuntap show; ss -0 -p" => "programs that hold such devices and sockets"];
    NOT_DROPPED_YET: Informational,
        "The packet was dropped by code that had not set a reason; the place in the kernel says more.",
        causes ["a mistake in that part of the kernel, or in a driver; it may well be a real loss"],
        next ["netdrop observe --reason NOT_DROPPED_YET -o json" => "the whole record of each, with its place"];
    CONSUMED: Benign,
        "Not a drop: the packet was delivered and is done.",
        causes ["code that ends every packet by the same way, dropped or not"],
        next ["netdrop observe --reason CONSUMED -o dict" => "the place in the kernel"];
    CAN_RX_INVALID_FRAME: Informational,
        "A CAN bus frame has an invalid length or header.",
        causes ["a broken CAN adapter or a program that writes raw frames"],
        next ["ip -s -d link show type can" => "CAN interfaces and their errors"];
    CANFD_RX_INVALID_FRAME: Informational,
        "A CAN FD bus frame has an invalid length or header.",
        causes ["a broken CAN adapter or a program that writes raw frames"],
        next ["ip -s -d link show type can" => "CAN interfaces and their errors"];
    CANXL_RX_INVALID_FRAME: Informational,
        "A CAN XL bus frame has an invalid length or header.",
        causes ["a broken CAN adapter or a program that writes raw frames"],
        next ["ip -s -d link show type can" => "CAN interfaces and their errors"];
    UNIX_DISCONNECT: Benign,
        "A message on a unix socket was dropped because the socket was connected elsewhere; no network is involved.",
        causes ["a program connects a datagram unix socket to another peer"],
        next ["ss -xp" => "unix sockets and their processes"];
    UNIX_SKIP_OOB: Benign,
        "An urgent byte on a unix socket was skipped; no network is involved.",
        causes ["a program uses MSG_OOB on unix sockets"],
        next ["ss -xp" => "unix sockets and their processes"];
};
