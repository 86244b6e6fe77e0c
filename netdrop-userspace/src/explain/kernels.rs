//! Which releases of Linux have a reason: what came with which, what is gone again, and what stable updates took over later.
//!
//! Sources: the commits that added a name and the merge window they went in by; the headers of Debian's 6.1 and 6.12; the BTF of a
//! running 6.18. A release that could not be looked up is left out.

use std::fmt;

use serde::{Serialize, Serializer};

/// A release of Linux. Its stable updates are the same release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// 6 of 6.18.
    pub major: u16,
    /// 18 of 6.18.
    pub minor: u16,
}

/// The newest release whose names were compared with this table.
pub const NEWEST: Release = Release::new(6, 18);

impl Release {
    /// `new(6, 18)` is 6.18.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Of what `uname -r` says, such as `6.1.0-56-cloud-amd64`.
    pub fn of_uname(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some(Self { major, minor }),
            _ => None,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Names by the release that first had them.
const CAME: &[(Release, &str)] = &[
    (Release::new(5, 17), "NOT_SPECIFIED NO_SOCKET PKT_TOO_SMALL TCP_CSUM SOCKET_FILTER UDP_CSUM"),
    (
        Release::new(5, 18),
        "NOT_DROPPED_YET NETFILTER_DROP OTHERHOST IP_CSUM IP_INHDR IP_RPFILTER \
         UNICAST_IN_L2_MULTICAST XFRM_POLICY IP_NOPROTO SOCKET_RCVBUFF PROTO_MEM TCP_MD5NOTFOUND \
         TCP_MD5UNEXPECTED TCP_MD5FAILURE SOCKET_BACKLOG TCP_FLAGS TCP_ZEROWINDOW TCP_OLD_DATA \
         TCP_OVERWINDOW TCP_OFOMERGE IP_OUTNOROUTES BPF_CGROUP_EGRESS IPV6DISABLED \
         NEIGH_CREATEFAIL NEIGH_FAILED NEIGH_QUEUEFULL NEIGH_DEAD TC_EGRESS QDISC_DROP \
         CPU_BACKLOG XDP TC_INGRESS PTYPE_ABSENT SKB_CSUM SKB_GSO_SEG SKB_UCOPY_FAULT DEV_HDR \
         DEV_READY FULL_RING NOMEM HDR_TRUNC TAP_FILTER TAP_TXFILTER",
    ),
    (
        Release::new(5, 19),
        "UNHANDLED_PROTO TCP_RFC7323_PAWS TCP_INVALID_SEQUENCE TCP_RESET TCP_INVALID_SYN \
         TCP_CLOSE TCP_FASTOPEN TCP_OLD_ACK TCP_TOO_OLD_ACK TCP_ACK_UNSENT_DATA \
         TCP_OFO_QUEUE_PRUNE TCP_OFO_DROP ICMP_CSUM INVALID_PROTO IP_INADDRERRORS IP_INNOROUTES \
         PKT_TOO_BIG",
    ),
    (Release::new(6, 2), "CONSUMED DUP_FRAG FRAG_REASM_TIMEOUT FRAG_TOO_FAR"),
    (
        Release::new(6, 3),
        "TCP_MINTTL IPV6_BAD_EXTHDR IPV6_NDISC_FRAG IPV6_NDISC_HOP_LIMIT IPV6_NDISC_BAD_CODE \
         IPV6_NDISC_BAD_OPTIONS IPV6_NDISC_NS_OTHERHOST",
    ),
    (
        Release::new(6, 4),
        "RX_DROP_M_UNEXPECTED_4ADDR_FRAME RX_DROP_M_BAD_BCN_KEYIDX RX_DROP_M_BAD_MGMT_KEYIDX \
         RX_DROP_U_MIC_FAIL RX_DROP_U_REPLAY RX_DROP_U_BAD_MMIE",
    ),
    (
        Release::new(6, 6),
        "TCP_OLD_SEQUENCE QUEUE_PURGE OVS_DROP_LAST_ACTION OVS_DROP_ACTION_ERROR \
         OVS_DROP_EXPLICIT OVS_DROP_EXPLICIT_WITH_ERROR OVS_DROP_METER OVS_DROP_RECURSION_LIMIT \
         OVS_DROP_DEFERRED_LIMIT OVS_DROP_FRAG_L2_TOO_LONG OVS_DROP_FRAG_INVALID_PROTO \
         OVS_DROP_CONNTRACK OVS_DROP_IP_TTL",
    ),
    (
        Release::new(6, 7),
        "TCP_AUTH_HDR TCP_AONOTFOUND TCP_AOUNEXPECTED TCP_AOKEYNOTFOUND TCP_AOFAILURE TC_ERROR \
         RX_DROP_U_DUP RX_DROP_U_SPURIOUS RX_DROP_U_DECRYPT_FAIL RX_DROP_U_NO_KEY_ID \
         RX_DROP_U_BAD_CIPHER RX_DROP_U_OOM RX_DROP_U_NONSEQ_PN RX_DROP_U_BAD_KEY_COLOR \
         RX_DROP_U_BAD_4ADDR RX_DROP_U_BAD_AMSDU RX_DROP_U_BAD_AMSDU_CIPHER \
         RX_DROP_U_INVALID_8023 RX_DROP_U_RUNT_ACTION RX_DROP_U_UNPROT_ACTION \
         RX_DROP_U_UNPROT_DUAL RX_DROP_U_UNPROT_UCAST_MGMT RX_DROP_U_UNPROT_MCAST_MGMT \
         RX_DROP_U_UNPROT_BEACON RX_DROP_U_UNPROT_UNICAST_PUB_ACTION \
         RX_DROP_U_UNPROT_ROBUST_ACTION RX_DROP_U_ACTION_UNKNOWN_SRC \
         RX_DROP_U_REJECTED_ACTION_RESPONSE RX_DROP_U_EXPECT_DEFRAG_PROT RX_DROP_U_WEP_DEC_FAIL \
         RX_DROP_U_NO_IV RX_DROP_U_NO_ICV RX_DROP_U_AP_RX_GROUPCAST RX_DROP_U_SHORT_MMIC \
         RX_DROP_U_MMIC_FAIL RX_DROP_U_SHORT_TKIP RX_DROP_U_TKIP_FAIL RX_DROP_U_SHORT_CCMP \
         RX_DROP_U_SHORT_CCMP_MIC RX_DROP_U_SHORT_GCMP RX_DROP_U_SHORT_GCMP_MIC \
         RX_DROP_U_SHORT_CMAC RX_DROP_U_SHORT_CMAC256 RX_DROP_U_SHORT_GMAC \
         RX_DROP_U_UNEXPECTED_VLAN_4ADDR RX_DROP_U_UNEXPECTED_STA_4ADDR \
         RX_DROP_U_UNEXPECTED_VLAN_MCAST RX_DROP_U_NOT_PORT_CONTROL",
    ),
    (Release::new(6, 8), "TC_COOKIE_ERROR PACKET_SOCK_ERROR TC_CHAIN_NOTFOUND TC_RECLASSIFY_LOOP"),
    (Release::new(6, 9), "TCP_ABORT_ON_DATA TCP_INVALID_ACK_SEQUENCE SECURITY_HOOK"),
    (Release::new(6, 10), "RX_DROP_U_UNKNOWN_ACTION_REJECTED"),
    (
        Release::new(6, 13),
        "IP_LOCAL_SOURCE IP_INVALID_SOURCE IP_LOCALNET IP_INVALID_DEST VXLAN_INVALID_HDR \
         VXLAN_VNI_NOT_FOUND MAC_INVALID_SOURCE VXLAN_ENTRY_EXISTS VXLAN_NO_REMOTE IP_TUNNEL_ECN \
         TUNNEL_TXINFO LOCAL_MAC ARP_PVLAN_DISABLE",
    ),
    (
        Release::new(6, 14),
        "SOCKET_CLOSE UNIX_DISCONNECT UNIX_SKIP_OOB TCP_RFC7323_PAWS_ACK QDISC_OVERLIMIT \
         QDISC_CONGESTED CAKE_FLOOD FQ_BAND_LIMIT FQ_HORIZON_LIMIT FQ_FLOW_LIMIT NO_TX_TARGET \
         MAC_IEEE_MAC_CONTROL BRIDGE_INGRESS_STP_STATE",
    ),
    (Release::new(6, 15), "TCP_RFC7323_TSECR TCP_LISTEN_OVERFLOW"),
    (Release::new(6, 16), "TCP_RFC7323_TW_PAWS NEIGH_HH_FILLFAIL"),
    (
        Release::new(6, 17),
        "TCP_INVALID_END_SEQUENCE CAN_RX_INVALID_FRAME CANFD_RX_INVALID_FRAME \
         CANXL_RX_INVALID_FRAME PFMEMALLOC DUALPI2_STEP_DROP",
    ),
    (Release::new(6, 18), "PSP_INPUT PSP_OUTPUT"),
    (Release::new(7, 1), "RECURSION_LIMIT"),
];

/// Names by the last release that had them.
const LAST: &[(Release, &str)] = &[
    (Release::new(5, 18), "PTYPE_ABSENT"),
    (Release::new(6, 7), "TC_ERROR"),
    (Release::new(6, 13), "VXLAN_NO_REMOTE"),
];

/// Names that a release no longer has, where the last one that had them is not known.
const GONE: &[(Release, &str)] = &[(
    Release::new(6, 18),
    "RX_DROP_M_UNEXPECTED_4ADDR_FRAME RX_DROP_M_BAD_BCN_KEYIDX RX_DROP_M_BAD_MGMT_KEYIDX",
)];

/// Names that stable updates of an older release took over: its first versions lack them.
const BACKPORTED: &[(&[Release], &str)] = &[
    (&[Release::new(6, 1)], "TC_CHAIN_NOTFOUND"),
    (
        &[Release::new(6, 12)],
        "SOCKET_CLOSE UNIX_SKIP_OOB FQ_BAND_LIMIT FQ_HORIZON_LIMIT FQ_FLOW_LIMIT SKB_BAD_GSO VXLAN_INVALID_HDR \
         VXLAN_VNI_NOT_FOUND MAC_INVALID_SOURCE VXLAN_ENTRY_EXISTS NO_TX_TARGET IP_TUNNEL_ECN TUNNEL_TXINFO LOCAL_MAC",
    ),
    (&[Release::new(6, 18)], "RECURSION_LIMIT"),
];

/// Where a name is known from. Shown as `5.19 and later`, `6.13 only`, `5.17 to 6.7`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kernels {
    /// The first release; `None`: not looked up.
    pub first: Option<Release>,
    /// The last one; `None`: none yet, or not looked up.
    pub last: Option<Release>,
    /// A release that lacks it again, where the last one that has it is not known.
    pub gone_by: Option<Release>,
    /// Older releases that got it with a stable update.
    pub updates_of: &'static [Release],
}

fn find<T: Copy>(table: &[(T, &str)], name: &str) -> Option<T> {
    table.iter().find(|(_, names)| names.split(' ').any(|n| n == name)).map(|(key, _)| *key)
}

/// Where the kernel's name is known from.
pub fn of(name: &str) -> Kernels {
    Kernels {
        first: find(CAME, name),
        last: find(LAST, name),
        gone_by: find(GONE, name),
        updates_of: find(BACKPORTED, name).unwrap_or_default(),
    }
}

/// Every name of the table.
pub fn names() -> impl Iterator<Item = &'static str> {
    CAME.iter().flat_map(|(_, names)| names.split(' '))
}

impl Kernels {
    /// Whether anything is known of it.
    pub fn is_known(&self) -> bool {
        self.first.is_some() || !self.updates_of.is_empty()
    }

    /// Whether a release has it; `None` where that depends on its stable update, or is not known.
    pub fn has(&self, release: Release) -> Option<bool> {
        if self.updates_of.contains(&release) {
            return None;
        }
        let first = self.first?;
        if release < first || self.last.is_some_and(|last| release > last) {
            return Some(false);
        }
        match self.gone_by {
            Some(gone) if release >= gone => Some(false),
            Some(_) if release > first => None,
            _ => Some(true),
        }
    }
}

/// The alternate form is for a narrow column: `5.19+`, `5.17-6.7`.
impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = f.alternate();
        match (self.first, self.last, self.gone_by) {
            (None, ..) => f.write_str(if short { "?" } else { "not looked up" })?,
            (Some(first), Some(last), _) if last == first && short => write!(f, "{first}")?,
            (Some(first), Some(last), _) if last == first => write!(f, "{first} only")?,
            (Some(first), Some(last), _) if short => write!(f, "{first}-{last}")?,
            (Some(first), Some(last), _) => write!(f, "{first} to {last}")?,
            (Some(first), None, Some(gone)) if short => write!(f, "{first}..{gone}")?,
            (Some(first), None, Some(gone)) => write!(f, "{first} and later, gone by {gone}")?,
            (Some(first), None, None) if short => write!(f, "{first}+")?,
            (Some(first), None, None) => write!(f, "{first} and later")?,
        }
        for (i, release) in self.updates_of.iter().enumerate() {
            match (short, i) {
                (true, _) => write!(f, ",{release}.y")?,
                (false, 0) => write!(f, "; also stable updates of {release}")?,
                (false, _) => write!(f, ", {release}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_came_once() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        let twice: Vec<_> = all.windows(2).filter(|w| w[0] == w[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        for (_, gone) in LAST.iter().chain(GONE) {
            assert!(gone.split(' ').all(|n| all.contains(&n)), "{gone}");
        }
        assert!(CAME.is_sorted_by_key(|(release, _)| *release));
    }

    #[test]
    fn releases_are_told_as_people_say_them() {
        for (name, text) in [
            ("UNHANDLED_PROTO", "5.19 and later"),
            ("PTYPE_ABSENT", "5.18 only"),
            ("VXLAN_VNI_NOT_FOUND", "6.13 and later; also stable updates of 6.12"),
            ("RX_DROP_M_BAD_BCN_KEYIDX", "6.4 and later, gone by 6.18"),
            ("NO_SUCH_NAME", "not looked up"),
        ] {
            assert_eq!(of(name).to_string(), text, "{name}");
        }
        assert_eq!(format!("{:#} {:#}", of("NO_TX_TARGET"), of("TC_ERROR")), "6.14+,6.12.y 6.7");
    }

    #[test]
    fn what_is_not_known_is_neither_yes_nor_no() {
        let v = Release::of_uname("6.12.117+deb12-cloud-amd64").unwrap();
        assert_eq!(v, Release::new(6, 12));
        assert_eq!(of("NO_SOCKET").has(v), Some(true));
        assert_eq!(of("PTYPE_ABSENT").has(v), Some(false));
        assert_eq!(of("IP_LOCALNET").has(v), Some(false));
        assert_eq!(of("VXLAN_VNI_NOT_FOUND").has(v), None);
        assert_eq!(of("NO_SUCH_NAME").has(v), None);
        assert_eq!(Release::of_uname("unknown"), None);
    }
}
