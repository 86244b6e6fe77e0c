//! When drops come faster than a record for each makes sense: token buckets, an entry per flow, a rest per reason.
//!
//! Counts are exact at every step: what finds no room in one goes to the next, and the last is a counter that always has room.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::BPF_NOEXIST;
use netdrop_common::flow::{BUCKETS, Bucket, FlowEntry, FlowKey, RestEntry, RestKey};

use crate::globals::FLOW_INTERVAL_NS;
use crate::maps::{ACTIVE_FLOWS, FLOW_BUCKETS, FLOW_SCRATCH, RESTS};

/// A flow that was quiet has a second's worth of records at once.
const BURST_NS: u64 = 1_000_000_000;
/// Under pressure: one record in this time.
const PRESSED_INTERVAL_NS: u64 = 100_000_000;

/// Whether rates are limited at all.
#[inline(always)]
pub fn limited() -> bool {
    FLOW_INTERVAL_NS.load() != 0
}

/// Takes a token of the flow's bucket: whether this drop may be a record of its own.
///
/// Two CPUs may race for one token: then the flow has one record more, and the counts stay exact.
#[inline(always)]
pub fn take_token(key: &FlowKey, now: u64, pressed: bool) -> bool {
    let tag = hash(key);
    let Some(bucket) = bucket(tag, now) else {
        // Both places belong to other flows. No flow is limited for another's rate, but under pressure none goes on unlimited.
        return !pressed;
    };
    // SAFETY: a map value, which stays valid for this run.
    let bucket = unsafe { &mut *bucket };
    let full_at = if bucket.tag == tag && bucket.full_at > now { bucket.full_at } else { now };
    bucket.tag = tag;
    if pressed {
        if full_at > now {
            return false;
        }
        bucket.full_at = now + PRESSED_INTERVAL_NS;
        return true;
    }
    let next = full_at + u64::from(FLOW_INTERVAL_NS.load());
    if next > now + BURST_NS {
        return false;
    }
    bucket.full_at = next;
    true
}

/// The flow's bucket, or a free place: one whose bucket is full again.
#[inline(always)]
fn bucket(tag: u64, now: u64) -> Option<*mut Bucket> {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
    let index = tag as u32 & (BUCKETS - 1);
    let first = FLOW_BUCKETS.get_ptr_mut(index)?;
    // SAFETY: map values.
    unsafe {
        if (*first).tag == tag {
            return Some(first);
        }
        let second = FLOW_BUCKETS.get_ptr_mut(index ^ 1)?;
        if (*second).tag == tag {
            return Some(second);
        }
        if (*first).full_at <= now {
            return Some(first);
        }
        ((*second).full_at <= now).then_some(second)
    }
}

#[inline(always)]
fn hash(key: &FlowKey) -> u64 {
    let words = core::ptr::from_ref(key).cast::<u64>();
    let mut h = 0x9e37_79b9_7f4a_7c15_u64;
    for i in 0..size_of::<FlowKey>() / 8 {
        // SAFETY: FlowKey is a multiple of 8 bytes, without padding that nobody wrote.
        h = (h ^ unsafe { words.add(i).read() }).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h ^= h >> 32;
    }
    h
}

/// Adds to the entry of a flow; whether there was one, or room for one. `first` writes the record of a new one, which is not
/// needed after all if `undo` is called.
#[inline(always)]
pub fn add(
    key: &FlowKey,
    bytes: u64,
    now: u64,
    first: impl FnOnce(&mut FlowEntry),
    undo: impl FnOnce(&FlowEntry),
) -> bool {
    let Some(active) = ACTIVE_FLOWS.get(0) else {
        return false;
    };
    if let Some(entry) = active.get_ptr_mut(key) {
        add_to(entry, bytes, now);
        return true;
    }
    let Some(scratch) = FLOW_SCRATCH.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: this CPU's; programs of one hook don't nest on a CPU.
    let scratch = unsafe { &mut *scratch };
    first(scratch);
    scratch.count = 1;
    scratch.bytes = bytes;
    scratch.last_ns = now;
    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value it would be copied to the stack, which is too small"
    )]
    let inserted = active.insert(key, &*scratch, u64::from(BPF_NOEXIST));
    if inserted.is_ok() {
        return true;
    }
    undo(scratch);
    // Another CPU was quicker, or the map is full.
    match active.get_ptr_mut(key) {
        Some(entry) => {
            add_to(entry, bytes, now);
            true
        }
        None => false,
    }
}

#[inline(always)]
fn add_to(entry: *mut FlowEntry, bytes: u64, now: u64) {
    // SAFETY: a map value, aligned to 8; other CPUs add to it at the same time, atomically too.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*entry).count, 1);
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*entry).bytes, bytes);
        (*entry).last_ns = now;
    }
}

/// Adds to the rest of a reason and namespace; whether there was room.
#[inline(always)]
pub fn add_to_rest(reason: u32, netns: u32, bytes: u64, now: u64) -> bool {
    let key = RestKey { reason, netns };
    if let Some(entry) = RESTS.get_ptr_mut(key) {
        add_to_rest_entry(entry, bytes, now);
        return true;
    }
    let entry = RestEntry { count: 1, bytes, last_ns: now };
    if RESTS.insert(key, entry, u64::from(BPF_NOEXIST)).is_ok() {
        return true;
    }
    match RESTS.get_ptr_mut(key) {
        Some(entry) => {
            add_to_rest_entry(entry, bytes, now);
            true
        }
        None => false,
    }
}

#[inline(always)]
fn add_to_rest_entry(entry: *mut RestEntry, bytes: u64, now: u64) {
    // SAFETY: as for the entry of a flow.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*entry).count, 1);
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*entry).bytes, bytes);
        (*entry).last_ns = now;
    }
}
