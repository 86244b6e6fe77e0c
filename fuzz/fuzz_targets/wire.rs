//! Fuzz target, see `netdrop_fuzz::wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netdrop_fuzz::wire::run(bytes));
