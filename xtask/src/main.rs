//! Orchestration of netdrop's build, demo and tests.
fn main() {}
