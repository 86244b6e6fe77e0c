//! The symbol resolver: a program that user space runs once per new address.

/// Bytes of the text that the resolver writes, with its NUL.
pub const TEXT_MAX: usize = 128;
