//! ICMP types and codes in gopacket's words, which Hubble prints.

use super::put;
use crate::flow::IcmpMessage;

/// Type, its name, the names of its codes.
type Names = (u8, &'static str, &'static [&'static str]);

const V4: &[Names] = &[
    (0, "EchoReply", &[]),
    (
        3,
        "DestinationUnreachable",
        &[
            "Net",
            "Host",
            "Protocol",
            "Port",
            "FragmentationNeeded",
            "SourceRoutingFailed",
            "NetUnknown",
            "HostUnknown",
            "SourceIsolated",
            "NetAdminProhibited",
            "HostAdminProhibited",
            "NetTOS",
            "HostTOS",
            "CommAdminProhibited",
            "HostPrecedence",
            "PrecedenceCutoff",
        ],
    ),
    (4, "SourceQuench", &[]),
    (5, "Redirect", &["Net", "Host", "TOS+Net", "TOS+Host"]),
    (8, "EchoRequest", &[]),
    (9, "RouterAdvertisement", &[]),
    (10, "RouterSolicitation", &[]),
    (11, "TimeExceeded", &["TTLExceeded", "FragmentReassemblyTimeExceeded"]),
    (12, "ParameterProblem", &["PointerIndicatesError", "MissingOption", "BadLength"]),
    (13, "TimestampRequest", &[]),
    (14, "TimestampReply", &[]),
    (15, "InfoRequest", &[]),
    (16, "InfoReply", &[]),
    (17, "AddressMaskRequest", &[]),
    (18, "AddressMaskReply", &[]),
];

const V6: &[Names] = &[
    (
        1,
        "DestinationUnreachable",
        &[
            "NoRouteToDst",
            "AdminProhibited",
            "BeyondScopeOfSrc",
            "AddressUnreachable",
            "PortUnreachable",
            "SrcAddressFailedPolicy",
            "RejectRouteToDst",
        ],
    ),
    (2, "PacketTooBig", &[]),
    (3, "TimeExceeded", &["HopLimitExceeded", "FragmentReassemblyTimeExceeded"]),
    (4, "ParameterProblem", &["ErroneousHeaderField", "UnrecognizedNextHeader", "UnrecognizedIPv6Option"]),
    (128, "EchoRequest", &[]),
    (129, "EchoReply", &[]),
    (133, "RouterSolicitation", &[]),
    (134, "RouterAdvertisement", &[]),
    (135, "NeighborSolicitation", &[]),
    (136, "NeighborAdvertisement", &[]),
    (137, "Redirect", &[]),
];

pub(super) fn v4(message: IcmpMessage, out: &mut String) {
    named(V4, message, out);
}

pub(super) fn v6(message: IcmpMessage, out: &mut String) {
    named(V6, message, out);
}

/// A message's type and code alone, as `EchoRequest`.
pub(crate) fn icmp_type(v6: bool, kind: u8, code: u8) -> String {
    let mut text = String::new();
    named(if v6 { V6 } else { V4 }, IcmpMessage { kind, code }, &mut text);
    text
}

fn named(names: &[Names], IcmpMessage { kind, code }: IcmpMessage, out: &mut String) {
    let Some((_, name, codes)) = names.iter().find(|n| n.0 == kind) else {
        put(out, format_args!("{kind}({code})"));
        return;
    };
    out.push_str(name);
    match codes.get(usize::from(code)) {
        Some(code) => put(out, format_args!("({code})")),
        None if codes.is_empty() && code == 0 => {}
        None => put(out, format_args!("(Code: {code})")),
    }
}
