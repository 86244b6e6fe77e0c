//! The BPF side of netdrop: hooks that record dropped packets, and nothing that decides a packet's fate.
//!
//! Path of a drop: `probes` (arguments) -> `capture::facts` -> `prefilter` -> `flows` (own record or not) -> `capture::fill` ->
//! ring buffer, or an entry of its flow.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "BPF has an atomic add without compare-and-swap, for which the core library has no stable name"
)]
#![expect(unsafe_code, reason = "BPF code is reads of kernel memory, which the verifier checks")]
#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined becomes a BPF subprogram, to which the verifier passes no typed kernel pointers"
)]

mod capture;
mod ends;
mod flowkey;
mod flows;
mod globals;
mod maps;
mod netns;
mod prefilter;
mod probes;
mod read;
mod stack;
mod wakeup;
mod write;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as bpf_probe_read_kernel are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
