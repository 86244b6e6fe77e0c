//! What the fuzzer and the corpus test feed with hostile bytes. A target returns, whatever the bytes; it panics where netdrop
//! breaks a promise.

pub mod btf;
mod flows;
pub mod packet;
pub mod ring;
pub mod wire;

/// A name and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets; each has a folder of its name below `corpus/`.
pub const TARGETS: [Target; 4] =
    [("ring", ring::run), ("packet", packet::run), ("btf", btf::run), ("wire", wire::run)];
