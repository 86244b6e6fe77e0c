//! Where a packet is to go that has no IP header yet: its socket knows.

use netdrop_common::event::{Ends, HEAD_MAX, UNWRITTEN_HEAD};

use crate::capture::{AF_INET, AF_INET6, Facts};
use crate::globals::{
    CORK_DADDR4, CORK_DADDR6, CORK_DST, CORK_PORTS4, CORK_PORTS6, CORK_SADDR4, CORK_SADDR6, DST_OPS,
    OPS_FAMILY, SKB_IIF, SKB_REFDST, SOCK_DADDR4, SOCK_DADDR6, SOCK_DPORT, SOCK_FAMILY, SOCK_NUM,
    SOCK_PROTOCOL, SOCK_SADDR4, SOCK_SADDR6, SOCK_STATE, SOCK_TYPE, TCP_NEW_SYN_RECV, TCP_TIME_WAIT,
};
use crate::prefilter::{TCP, UDP, UDP_LITE};
use crate::read::{self, Ptr, present};
use crate::write;

/// Kinds of sockets (include/linux/net.h; part of the system call interface).
const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;

/// Whether a socket sent it and its IP header may not be written yet. What stands there may then be another packet's: memory is used
/// again.
///
/// # Safety
/// The pointers in `facts` are typed.
#[inline(always)]
pub unsafe fn unwritten(facts: &Facts) -> bool {
    // SAFETY: typed pointers.
    !facts.sk.is_null()
        && (facts.network == 0 || facts.protocol == [0, 0] || unsafe { unrouted(facts) })
        && unsafe { read::typed::<u32>(facts.skb, SKB_IIF.load()) } == 0
}

/// It has no device and no route: a packet that is sent gets both after its header (`__ip_make_skb`, `__ip6_make_skb`, 6.18).
#[inline(always)]
unsafe fn unrouted(facts: &Facts) -> bool {
    // SAFETY: typed pointer.
    facts.dev.is_none() && unsafe { read::typed::<u64>(facts.skb, SKB_REFDST.load()) } == 0
}

/// Writes to the end of `head` what the socket knows; whether it knows.
///
/// # Safety
/// The pointers in `facts` are typed.
#[inline(always)]
pub unsafe fn fill(head: &mut [u8; HEAD_MAX], facts: &Facts) -> bool {
    let (_, tail) = head.split_at_mut(UNWRITTEN_HEAD);
    // SAFETY: the tail has room for them and stands at a multiple of 8 in a record; typed pointers.
    unsafe {
        if !facts.unwritten {
            return false;
        }
        let ends = tail.as_mut_ptr().cast::<Ends>();
        write::zeroes(&mut *ends.cast::<[u8; size_of::<Ends>()]>());
        of_socket(&mut *ends, facts)
    }
}

#[inline(always)]
unsafe fn of_socket(ends: &mut Ends, facts: &Facts) -> bool {
    let sk = facts.sk;
    // SAFETY: typed pointers.
    unsafe {
        let family: u16 = read::typed(sk, SOCK_FAMILY.load());
        if family != AF_INET && family != AF_INET6 {
            return false;
        }
        let state = u32::from(read::typed::<u8>(sk, SOCK_STATE.load()));
        // These are smaller structs, which begin as a socket does, and are always TCP's.
        let (kind, protocol) = if state == TCP_TIME_WAIT.load() || state == TCP_NEW_SYN_RECV.load() {
            (SOCK_STREAM, u16::from(TCP))
        } else if present(SOCK_TYPE.load()) && present(SOCK_PROTOCOL.load()) {
            (read::typed(sk, SOCK_TYPE.load()), read::typed(sk, SOCK_PROTOCOL.load()))
        } else {
            return false;
        };
        // A raw socket may be of any protocol, and has no ports.
        if kind == SOCK_STREAM && protocol == u16::from(TCP) {
            ends.protocol = TCP;
            connected(ends, sk, family)
        } else if kind == SOCK_DGRAM && (protocol == u16::from(UDP) || protocol == u16::from(UDP_LITE)) {
            ends.protocol = if protocol == u16::from(UDP) { UDP } else { UDP_LITE };
            // Where nobody knows where it was to go, at least nobody reads what stands there.
            corked(ends, sk) || nowhere(ends, facts)
        } else {
            false
        }
    }
}

/// Takes back what was read in part.
#[inline(always)]
unsafe fn nowhere(ends: &mut Ends, facts: &Facts) -> bool {
    ends.family = 0;
    // SAFETY: typed pointers.
    unsafe { unrouted(facts) }
}

/// A connection has one other end.
#[inline(always)]
unsafe fn connected(ends: &mut Ends, sk: Ptr, family: u16) -> bool {
    // SAFETY: typed pointer.
    unsafe {
        ends.source_port = read::typed::<u16>(sk, SOCK_NUM.load()).to_be_bytes();
        ends.destination_port = read::typed::<u16>(sk, SOCK_DPORT.load()).to_ne_bytes();
    }
    if family == AF_INET {
        v4(ends, sk as u64, SOCK_SADDR4.load(), SOCK_DADDR4.load())
    } else {
        v6(ends, sk as u64, SOCK_SADDR6.load(), SOCK_DADDR6.load())
    }
}

/// A datagram may go elsewhere than its socket is connected to. One that waits for more of its data is on its way by the route and to
/// the address of the socket's cork, for as long as that has a route.
#[inline(always)]
fn corked(ends: &mut Ends, sk: Ptr) -> bool {
    if !present(CORK_DST.load()) || !present(DST_OPS.load()) || !present(OPS_FAMILY.load()) {
        return false;
    }
    let sk = sk as u64;
    let field = |base: u64, offset: u32| read::at::<u64>(base + u64::from(offset)).filter(|at| *at != 0);
    let Some(dst) = field(sk, CORK_DST.load()) else {
        return false;
    };
    let Some(ops) = field(dst, DST_OPS.load()) else {
        return false;
    };
    let (known, ports) = match read::at::<u16>(ops + u64::from(OPS_FAMILY.load())) {
        Some(AF_INET) => (v4(ends, sk, CORK_SADDR4.load(), CORK_DADDR4.load()), CORK_PORTS4.load()),
        Some(AF_INET6) => (v6(ends, sk, CORK_SADDR6.load(), CORK_DADDR6.load()), CORK_PORTS6.load()),
        _ => return false,
    };
    if !known || !present(ports) {
        return false;
    }
    // The destination's first (union flowi_uli).
    let ports = sk + u64::from(ports);
    straight(&mut ends.destination_port, ports) && straight(&mut ends.source_port, ports + 2)
}

#[inline(always)]
fn v4(ends: &mut Ends, base: u64, source: u32, destination: u32) -> bool {
    ends.family = 4;
    let (Some(from), Some(to)) =
        (ends.source.first_chunk_mut::<4>(), ends.destination.first_chunk_mut::<4>())
    else {
        return false;
    };
    present(source)
        && present(destination)
        && straight(from, base + u64::from(source))
        && straight(to, base + u64::from(destination))
}

#[inline(always)]
fn v6(ends: &mut Ends, base: u64, source: u32, destination: u32) -> bool {
    ends.family = 6;
    present(source)
        && present(destination)
        && straight(&mut ends.source, base + u64::from(source))
        && straight(&mut ends.destination, base + u64::from(destination))
}

/// Reads into the record: the stack of older kernels has no room for a copy (512 bytes with all that is called, before 6.13).
#[expect(clippy::cast_possible_truncation, reason = "the size of a field, a few bytes")]
#[inline(always)]
fn straight<const N: usize>(to: &mut [u8; N], address: u64) -> bool {
    // SAFETY: the array has as many bytes.
    unsafe { read::copy(to.as_mut_ptr(), N as u32, address) }
}
