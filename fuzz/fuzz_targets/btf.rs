//! Fuzz target, see `netdrop_fuzz::btf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netdrop_fuzz::btf::run(bytes));
