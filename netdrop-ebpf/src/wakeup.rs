//! When to wake the reader: a wakeup per record costs ten times all the rest.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use netdrop_common::flow::CpuState;

use crate::globals::{QUIET_US, WATERMARK};
use crate::maps::RECORDS;

/// Above the watermark, still no more than one wakeup in this time.
const MIN_GAP_NS: u64 = 50_000;

/// Flags for the submit at `now`. The first record after a quiet time wakes the reader, which then polls by a short timer until
/// it is quiet again; in between only a ring buffer past its watermark does.
#[inline(always)]
pub fn flags(now: u64, state: &mut CpuState) -> u64 {
    let since = now.wrapping_sub(state.last_wake);
    let quiet = since > u64::from(QUIET_US.load()) * 1000;
    let waiting =
        since > MIN_GAP_NS && RECORDS.query(u64::from(BPF_RB_AVAIL_DATA)) >= u64::from(WATERMARK.load());
    if quiet || waiting {
        state.last_wake = now;
        return u64::from(BPF_RB_FORCE_WAKEUP);
    }
    u64::from(BPF_RB_NO_WAKEUP)
}
