//! Fuzz target, see `netdrop_fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netdrop_fuzz::request::run(bytes));
