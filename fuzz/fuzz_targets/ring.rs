//! Fuzz target, see `netdrop_fuzz::ring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netdrop_fuzz::ring::run(bytes));
