//! Turns away, in the kernel, what the user's filter can't match. What a stage can't read passes.

use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::Key;
use netdrop_common::filter::{self, PREFIX_BITS_BEFORE_ADDRESS, PrefixKey};

use crate::capture::Facts;
use crate::globals::{
    BENIGN_0, BENIGN_1, BENIGN_2, BENIGN_3, BENIGN_4, BENIGN_5, BENIGN_6, BENIGN_7, DEV_IFINDEX,
    FILTER_STAGES, SKB_IIF,
};
use crate::maps::{
    FILTER_IFINDEX, FILTER_NETNS, FILTER_PORTS, FILTER_PREFIXES, FILTER_PROTOCOLS, FILTER_REASONS,
};
use crate::read;

pub const ETH_P_IP: [u8; 2] = [0x08, 0x00];
pub const ETH_P_IPV6: [u8; 2] = [0x86, 0xdd];
pub const ICMP: u8 = 1;
const IGMP: u8 = 2;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;
pub const UDP_LITE: u8 = 136;

#[inline(always)]
fn on(stage: u32) -> bool {
    FILTER_STAGES.load() & stage != 0
}

#[inline(always)]
fn holds(set: &HashMap<u32, u8>, key: u32) -> bool {
    set.get_ptr(key).is_some()
}

/// Whether the reason is turned away as benign. Where none is, nothing of this is left after the verifier.
#[inline(always)]
pub fn is_benign(reason: u32) -> bool {
    let word = match reason / 32 {
        0 => BENIGN_0.load(),
        1 => BENIGN_1.load(),
        2 => BENIGN_2.load(),
        3 => BENIGN_3.load(),
        4 => BENIGN_4.load(),
        5 => BENIGN_5.load(),
        6 => BENIGN_6.load(),
        7 => BENIGN_7.load(),
        _ => 0,
    };
    word >> (reason % 32) & 1 != 0
}

/// Whether the reason may be one the user asked for: before anything is read, so that a storm of others costs one look-up.
#[inline(always)]
pub fn wants_reason(reason: u32) -> bool {
    !on(filter::REASON) || holds(&FILTER_REASONS, reason)
}

/// Whether the rest may be.
///
/// # Safety
/// The pointers in `facts` are typed.
#[inline(always)]
pub unsafe fn passes(facts: &Facts) -> bool {
    if FILTER_STAGES.load() == 0 {
        return true;
    }
    if on(filter::NETNS)
        && let Some(inode) = facts.netns
        && !holds(&FILTER_NETNS, inode)
    {
        return false;
    }
    // SAFETY: typed pointers.
    if on(filter::IFINDEX) && !unsafe { interface(facts) } {
        return false;
    }
    if on(filter::PROTOCOL | filter::PREFIX | filter::PORT) { packet(facts) } else { true }
}

#[inline(always)]
unsafe fn interface(facts: &Facts) -> bool {
    // SAFETY: typed pointers.
    unsafe {
        let incoming: u32 = read::typed(facts.skb, SKB_IIF.load());
        let dev = match facts.dev {
            Some(dev) => read::typed::<u32>(dev, DEV_IFINDEX.load()),
            None => return true,
        };
        holds(&FILTER_IFINDEX, dev) || holds(&FILTER_IFINDEX, incoming)
    }
}

#[inline(always)]
fn packet(facts: &Facts) -> bool {
    if facts.network == 0 || facts.unwritten {
        return true;
    }
    let header = facts.head + u64::from(facts.network);
    if facts.protocol == ETH_P_IP {
        ipv4(header)
    } else if facts.protocol == ETH_P_IPV6 {
        ipv6(header)
    } else {
        true
    }
}

#[inline(always)]
fn ipv4(header: u64) -> bool {
    let Some(h) = read::at::<[u8; 20]>(header) else {
        return true;
    };
    let mut source = [0; 16];
    let mut destination = [0; 16];
    source[..4].copy_from_slice(&[h[12], h[13], h[14], h[15]]);
    destination[..4].copy_from_slice(&[h[16], h[17], h[18], h[19]]);
    if !addresses(4, source, destination) {
        return false;
    }
    let later_fragment = h[6] & 0x1f != 0 || h[7] != 0;
    transport(h[9], header + u64::from(h[0] & 0xf) * 4, later_fragment)
}

#[inline(always)]
fn ipv6(header: u64) -> bool {
    let Some(h) = read::at::<[[u8; 8]; 5]>(header) else {
        return true;
    };
    let mut source = [0; 16];
    let mut destination = [0; 16];
    source[..8].copy_from_slice(&h[1]);
    source[8..].copy_from_slice(&h[2]);
    destination[..8].copy_from_slice(&h[3]);
    destination[8..].copy_from_slice(&h[4]);
    addresses(6, source, destination) && transport(h[0][6], header + 40, false)
}

#[inline(always)]
fn addresses(family: u8, source: [u8; 16], destination: [u8; 16]) -> bool {
    if !on(filter::PREFIX) {
        return true;
    }
    let bits = if family == 4 { 32 } else { 128 };
    let mut key =
        Key::new(PREFIX_BITS_BEFORE_ADDRESS + bits, PrefixKey { family, _pad: [0; 3], address: source });
    if FILTER_PREFIXES.get(&key).is_some() {
        return true;
    }
    key.data.address = destination;
    FILTER_PREFIXES.get(&key).is_some()
}

#[inline(always)]
fn transport(protocol: u8, header: u64, later_fragment: bool) -> bool {
    let ported = protocol == TCP || protocol == UDP || protocol == SCTP || protocol == UDP_LITE;
    let final_header = ported || protocol == ICMP || protocol == ICMPV6 || protocol == IGMP;
    // Anything else may be an extension header with the asked protocol behind it, or the asked protocol itself.
    if on(filter::PROTOCOL) && final_header && !holds(&FILTER_PROTOCOLS, u32::from(protocol)) {
        return false;
    }
    if !on(filter::PORT) || !final_header || later_fragment {
        return true;
    }
    if !ported {
        return false;
    }
    let Some(ports) = read::at::<[u8; 4]>(header) else {
        return true;
    };
    holds(&FILTER_PORTS, u32::from(u16::from_be_bytes([ports[0], ports[1]])))
        || holds(&FILTER_PORTS, u32::from(u16::from_be_bytes([ports[2], ports[3]])))
}
