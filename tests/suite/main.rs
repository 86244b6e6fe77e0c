//! Tests of real drops, by the real binary, in namespaces of their own.
#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod harness;
mod headers;
mod matrix;
mod routing;
mod sockets;
mod testbed;
