//! `tp_btf/kfree_skb`: every packet that the kernel frees without having delivered it.

#![expect(clippy::needless_pass_by_value, reason = "aya's entry point hands its context over by value")]

use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use netdrop_common::counter::{self, Counters};
use netdrop_common::event::{DropRecord, HEAD_MAX, HEAD_SHORT, SHORT_LEN};
use netdrop_common::flow::{CpuState, FlowEntry, FlowKey};
use netdrop_common::stack::StackedRecord;

use crate::capture::{self, Event};
use crate::globals::{HAVE_REASON, SKB_LEN};
use crate::maps::{COUNTERS, CPU_STATE, RECORDS};
use crate::read::{self, Ptr};
use crate::{flowkey, flows, prefilter, stack, wakeup, write};

/// kernel-proto: btf_trace_kfree_skb(skb: sk_buff, location, reason: skb_drop_reason, rx_sk: sock)
///
/// `reason` since 5.17, `rx_sk` since 6.11 (include/trace/events/skb.h).
///
/// Inlined into the entry point that the macro makes: another frame is more than older kernels' 512 bytes of stack hold.
#[btf_tracepoint(function = "kfree_skb")]
#[inline(always)]
pub fn kfree_skb(ctx: BtfTracePointContext) -> i32 {
    run::<false>(&ctx)
}

/// The same with call stacks. One of the two is loaded, so that stacks cost nothing where nobody asked for them.
#[btf_tracepoint(function = "kfree_skb")]
#[inline(always)]
pub fn kfree_skb_stack(ctx: BtfTracePointContext) -> i32 {
    run::<true>(&ctx)
}

#[inline(always)]
fn run<const STACK: bool>(ctx: &BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    let reason = (HAVE_REASON.load() == 1).then(|| ctx.arg::<u32>(2));
    let (Some(count), Some(state)) =
        (COUNTERS.get_ptr_mut(counter::slot(reason.unwrap_or(0))), CPU_STATE.get_ptr_mut(0))
    else {
        return 0;
    };
    // SAFETY: the slots of this CPU; the kernel does not run a program of this hook inside another on one CPU, but counts it
    // in recursion_misses.
    let (count, state) = unsafe { (&mut *count, &mut *state) };
    count.seen += 1;
    // SAFETY: the tracepoint's first argument is a trusted sk_buff.
    if !unsafe { capture::is_network(skb) } {
        count.skipped += 1;
        return 0;
    }
    let known = reason.unwrap_or(0);
    if reason.is_some() && prefilter::is_benign(known) || !prefilter::wants_reason(known) {
        count.filtered += 1;
        return 0;
    }
    // SAFETY: as above.
    let facts = unsafe { capture::facts(skb) };
    // SAFETY: as above.
    if !unsafe { prefilter::passes(&facts) } {
        count.filtered += 1;
        return 0;
    }
    // SAFETY: a helper without preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let event = Event { facts, reason, location: ctx.arg(1), ctx: ctx.as_ptr() as u64, now };
    hand_on::<STACK>(&event, count, state);
    debug!(ctx, "drop at {:x}", event.location);
    0
}

/// A record; else the flow's entry; else the rest of its reason; else only the count.
#[inline(always)]
fn hand_on<const STACK: bool>(event: &Event, count: &mut Counters, state: &mut CpuState) {
    wakeup::look(state);
    let pressed = state.pressed != 0;
    let mut key = MaybeUninit::uninit();
    let mut own_record = true;
    let mut known = false;
    if pressed || flows::limited() {
        let key = write::no_key(&mut key);
        // SAFETY: the pointers in `facts` are typed.
        known = unsafe { flowkey::fill(key, &event.facts, event.reason.unwrap_or(0), event.location) };
        own_record = if known { flows::take_token(key, event.now, pressed) } else { !pressed };
    }
    if own_record && record::<STACK>(event, count, state) {
        count.recorded += 1;
        return;
    }
    // SAFETY: what is known was filled.
    aggregate::<STACK>(event, known.then(|| unsafe { key.assume_init_ref() }), count);
}

/// A record with as many packet bytes as it needs: what is not written is not read either.
#[inline(always)]
fn record<const STACK: bool>(event: &Event, count: &mut Counters, state: &mut CpuState) -> bool {
    if STACK {
        let Some(mut entry) = RECORDS.reserve::<StackedRecord>(0) else {
            return false;
        };
        // SAFETY: `entry` is room for a record and a stack; the pointers in `facts` are typed.
        let fault = unsafe { stack::fill(entry.as_mut_ptr(), event) };
        count.read_fault += u64::from(fault);
        entry.submit(wakeup::flags(event.now, state));
    } else if capture::is_short(&event.facts) {
        let Some(mut entry) = RECORDS.reserve::<[u64; SHORT_LEN / 8]>(0) else {
            return false;
        };
        // SAFETY: `entry` is room for a short record; the pointers in `facts` are typed.
        let fault = unsafe { capture::fill::<HEAD_SHORT>(entry.as_mut_ptr().cast(), event) };
        count.read_fault += u64::from(fault);
        entry.submit(wakeup::flags(event.now, state));
    } else {
        let Some(mut entry) = RECORDS.reserve::<DropRecord>(0) else {
            return false;
        };
        // SAFETY: `entry` is room for one record; the pointers in `facts` are typed.
        let fault = unsafe { capture::fill::<HEAD_MAX>(entry.as_mut_ptr(), event) };
        count.read_fault += u64::from(fault);
        entry.submit(wakeup::flags(event.now, state));
    }
    true
}

#[inline(always)]
fn aggregate<const STACK: bool>(event: &Event, key: Option<&FlowKey>, count: &mut Counters) {
    // SAFETY: typed pointer.
    let bytes = u64::from(unsafe { read::typed::<u32>(event.facts.skb, SKB_LEN.load()) });
    if let Some(key) = key {
        let mut fault = false;
        let first = |entry: &mut FlowEntry| {
            // SAFETY: `entry` has room for a record; the pointers in `facts` are typed.
            fault = unsafe { capture::fill::<HEAD_MAX>(&raw mut entry.record, event) };
            if STACK {
                stack::lay_beside(&mut entry.record, event);
            }
        };
        let undo = |entry: &FlowEntry| {
            if STACK {
                stack::take_back(&entry.record);
            }
        };
        let added = flows::add(key, bytes, event.now, first, undo);
        count.read_fault += u64::from(fault);
        if added {
            count.aggregated += 1;
            return;
        }
    }
    if flows::add_to_rest(event.reason.unwrap_or(0), event.facts.netns.unwrap_or(0), bytes, event.now) {
        count.rest += 1;
    } else {
        count.lost += 1;
    }
}
