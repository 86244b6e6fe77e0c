//! How full the ring buffer is, and when to wake its reader: a wakeup per record costs ten times all the rest.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use netdrop_common::flow::CpuState;

use crate::globals::{PRESSURE, QUIET_US, WATERMARK};
use crate::maps::RECORDS;

/// Above the watermark, still no more than one wakeup in this time.
const MIN_GAP_NS: u64 = 50_000;
/// Drops between two looks: the reader's position is a cache line of another CPU.
const LOOK_EVERY: u32 = 8;

/// Looks now and then.
#[inline(always)]
pub fn look(state: &mut CpuState) {
    if state.until_look == 0 {
        let waiting = RECORDS.query(u64::from(BPF_RB_AVAIL_DATA));
        state.until_look = LOOK_EVERY;
        state.waiting = u32::from(waiting >= u64::from(WATERMARK.load()));
        state.pressed = u32::from(waiting >= u64::from(PRESSURE.load()));
    }
    state.until_look -= 1;
}

/// Flags for the submit at `now`. The first record after a quiet time wakes the reader, which then polls by a short timer until
/// it is quiet again; in between only a ring buffer past its watermark does.
#[inline(always)]
pub fn flags(now: u64, state: &mut CpuState) -> u64 {
    let since = now.wrapping_sub(state.last_wake);
    let quiet = since > u64::from(QUIET_US.load()) * 1000;
    if quiet || (state.waiting != 0 && since > MIN_GAP_NS) {
        state.last_wake = now;
        return u64::from(BPF_RB_FORCE_WAKEUP);
    }
    u64::from(BPF_RB_NO_WAKEUP)
}
