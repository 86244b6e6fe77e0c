//! The streams of many servers as one, by time.
//!
//! `merger` and `course` know times and order, and no network: what comes in is told when, and what goes out is asked for. `crew` keeps
//! connections to servers that come and go; `session` is one call to all of them.

mod asked;
mod backoff;
pub mod census;
pub mod course;
pub mod crew;
mod mask;
mod merger;
mod monitor;
mod newest;
pub mod session;
mod status;
mod stream;
mod tally;
mod wire;

pub use asked::Asked;
pub use course::{Course, CourseLimits, Item, Plan};
pub use crew::{Crew, Peer, PeerAddress, PeerState, Peers, Roster, Tempo};
pub use merger::{Merger, MergerLimits};
pub use session::{Session, SessionConfig};
pub use tally::Tally;
pub use wire::{Wire, WireCodec, WireKind};

/// A server within one call. Numbers are not used again.
pub type PeerId = u32;

/// The observer service with GetFlows as bytes; see build.rs.
#[expect(clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod uncoded {
    include!(concat!(env!("OUT_DIR"), "/observer.Observer.rs"));
}

#[cfg(test)]
mod course_tests;
#[cfg(test)]
mod merger_tests;
