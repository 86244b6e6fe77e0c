//! What a vague reason means at a place in the kernel, where that is certain.
//!
//! A function is named where all its drops with that reason have the same meaning, or the few that are listed. Sources: the
//! functions themselves in Linux 5.17 to 6.18, and real drops on 6.1, 6.12 and 6.18.

use serde::Serialize;

use super::Class;
use super::kernels::Release;

/// What a reason means at one function, in some releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Site {
    /// The kernel's reason.
    pub reason: &'static str,
    /// Functions: the same code under another name, or a twin of the other IP version.
    pub symbols: &'static [&'static str],
    /// Whether it is a fault.
    pub class: Class,
    /// One sentence.
    pub means: &'static str,
    /// What to run next.
    pub next: &'static str,
    /// The first release it is true of.
    pub first: Release,
    /// The last one; `None`: still.
    pub last: Option<Release>,
}

/// First and last release.
type Span = (Release, Option<Release>);

const ALWAYS: Span = (Release::new(5, 17), None);

/// From the first release with reasons.
const fn until(major: u16, minor: u16) -> Span {
    (Release::new(5, 17), Some(Release::new(major, minor)))
}

const fn since(major: u16, minor: u16) -> Span {
    (Release::new(major, minor), None)
}

/// A row each: reason, functions, class, span, meaning, next step.
macro_rules! sites {
    ($($reason:ident at [$($symbol:ident),+]: $class:ident, $span:expr, $means:literal, $next:literal;)+) => {
        &[$(Site {
            reason: stringify!($reason),
            symbols: &[$(stringify!($symbol)),+],
            class: Class::$class,
            means: $means,
            next: $next,
            first: $span.0,
            last: $span.1,
        }),+]
    };
}

const TABLE: &[Site] = sites! {
    NOT_SPECIFIED at [ip_error]: Actionable, ALWAYS,
        "A route of type unreachable, prohibit or blackhole covers the destination; Calico has one for addresses of the node's block that no pod uses.",
        "ip route get DESTINATION from SOURCE iif DEVICE; ip route show table all type blackhole; ip route show table all type unreachable";
    NOT_SPECIFIED at [ip_rcv_finish_core]: Informational, (Release::new(5, 18), Some(Release::new(6, 12))),
        "The routing look-up refused an address of the packet (a martian), or nobody here joined the multicast group it is for.",
        "sysctl -w net.ipv4.conf.all.log_martians=1; dmesg -w | grep -i martian";
    NOT_SPECIFIED at [ip_rcv_finish_core]: Informational, since(6, 13),
        "Nobody on this machine joined the multicast group that the packet is for, or an IP option of it is refused.",
        "ip maddr show dev DEVICE";
    NOT_SPECIFIED at [ip6_mc_input]: Benign, ALWAYS,
        "Nobody on this machine joined the IPv6 multicast group that the packet is for.",
        "ip -6 maddr show dev DEVICE";
    NOT_SPECIFIED at [nf_hook_slow]: Actionable, until(5, 17),
        "A netfilter rule (iptables, nftables, conntrack) refused the packet; later kernels say NETFILTER_DROP.",
        "iptables-save -c | grep -E 'DROP|REJECT'; nft list ruleset | grep -nE 'drop|reject'";
    NOT_SPECIFIED at [ip_rcv_core]: Informational, until(5, 17),
        "The IPv4 header is not valid, or the frame's MAC address is another machine's; later kernels tell these apart.",
        "nstat -az IpInHdrErrors IpExtInCsumErrors IpExtInTruncatedPkts";
    NOT_SPECIFIED at [tcp_v4_rcv, tcp_v6_rcv]: Informational, until(6, 2),
        "Mostly the other end's last FIN, for a connection that this side has closed: normal. Else a repeated SYN, the end of a handshake while the accept queue is full, or a packet from farther away than the socket allows (IP_MINTTL).",
        "nstat -az TcpExtListenOverflows TcpExtTCPMinTTLDrop; nsenter -t PID -n ss -tan state time-wait";
    NOT_SPECIFIED at [tcp_v4_rcv, tcp_v6_rcv]: Informational, (Release::new(6, 3), Some(Release::new(6, 14))),
        "Mostly the other end's last FIN, for a connection that this side has closed: normal. Else a repeated SYN, or the end of a handshake while the accept queue is full.",
        "nstat -az TcpExtListenOverflows; nsenter -t PID -n ss -ltn; nsenter -t PID -n ss -tan state time-wait";
    NOT_SPECIFIED at [tcp_v4_rcv, tcp_v6_rcv]: Informational, since(6, 15),
        "Mostly the other end's last FIN, for a connection that this side has closed: normal. Else a repeated SYN, which was answered, or a packet in a frame for many.",
        "nsenter -t PID -n ss -tan state time-wait; nsenter -t PID -n ss -tan state syn-recv";
    NOT_SPECIFIED at [__dev_forward_skb2, __dev_forward_skb, dev_forward_skb]: Actionable, ALWAYS,
        "The device at the other end of the veth pair is down, or its MTU is smaller than the packet.",
        "ip -d link show dev DEVICE; nsenter -t PID -n ip link show";
    NOT_SPECIFIED at [ip6_rcv_core]: Informational, since(5, 18),
        "The interface has no IPv6: its MTU is below 1,280, or it is just being set up or removed.",
        "ip link show dev DEVICE; ip -6 addr show dev DEVICE";
    NOT_SPECIFIED at [sk_stream_kill_queues]: Benign, until(6, 5),
        "A TCP socket was destroyed with packets in its receive queue that nobody read; mostly it is the other end's FIN.",
        "nstat -az TcpExtTCPAbortOnClose";
    QUEUE_PURGE at [sk_stream_kill_queues]: Benign, since(6, 6),
        "A TCP socket was destroyed with packets in its receive queue that nobody read; mostly it is the other end's FIN.",
        "nstat -az TcpExtTCPAbortOnClose";
    NOT_SPECIFIED at [inet_sock_destruct]: Benign, until(6, 5),
        "A socket was destroyed with packets in its queues that nobody read.",
        "kubectl get pod POD -n NAMESPACE";
    QUEUE_PURGE at [inet_sock_destruct]: Benign, since(6, 6),
        "A socket was destroyed with packets in its queues that nobody read.",
        "kubectl get pod POD -n NAMESPACE";
    NOT_SPECIFIED at [udp_destruct_common, udp_destruct_sock, udpv6_destruct_sock]: Benign, ALWAYS,
        "A UDP socket was closed with datagrams in its receive queue that nobody read.",
        "kubectl get pod POD -n NAMESPACE";
    NOT_SPECIFIED at [skb_release_data]: Benign, until(6, 1),
        "A piece of a larger packet (a fragment, a segment) that is freed with it; what became of the whole packet is told apart from this.",
        "nstat -az IpReasmOKs Ip6ReasmOKs";
    QUEUE_PURGE at [neigh_flush_dev, neigh_destroy, neigh_invalidate]: Actionable, since(6, 6),
        "The packet waited for the next hop's MAC address, and the neighbour entry was deleted before an answer came.",
        "ip neigh show nud incomplete; ip neigh show nud failed";
    QUEUE_PURGE at [wg_packet_purge_staged_packets]: Actionable, since(6, 6),
        "The packet waited for a handshake with a WireGuard peer that does not answer.",
        "wg show";
    NOT_SPECIFIED at [br_handle_frame]: Informational, until(6, 13),
        "The bridge port does not take frames yet (spanning tree), or the frame has an invalid source address or is a control frame.",
        "bridge -d link show";
    NOT_SPECIFIED at [br_flood, br_multicast_flood]: Informational, until(6, 13),
        "The bridge has no other port to send the frame to; later kernels say NO_TX_TARGET.",
        "bridge -d link show; bridge fdb show br BRIDGE";
    NOT_SPECIFIED at [vxlan_rcv]: Actionable, until(6, 12),
        "The VXLAN packet has a network identifier (VNI) that no device here has, or a header that its device does not accept.",
        "ip -d link show type vxlan";
    NOT_SPECIFIED at [vxlan_xmit, vxlan_mdb_xmit]: Actionable, until(6, 12),
        "The VXLAN device knows no other end to send the packet to.",
        "bridge fdb show dev DEVICE";
    NOT_SPECIFIED at [ip_expire]: Actionable, until(6, 1),
        "A packet in fragments never became whole: some did not arrive within 30 seconds.",
        "nstat -az IpReasmTimeout IpReasmFails";
    NOT_SPECIFIED at [packet_rcv, tpacket_rcv]: Informational, until(6, 7),
        "A program that watches the interface (tcpdump, an agent) could not take its copy; the packet itself went on.",
        "ss -0 -pem";
    NOT_SPECIFIED at [dst_discard, dst_discard_out]: Informational, ALWAYS,
        "The route that the packet held is a blackhole, or belongs to a device that is being removed.",
        "ip -6 route show type blackhole; ip monitor link";
    NOT_SPECIFIED at [veth_xmit]: Informational, ALWAYS,
        "The other end of the veth pair is gone, or the frame is shorter than its header: a pod that starts or ends.",
        "ip -d link show dev DEVICE";
    NOT_SPECIFIED at [netif_napi_add_weight, netif_napi_add_weight_locked]: Benign, ALWAYS,
        "No packet: the kernel makes an empty buffer and frees it to test itself when a device is created, once for each of its queues.",
        "ip -d link show dev DEVICE";
};

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Site> {
    TABLE.iter()
}

/// What the reason means at the function, in a release. A symbol's suffix (`.isra.0`, `.cold`) does not count.
pub fn find(reason: &str, symbol: &str, release: Release) -> Option<&'static Site> {
    let symbol = symbol.split('.').next().unwrap_or(symbol);
    TABLE.iter().find(|s| s.reason == reason && s.symbols.contains(&symbol) && s.is_of(release))
}

impl Site {
    /// Whether it is true of a release.
    pub fn is_of(&self, release: Release) -> bool {
        release >= self.first && self.last.is_none_or(|last| release <= last)
    }

    /// Its releases, for reading.
    pub fn span(&self) -> String {
        match self.last {
            Some(last) if last == self.first => format!("{last} only"),
            Some(last) => format!("{} to {last}", self.first),
            None => format!("{} and later", self.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_meaning_in_a_release() {
        for major_minor in
            [(5, 17), (5, 18), (5, 19), (6, 1), (6, 5), (6, 6), (6, 12), (6, 13), (6, 18), (7, 1)]
        {
            let release = Release::new(major_minor.0, major_minor.1);
            let mut seen = std::collections::HashSet::new();
            for site in all().filter(|s| s.is_of(release)) {
                for symbol in site.symbols {
                    assert!(
                        seen.insert((site.reason, symbol)),
                        "{} at {symbol} twice in {release}",
                        site.reason
                    );
                }
            }
        }
    }

    #[test]
    fn reasons_exist_where_their_sites_do() {
        for site in all() {
            let kernels = super::super::kernels::of(site.reason);
            assert_eq!(kernels.has(site.first), Some(true), "{site:?}");
            assert!(site.means.ends_with('.') && !site.next.ends_with('.'), "{site:?}");
            assert!(super::super::find(site.reason).is_some(), "{site:?}");
        }
    }

    #[test]
    fn the_release_decides_and_a_suffix_does_not() {
        let (old, new) = (Release::new(6, 1), Release::new(6, 18));
        let means = |reason, symbol, release| find(reason, symbol, release).map(|s| s.class);
        assert_eq!(means("NOT_SPECIFIED", "sk_stream_kill_queues", old), Some(Class::Benign));
        assert_eq!(means("NOT_SPECIFIED", "sk_stream_kill_queues", new), None);
        assert_eq!(means("QUEUE_PURGE", "sk_stream_kill_queues.isra.0", new), Some(Class::Benign));
        assert_eq!(means("NO_SOCKET", "ip_error", new), None);
    }
}
