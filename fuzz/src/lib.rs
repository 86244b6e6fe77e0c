//! What the fuzzer and the corpus test feed with hostile bytes. A target returns, whatever the bytes; it panics where netdrop
//! breaks a promise.

pub mod btf;
pub mod expression;
pub mod filter;
mod flows;
pub mod packet;
pub mod request;
pub mod ring;
pub mod wire;

/// A name and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets; each has a folder of its name below `corpus/`.
pub const TARGETS: [Target; 7] = [
    ("ring", ring::run),
    ("packet", packet::run),
    ("btf", btf::run),
    ("wire", wire::run),
    ("request", request::run),
    ("filter", filter::run),
    ("expression", expression::run),
];
