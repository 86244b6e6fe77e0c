//! Fuzz target, see `netdrop_fuzz::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netdrop_fuzz::filter::run(bytes));
