//! Zeroes without `memset`, which for BPF is a call of a loop over single bytes. Volatile, or the compiler makes one of them again.

use core::mem::MaybeUninit;

use netdrop_common::flow::FlowKey;

/// Fills a field with zeroes.
///
/// # Safety
/// The field must stand at a multiple of 4 bytes.
#[expect(clippy::cast_ptr_alignment, reason = "the caller promises it")]
#[inline(always)]
pub unsafe fn zeroes<const N: usize>(field: &mut [u8; N]) {
    let start = field.as_mut_ptr();
    // SAFETY: all within the field, which is aligned to four bytes.
    unsafe {
        for word in 0..N / 4 {
            start.cast::<u32>().add(word).write_volatile(0);
        }
        if N % 4 >= 2 {
            start.add(N / 4 * 4).cast::<u16>().write_volatile(0);
        }
        if N % 2 == 1 {
            start.add(N - 1).write_volatile(0);
        }
    }
}

/// Makes a key that is no flow's.
#[inline(always)]
pub fn no_key(key: &mut MaybeUninit<FlowKey>) -> &mut FlowKey {
    let start = key.as_mut_ptr().cast::<u64>();
    for word in 0..size_of::<FlowKey>() / 8 {
        // SAFETY: within the key, whose alignment is 8; zeroes are a FlowKey.
        unsafe { start.add(word).write_volatile(0) };
    }
    // SAFETY: all of it was written, as its size is a multiple of 8.
    unsafe { key.assume_init_mut() }
}
