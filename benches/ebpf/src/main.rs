//! The floor: the least that a drop tracer can do at `tp_btf/kfree_skb`, to measure netdrop against.
//!
//! `empty` does nothing: the price of the hook. `record` hands user space one parsed record for each drop, with what a drop
//! tracer must tell and without any of the checks that make it right for every packet.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "BPF code is reads of kernel memory, which the verifier checks")]
#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined becomes a BPF subprogram, to which the verifier passes no typed kernel pointers"
)]

mod floor;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as bpf_probe_read_kernel are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
