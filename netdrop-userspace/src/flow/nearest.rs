//! The kernel's reason in Hubble's terms, where the meaning is really the same.

use super::{EventType, hubble};

/// Kernel reason, Hubble's reason, why they mean the same.
const SAME: &[(&str, &str, &str)] = &[
    ("IP_RPFILTER", "INVALID_SOURCE_IP", "the source address can't come from this interface"),
    ("IP_INVALID_SOURCE", "INVALID_SOURCE_IP", "the source address can't be one"),
    ("IP_LOCALNET", "INVALID_SOURCE_IP", "a loopback source from the outside"),
    ("IP_LOCAL_SOURCE", "INVALID_SOURCE_IP", "this host's own address as a source from the outside"),
    ("MAC_INVALID_SOURCE", "INVALID_SOURCE_MAC", "the source MAC can't be one"),
    ("UNHANDLED_PROTO", "UNSUPPORTED_L3_PROTOCOL", "no handler for the EtherType"),
    ("IP_NOPROTO", "UNKNOWN_L4_PROTOCOL", "no handler for the IP protocol"),
    ("IP_INNOROUTES", "FIB_LOOKUP_FAILED", "no route for a received packet"),
    ("IP_OUTNOROUTES", "FIB_LOOKUP_FAILED", "no route for a sent packet"),
    ("IPV6_BAD_EXTHDR", "INVALID_IPV6_EXTENSION_HEADER", "an extension header can't be parsed"),
    ("VXLAN_VNI_NOT_FOUND", "INVALID_VNI", "a VNI that this host does not have"),
    ("HDR_TRUNC", "INVALID_PACKET_DROPPED", "the packet is shorter than its headers"),
];

/// Number of Hubble's `DropReason` that means the same as a kernel reason; 0 where none does. NETFILTER_DROP has none: a
/// stray rule is not a policy.
pub fn nearest(reason: &str) -> i32 {
    SAME.iter().find(|s| s.0 == reason).and_then(|s| hubble::drop_reason_number(s.1)).unwrap_or(0)
}

/// The kernel reasons that are shown as one of Hubble's.
pub fn shown_as(drop_reason_desc: i32) -> impl Iterator<Item = &'static str> {
    SAME.iter().filter(move |s| hubble::drop_reason_number(s.1) == Some(drop_reason_desc)).map(|s| s.0)
}

/// Hubble's event type of a drop: its client makes the TYPE column of it, so an unmapped reason gets a number that has no
/// meaning there.
pub fn event_type(drop_reason_desc: i32) -> EventType {
    EventType { kind: 1, sub_type: if drop_reason_desc == 0 { hubble::UNMAPPED } else { drop_reason_desc } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_reason_of_hubble() {
        for (kernel, desc, why) in SAME {
            assert!(nearest(kernel) >= 130, "{kernel}: {desc}");
            assert!(!why.is_empty());
        }
    }

    #[test]
    fn what_has_no_equal_is_not_forced() {
        assert_eq!(nearest("NETFILTER_DROP"), 0);
        assert_eq!(nearest("NO_SOCKET"), 0);
        let event = event_type(0);
        assert_eq!(hubble::drop_type_text(u8::try_from(event.sub_type).unwrap()), None);
        assert_ne!(event.sub_type, 0);
    }
}
