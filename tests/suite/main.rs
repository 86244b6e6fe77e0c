//! Tests of real drops, by the real binary, in namespaces of their own.
#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod alone;
mod benign;
mod cluster;
mod company;
mod endings;
mod exhaustion;
mod files;
mod flags;
mod formats;
mod frames;
mod harness;
mod headers;
mod hostile;
mod hubble;
mod limits;
mod matrix;
mod nobody;
mod overlay;
mod perf;
mod reasons;
mod relay;
mod replay;
mod retransmission;
mod rights;
mod routing;
mod servers;
mod serving;
mod settings;
mod sockets;
mod stacks;
mod stalled;
mod status;
mod storm;
mod testbed;
mod unwritten;
