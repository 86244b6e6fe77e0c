//! Call stacks, for those who asked: behind a record in the ring buffer, or beside the entry of a flow.

use crate::event::DropRecord;

/// Most addresses of a stack, innermost first; zeroes fill it up.
pub const FRAMES: usize = DEPTH_MOST + OWN;
/// Most that can be asked for.
pub const DEPTH_MOST: usize = 32;
/// So many of them may be the hook's own: that it is called, and that packets are freed.
pub const OWN: usize = 8;

/// A call stack.
pub type Frames = [u64; FRAMES];

/// A record with its call stack. Its `len` is that of the record and of as many addresses as are read; what follows is nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StackedRecord {
    /// The drop.
    pub record: DropRecord,
    /// Valid with [`crate::event::flag::STACK`].
    pub frames: Frames,
}

/// Where the stack of the first packet of a flow's entry waits until that is read: time and CPU of its record. A CPU does not drop
/// two packets in one nanosecond; should its clock be that coarse, the second has no stack.
#[repr(C)]
#[expect(clippy::pub_underscore_fields, reason = "padding is part of the ABI and both sides write it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackKey {
    /// [`DropRecord::time_ns`].
    pub time_ns: u64,
    /// [`DropRecord::cpu`].
    pub cpu: u32,
    /// Zero.
    pub _pad: u32,
}

impl StackKey {
    /// Of a record.
    #[expect(
        clippy::inline_always,
        reason = "a call is a BPF subprogram of its own, which costs more than this body"
    )]
    #[inline(always)]
    pub const fn of(record: &DropRecord) -> Self {
        Self { time_ns: record.time_ns, cpu: record.cpu, _pad: 0 }
    }
}

const _: () = {
    assert!(size_of::<StackedRecord>() == size_of::<DropRecord>() + FRAMES * 8);
    assert!(size_of::<StackedRecord>() == 584);
    assert!(size_of::<StackKey>() == 16);
};
