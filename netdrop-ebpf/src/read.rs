//! The only reads through kernel pointers.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the size of a field, a few bytes, becomes a helper's u32"
)]

use aya_ebpf::helpers::generated;
use netdrop_common::fields::ABSENT;

/// A kernel pointer.
pub type Ptr = *const u8;

/// Whether this kernel has the field at `offset`.
#[inline(always)]
pub fn present(offset: u32) -> bool {
    offset != ABSENT
}

/// Loads a field through a pointer whose type the verifier knows: no helper call. A bad address reads as zero.
///
/// # Safety
/// `base` must be typed by BTF for the verifier, which refuses the program otherwise.
#[inline(always)]
pub unsafe fn typed<T: Copy>(base: Ptr, offset: u32) -> T {
    // SAFETY: the verifier checks pointer, offset and size; the kernel handles the fault of a stale pointer. Volatile, so that
    // the compiler neither splits nor moves the load.
    unsafe { base.add(offset as usize).cast::<T>().read_volatile() }
}

/// Reads kernel memory at a plain number, which may be any: a fault is an error.
#[inline(always)]
pub fn at<T: Copy>(address: u64) -> Option<T> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes size_of::<T>() bytes to `value` or fails, and fills it with zeroes when it fails.
    unsafe {
        let failed = generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
        (failed == 0).then(|| value.assume_init())
    }
}

/// Copies `len` bytes of kernel memory from `address` to `to`; whether that worked.
///
/// # Safety
/// `to` must have room for `len` bytes, as far as the verifier can see.
#[inline(always)]
pub unsafe fn copy(to: *mut u8, len: u32, address: u64) -> bool {
    // SAFETY: the verifier checks that `len` fits.
    unsafe { generated::bpf_probe_read_kernel(to.cast(), len, address as *const _) == 0 }
}
