//! The BPF ABI of netdrop, and nothing else: what the kernel side writes and the user side reads.
//!
//! `no_std`, no dependencies. Integers and arrays only; network order stays `[u8; N]`.
#![no_std]

pub mod counter;
pub mod event;
pub mod fields;
pub mod filter;
pub mod flow;
pub mod hook;
pub mod knobs;
pub mod stack;
pub mod symbol;
