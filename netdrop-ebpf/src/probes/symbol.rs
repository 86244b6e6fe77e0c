//! The symbol resolver: never attached, run by user space once per new address.
//!
//! With CAP_BPF and CAP_PERFMON alone /proc/kallsyms shows zeroes, but `%pS` still prints `symbol+0xoff/0xsize [module]`.

#![expect(clippy::needless_pass_by_value, reason = "aya's entry point hands its context over by value")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the helper's result is a length of at most TEXT_MAX or an errno"
)]

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_snprintf;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use netdrop_common::symbol::TEXT_MAX;

use crate::maps::SYMBOL_TEXT;

/// The helper asks for its format in a frozen map, which `.rodata` is.
#[unsafe(no_mangle)]
static SYMBOL_FORMAT: [u8; 4] = *b"%pS\0";

/// Writes the symbol of the address in the first argument to `SYMBOL_TEXT`.
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn resolve_symbol(ctx: RawTracePointContext) -> i32 {
    let Some(text) = SYMBOL_TEXT.get_ptr_mut(0) else {
        return -1;
    };
    // SAFETY: the context of a raw tracepoint holds at least one 64-bit argument; the helper writes at most TEXT_MAX bytes.
    unsafe {
        let address: u64 = *ctx.as_ptr().cast::<u64>();
        let arguments = [address];
        bpf_snprintf(
            text.cast(),
            TEXT_MAX as u32,
            SYMBOL_FORMAT.as_ptr().cast(),
            arguments.as_ptr().cast_mut().cast(),
            8,
        ) as i32
    }
}
