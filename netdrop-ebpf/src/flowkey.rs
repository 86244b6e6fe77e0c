//! Which flow a packet belongs to. Only what can be told exactly gets a key.

use netdrop_common::flow::{FlowKey, shape};

use crate::capture::Facts;
use crate::globals::{DEV_IFINDEX, SKB_MAC_HEADER, SKB_VLAN_TCI};
use crate::prefilter::{ETH_P_IP, ETH_P_IPV6, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};
use crate::read;

const ETH_P_ARP: [u8; 2] = [0x08, 0x06];
const ETH_P_8021Q: [u8; 2] = [0x81, 0x00];
const ETH_P_8021AD: [u8; 2] = [0x88, 0xa8];
/// `skb->mac_header` when it is not set.
const MAC_UNSET: u16 = 0xffff;
/// Most IPv6 extension headers that are followed.
const MAX_EXTENSIONS: u32 = 4;

/// The first bytes of a network header and what follows, enough for IPv6 and ports.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Start([u8; 48]);

impl Start {
    #[inline(always)]
    fn two(&self, at: usize) -> [u8; 2] {
        [self.0[at], self.0[at + 1]]
    }

    #[inline(always)]
    fn four(&self, at: usize) -> u32 {
        // SAFETY: `at` is a constant of this file and lies within the array.
        unsafe { self.0.as_ptr().add(at).cast::<u32>().read_unaligned() }
    }

    #[inline(always)]
    fn eight(&self, at: usize) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.as_ptr().add(at).cast::<u64>().read_unaligned() }
    }
}

/// Fills a key that is zero; whether the headers tell which flow it is. (Not an Option: moving one, the compiler also copies
/// what stands in the bytes of a `None`, which the verifier refuses.)
///
/// # Safety
/// The pointers in `facts` are typed.
#[inline(always)]
pub unsafe fn fill(key: &mut FlowKey, facts: &Facts, reason: u32, location: u64) -> bool {
    if facts.network == 0 || facts.unwritten || facts.tail <= u32::from(facts.network) {
        return false;
    }
    let linear = facts.tail - u32::from(facts.network);
    let header = facts.head + u64::from(facts.network);
    let Some(start) = read::at::<Start>(header) else {
        return false;
    };
    key.location = location;
    key.reason = reason;
    key.netns = facts.netns.unwrap_or(0);
    key.ether_type = facts.protocol;
    // SAFETY: typed pointers.
    unsafe {
        if let Some(dev) = facts.dev {
            key.ifindex = read::typed(dev, DEV_IFINDEX.load());
        }
        key.vlan_tci = read::typed(facts.skb, SKB_VLAN_TCI.load());
    }
    if facts.protocol == ETH_P_IP {
        ipv4(key, &start, header, linear)
    } else if facts.protocol == ETH_P_IPV6 {
        ipv6(key, &start, header, linear)
    } else if facts.protocol == ETH_P_ARP {
        arp(key, &start, linear)
    } else {
        // SAFETY: typed pointers.
        unsafe { frame(key, facts) }
    }
}

#[inline(always)]
fn ipv4(key: &mut FlowKey, start: &Start, header: u64, linear: u32) -> bool {
    let header_len = u32::from(start.0[0] & 0xf) * 4;
    if linear < 20 || start.0[0] >> 4 != 4 || header_len < 20 {
        return false;
    }
    key.source[..4].copy_from_slice(&start.four(12).to_ne_bytes());
    key.destination[..4].copy_from_slice(&start.four(16).to_ne_bytes());
    key.protocol = start.0[9];
    if start.0[6] & 0x1f != 0 || start.0[7] != 0 {
        key.shape = shape::LATER_FRAGMENT;
        return true;
    }
    if header_len == 20 {
        ports(key, linear, 20, || Some(start.four(20)))
    } else {
        ports(key, linear, header_len, || read::at(header + u64::from(header_len)))
    }
}

#[inline(always)]
fn ipv6(key: &mut FlowKey, start: &Start, header: u64, linear: u32) -> bool {
    if linear < 40 || start.0[0] >> 4 != 6 {
        return false;
    }
    key.source[..8].copy_from_slice(&start.eight(8).to_ne_bytes());
    key.source[8..].copy_from_slice(&start.eight(16).to_ne_bytes());
    key.destination[..8].copy_from_slice(&start.eight(24).to_ne_bytes());
    key.destination[8..].copy_from_slice(&start.eight(32).to_ne_bytes());
    key.protocol = start.0[6];
    if !is_extension(key.protocol) {
        return ports(key, linear, 40, || Some(start.four(40)));
    }
    let mut offset = 40;
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(key.protocol) {
            break;
        }
        let Some(extension) = read::at::<[u8; 4]>(header + u64::from(offset)) else {
            return false;
        };
        let [next, length, high, low] = extension;
        // Fragment: 8 bytes, no length. Authentication: in words of 4 bytes, less 2 (RFC 8200, RFC 4302).
        let size = match key.protocol {
            44 => 8,
            51 => (u32::from(length) + 2) * 4,
            _ => (u32::from(length) + 1) * 8,
        };
        let later = key.protocol == 44 && (high != 0 || low & 0xf8 != 0);
        key.protocol = next;
        offset += size;
        if offset > linear {
            return false;
        }
        if later {
            key.shape = shape::LATER_FRAGMENT;
            return true;
        }
    }
    !is_extension(key.protocol) && ports(key, linear, offset, || read::at(header + u64::from(offset)))
}

/// Hop-by-hop, routing, fragment, authentication, destination options, mobility (IANA protocol numbers).
#[inline(always)]
fn is_extension(protocol: u8) -> bool {
    matches!(protocol, 0 | 43 | 44 | 51 | 60 | 135)
}

/// Ports, or type and code; whether they are there, if the protocol has them.
#[inline(always)]
fn ports(key: &mut FlowKey, linear: u32, offset: u32, first: impl FnOnce() -> Option<u32>) -> bool {
    let ported = matches!(key.protocol, TCP | UDP | SCTP | UDP_LITE);
    let message = matches!(key.protocol, ICMP | ICMPV6);
    if !ported && !message {
        return true;
    }
    if linear < offset + 4 {
        return false;
    }
    let Some(word) = first() else {
        return false;
    };
    let [a, b, c, d] = word.to_ne_bytes();
    key.source_port = [a, b];
    if ported {
        key.destination_port = [c, d];
    }
    true
}

#[inline(always)]
fn arp(key: &mut FlowKey, start: &Start, linear: u32) -> bool {
    // Ethernet and IPv4 only: other sizes lay the addresses out differently.
    if linear < 28 || start.two(2) != ETH_P_IP || start.two(4) != [6, 4] {
        return false;
    }
    key.shape = shape::ARP;
    key.source_port = start.two(6);
    key.source[..4].copy_from_slice(&start.four(14).to_ne_bytes());
    key.destination[..4].copy_from_slice(&start.four(24).to_ne_bytes());
    true
}

#[inline(always)]
unsafe fn frame(key: &mut FlowKey, facts: &Facts) -> bool {
    // Behind a tag that is still among the bytes, or without a protocol yet, stands a packet whose flow it would be: not told apart
    // here, so not added up as one.
    if matches!(facts.protocol, [0, 0] | ETH_P_8021Q | ETH_P_8021AD) {
        return false;
    }
    // SAFETY: typed pointer.
    let mac: u16 = unsafe { read::typed(facts.skb, SKB_MAC_HEADER.load()) };
    if mac == MAC_UNSET {
        return false;
    }
    let Some(ethernet) = read::at::<[u8; 12]>(facts.head + u64::from(mac)) else {
        return false;
    };
    key.shape = shape::MAC;
    key.destination[..6].copy_from_slice(&ethernet[..6]);
    key.source[..6].copy_from_slice(&ethernet[6..]);
    true
}
