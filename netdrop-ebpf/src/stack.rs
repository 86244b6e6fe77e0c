//! Who called: the kernel's call stack at the drop.

#![expect(clippy::cast_possible_truncation, reason = "the length of a record is a few hundred bytes")]

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::generated::bpf_get_stack;
use netdrop_common::event::{DropRecord, HEAD_MAX, flag};
use netdrop_common::stack::{Frames, StackKey, StackedRecord};

use crate::capture::{self, Event};
use crate::globals::STACK_BYTES;
use crate::maps::{STACK_SCRATCH, STACKS};

/// Writes the stack; whether there is one. The helper fills what is left of the bytes that were asked for, or all, with zeroes.
#[inline(always)]
fn read(frames: *mut Frames, event: &Event) -> bool {
    // SAFETY: the context of this program, and room for so many bytes, as the verifier sees: it knows the number.
    unsafe { bpf_get_stack(event.ctx as *mut _, frames.cast(), STACK_BYTES.load(), 0) > 0 }
}

/// Writes a record and its stack; whether a read failed.
///
/// # Safety
/// `to` must be room for both; the pointers in `event` are typed.
#[inline(always)]
pub unsafe fn fill(to: *mut StackedRecord, event: &Event) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let record = &raw mut (*to).record;
        let fault = capture::fill::<HEAD_MAX>(record, event);
        (*record).len = size_of::<DropRecord>() as u16 + STACK_BYTES.load() as u16;
        if read(&raw mut (*to).frames, event) {
            (*record).flags |= flag::STACK;
        }
        fault
    }
}

/// Keeps the stack of a flow's first packet for its reader. Where there is no room the record says that it has none.
#[inline(always)]
pub fn lay_beside(record: &mut DropRecord, event: &Event) {
    let Some(frames) = STACK_SCRATCH.get_ptr_mut(0) else {
        return;
    };
    if !read(frames, event) {
        return;
    }
    // SAFETY: this CPU's; programs of one hook don't nest on a CPU.
    let frames = unsafe { &*frames };
    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value it would be copied to the stack, which is too small"
    )]
    if STACKS.insert(&StackKey::of(record), frames, u64::from(BPF_NOEXIST)).is_ok() {
        record.flags |= flag::STACK;
    }
}

/// The record is not kept, so its stack is not either.
#[inline(always)]
pub fn take_back(record: &DropRecord) {
    if record.flags & flag::STACK != 0 {
        let _ = STACKS.remove(StackKey::of(record));
    }
}
