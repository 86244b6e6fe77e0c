#![no_std]
#![no_main]
//! netdrop's BPF programs.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
