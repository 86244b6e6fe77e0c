//! It arrived, but the receiver could not take it: ports, buffers, memory.

use super::{Explanation, explanations};

pub(super) const TABLE: &[Explanation] = explanations! {
    NO_SOCKET: Actionable,
        "The packet arrived, but no socket listens on this address and port (or the connection no longer exists).",
        causes [
            "the application listens on another port than the Service's targetPort, or on 127.0.0.1 only",
            "the container is still starting or has crashed, and traffic comes before a readiness probe keeps it away",
            "late packets of a connection that was closed or whose pod was replaced; a few are normal",
            "late DNS answers to a resolver that gave up waiting",
        ],
        next [
            "nsenter -t PID -n ss -ltnp; nsenter -t PID -n ss -lunp" => "what listens in the pod, and on which address",
            "kubectl get endpointslices -n NAMESPACE -l kubernetes.io/service-name=SERVICE -o wide" => "ports the Service sends to",
            "kubectl get pod POD -n NAMESPACE -o wide" => "ready, restarts, address",
        ];
    SOCKET_RCVBUFF: Actionable,
        "The socket's receive buffer is full: the application reads more slowly than packets come.",
        causes [
            "the application is short of CPU: its limit throttles it, or one thread reads everything",
            "bursts of UDP (DNS, syslog, metrics, QUIC) larger than the buffer; net.core.rmem_default is about 208 KiB",
            "a process is stopped or hangs with its socket open",
        ],
        next [
            "nsenter -t PID -n ss -uampn" => "Recv-Q and, in skmem, d: the drops of each socket",
            "nsenter -t PID -n nstat -az UdpRcvbufErrors Udp6RcvbufErrors TcpExtTCPRcvQDrop" => "how many so far",
            "sysctl net.core.rmem_default net.core.rmem_max" => "how large a buffer may be",
        ];
    SOCKET_BACKLOG: Actionable,
        "The socket was busy and its backlog of packets that wait for it was full.",
        causes [
            "one connection receives faster than its thread gets CPU; CPU limits make it worse",
            "very small packets at a high rate, each of which counts with its whole buffer",
        ],
        next [
            "nsenter -t PID -n nstat -az TcpExtTCPBacklogDrop" => "how many so far",
            "nsenter -t PID -n ss -tmni" => "skmem of each socket: bl is the backlog",
            "kubectl top pod POD -n NAMESPACE --containers" => "whether it is at its CPU limit",
        ];
    PROTO_MEM: Actionable,
        "All sockets together use as much memory as TCP or UDP may have (tcp_mem, udp_mem), or the pod's cgroup is at its limit.",
        causes [
            "many sockets with full buffers: slow readers, leaked connections",
            "the pod's memory limit is reached, and socket buffers count towards it",
        ],
        next [
            "cat /proc/net/sockstat; sysctl net.ipv4.tcp_mem net.ipv4.udp_mem" => "use and limits, in pages of 4 KiB",
            "nstat -az TcpExtTCPMemoryPressures UdpMemErrors" => "how many so far",
        ];
    SOCKET_CLOSE: Benign,
        "The socket was closed while the packet still waited in its queue.",
        causes ["a process ended or closed its socket without reading everything"],
        next ["kubectl get pod POD -n NAMESPACE" => "whether it restarted just then"];
    QUEUE_PURGE: Informational,
        "A queue was emptied with packets still in it, because its owner went away or gave up; the place in the kernel says whose it was.",
        causes [
            "at sk_stream_kill_queues, inet_sock_destruct: a socket was closed without reading everything; normal",
            "at neigh_flush_dev, neigh_destroy: packets waited for an address that was deleted before it answered",
            "at wg_packet_purge_staged_packets: a WireGuard peer does not answer; the packets that waited for it are lost",
        ],
        next [
            "netdrop explain QUEUE_PURGE --site SYMBOL" => "what it means at the place that the drop names",
            "kubectl get events -A --sort-by=.lastTimestamp | tail" => "pods that just ended on this node",
        ];
    IP_NOPROTO: Actionable,
        "No part of this kernel takes this IP protocol; the sender gets ICMP 'protocol unreachable'.",
        causes [
            "tunnel packets (IP in IP, GRE, ESP) for a tunnel that is not set up on this node, as with Calico's IPIP mode",
            "SCTP, and the kernel's sctp module is not loaded",
        ],
        next [
            "ip -d tunnel show; ip -d link show type ipip; ip -d link show type gre" => "tunnels of this node",
            "lsmod | grep -E 'sctp|ipip|ip_gre|esp4'" => "protocol modules that are loaded",
        ];
    UDP_CSUM: Actionable,
        "The UDP checksum is wrong.",
        causes [
            "checksum offload of a network card or virtual device is broken for tunnelled packets (VXLAN over some NICs)",
            "the packet was damaged on the way",
        ],
        next [
            "nstat -az UdpInCsumErrors Udp6InCsumErrors" => "how many so far",
            "ethtool -k DEVICE | grep -E 'checksum|udp_tnl'" => "offloads; try: ethtool -K DEVICE tx-udp_tnl-csum-segmentation off",
        ];
    ICMP_CSUM: Actionable,
        "The ICMP checksum is wrong.",
        causes ["a device on the way rewrites packets without correcting the checksum, or damages them"],
        next ["nstat -az IcmpInCsumErrors Icmp6InCsumErrors" => "how many so far"];
    INVALID_PROTO: Informational,
        "The packet breaks a rule of its protocol, such as an ICMP echo or timestamp request to a broadcast address.",
        causes ["a scanner or an old tool sends broadcast pings; net.ipv4.icmp_echo_ignore_broadcasts is 1 by default"],
        next ["tcpdump -neni DEVICE -c 5 icmp" => "who sends it"];
    PACKET_SOCK_ERROR: Informational,
        "A program that watches the interface (tcpdump, an agent) could not take its copy; the packet itself went on.",
        causes ["the capture is slower than the traffic: its buffer is full"],
        next ["ss -0 -pem" => "packet sockets, their processes and drops"];
    TAP_FILTER: Actionable,
        "A BPF filter on a tun or tap device refused the packet.",
        causes ["a VM runtime (KubeVirt, Kata) or VPN filters on its own device"],
        next ["ip -d tuntap show" => "tun and tap devices and the processes that hold them"];
    TAP_TXFILTER: Informational,
        "The frame is not for a MAC address that the tap device's owner asked for.",
        causes ["a VM's network card is not promiscuous, and the bridge floods frames for others"],
        next ["ip -d link show type tun" => "the devices"];
    FULL_RING: Actionable,
        "The ring between the kernel and the owner of a tun, tap or virtual device is full.",
        causes [
            "a VPN, VM or user-space proxy process (KubeVirt, slirp4netns, a WireGuard-go) reads too slowly",
            "its CPU limit is reached",
        ],
        next [
            "ip -s -d tuntap show; ip -s link show dev DEVICE" => "the device, its owner and its drops",
            "top -H -p PID" => "whether the owner is short of CPU",
        ];
    SKB_UCOPY_FAULT: Actionable,
        "The kernel could not copy the packet from or to the program's memory.",
        causes ["a bug in a program that writes to a tun, tap or packet socket"],
        next ["ip -d tuntap show" => "programs that hold such devices"];
    NOMEM: Actionable,
        "The kernel had no memory for the packet.",
        causes ["the node is out of memory, or too fragmented for large buffers", "the pod's memory limit is reached"],
        next [
            "kubectl describe node NODE | grep -iA6 conditions" => "MemoryPressure",
            "dmesg | grep -iE 'allocation failure|out of memory'" => "who could not get memory",
        ];
    PFMEMALLOC: Actionable,
        "The packet was in memory that is reserved for freeing memory, and its socket may not use that.",
        causes ["the node is nearly out of memory; only swap and storage traffic may use the reserve"],
        next ["cat /proc/pressure/memory; sysctl vm.min_free_kbytes" => "memory pressure and the reserve"];
};
