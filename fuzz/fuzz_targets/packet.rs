//! Fuzz target, see `netdrop_fuzz::packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netdrop_fuzz::packet::run(bytes));
