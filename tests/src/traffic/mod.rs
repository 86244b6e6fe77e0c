//! Traffic: exactly as many packets as asked for, then no more.
//!
//! All functions send from the calling thread's network namespace; run them by [`crate::netns::Netns::run`]. A packet that the
//! kernel refuses with EPERM counts as sent: that is how a drop on the way out shows to its sender.

pub mod craft;
pub mod hostile;
mod raw;
mod socket;

pub use raw::{Offload, arp_request, echo, frames, offloaded, packets};
pub use socket::{Mailbox, syns, udp, udp_gso, unfinished};
