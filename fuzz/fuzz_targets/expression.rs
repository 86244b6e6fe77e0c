//! Fuzz target, see `netdrop_fuzz::expression`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netdrop_fuzz::expression::run(bytes));
