//! IPv6 and its extension headers (RFC 8200), which network-types leaves to its users.

use std::net::{IpAddr, Ipv6Addr};

use network_types::ip::Ipv6Hdr;

use super::{Depth, transport, without_padding};
use crate::decode::bytes::{be16, header};
use crate::flow::{Fragment, Ip, Packet, ParseProblem};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

/// Most extension headers that are followed.
const MAX_EXTENSIONS: usize = 8;

pub(super) fn parse(packet: &mut Packet, bytes: &[u8], depth: Depth) {
    let Some((fixed, rest)) = header::<Ipv6Hdr>(bytes) else {
        packet.problem = Some(ParseProblem::Truncated);
        return;
    };
    if fixed.vcf[0] >> 4 != 6 {
        packet.problem = Some(ParseProblem::Malformed);
        return;
    }
    let payload = u32::from(u16::from_be_bytes(fixed.payload_len));
    let mut ip = Ip {
        source: IpAddr::V6(Ipv6Addr::from(fixed.src_addr)),
        destination: IpAddr::V6(Ipv6Addr::from(fixed.dst_addr)),
        protocol: fixed.next_hdr,
        ttl: fixed.hop_limit,
        // A jumbogram, and a GSO packet of over 64 KiB, states 0.
        total_length: if payload == 0 { 0 } else { payload + 40 },
        fragment: None,
    };
    let mut rest = if payload == 0 { rest } else { without_padding(rest, payload as usize) };
    let end = extensions(&mut ip, &mut rest);
    packet.ip = Some(ip);
    match end {
        End::Transport => transport::parse(packet, ip.protocol, rest, depth),
        End::NoTransport => {}
        End::Problem(problem) => packet.problem = Some(problem),
    }
}

enum End {
    Transport,
    NoTransport,
    Problem(ParseProblem),
}

/// Follows the chain; leaves the last protocol in `ip` and what follows it in `rest`.
fn extensions(ip: &mut Ip, rest: &mut &[u8]) -> End {
    for _ in 0..=MAX_EXTENSIONS {
        let length = match ip.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY => {
                rest.get(1).map(|units| (usize::from(*units) + 1) * 8)
            }
            AUTHENTICATION => rest.get(1).map(|units| (usize::from(*units) + 2) * 4),
            FRAGMENT => Some(8),
            NO_NEXT => return End::NoTransport,
            _ => return End::Transport,
        };
        let Some((extension, after)) = length.and_then(|length| rest.split_at_checked(length)) else {
            // What can be told of a cut-off fragment header is that it is a fragment's.
            return End::Problem(ParseProblem::Truncated);
        };
        if ip.protocol == FRAGMENT {
            let field = be16(extension, 2).unwrap_or(0);
            let id =
                u32::from(be16(extension, 4).unwrap_or(0)) << 16 | u32::from(be16(extension, 6).unwrap_or(0));
            let (offset, more) = (field & !7, field & 1 != 0);
            ip.fragment = (offset != 0 || more).then_some(Fragment { offset, more, id });
            if offset != 0 {
                ip.protocol = extension[0];
                return End::NoTransport;
            }
        }
        ip.protocol = extension[0];
        *rest = after;
    }
    End::Problem(ParseProblem::TooDeep)
}
