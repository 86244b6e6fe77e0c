//! `tp_btf/kfree_skb`: every packet that the kernel frees without having delivered it.

#![expect(clippy::needless_pass_by_value, reason = "aya's entry point hands its context over by value")]

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use netdrop_common::counter;
use netdrop_common::event::DropRecord;

use crate::globals::HAVE_REASON;
use crate::maps::{COUNTERS, RECORDS};
use crate::read::Ptr;
use crate::{capture, prefilter, wakeup};

/// kernel-proto: btf_trace_kfree_skb(skb: sk_buff, location, reason: skb_drop_reason, rx_sk: sock)
///
/// `reason` since 5.17, `rx_sk` since 6.11 (include/trace/events/skb.h).
#[btf_tracepoint(function = "kfree_skb")]
pub fn kfree_skb(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    let reason = (HAVE_REASON.load() == 1).then(|| ctx.arg::<u32>(2));
    let Some(count) = COUNTERS.get_ptr_mut(counter::slot(reason.unwrap_or(0))) else {
        return 0;
    };
    // SAFETY: the slot of this CPU; the kernel does not run a program of this hook inside another on one CPU, but counts it
    // in recursion_misses.
    let count = unsafe { &mut *count };
    count.seen += 1;
    // SAFETY: the tracepoint's first argument is a trusted sk_buff.
    let Some(facts) = (unsafe { capture::facts(skb) }) else {
        count.skipped += 1;
        return 0;
    };
    // SAFETY: as above.
    if !unsafe { prefilter::passes(&facts, reason.unwrap_or(0)) } {
        count.filtered += 1;
        return 0;
    }
    count.matched += 1;
    let Some(mut entry) = RECORDS.reserve::<DropRecord>(0) else {
        count.ring_full += 1;
        return 0;
    };
    let location: u64 = ctx.arg(1);
    // SAFETY: `entry` is room for one record; the pointers in `facts` are typed.
    let (now, fault) =
        unsafe { capture::fill(entry.as_mut_ptr(), &facts, reason, location, ctx.as_ptr() as u64) };
    entry.submit(wakeup::flags(now));
    count.submitted += 1;
    count.read_fault += u64::from(fault);
    debug!(&ctx, "drop at {:x}", location);
    0
}
