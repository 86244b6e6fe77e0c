//! Where observations come from: live capture, an agent's server, a file.

mod assemble;
pub mod file;
mod interner;
pub mod live;
pub mod merged;
pub mod remote;
pub mod several;
mod stacks;
mod tally;
pub mod wire;

use crate::flow::Observation;

pub use tally::LiveTally;

/// One stream of observations.
#[expect(async_fn_in_trait, reason = "used with static types only")]
pub trait Source {
    /// Waits for the next observations and appends them to `batch`. `Ok(false)`: the stream has ended, nothing was appended.
    /// Must be safe to cancel: a dropped call loses nothing.
    async fn next(&mut self, batch: &mut Vec<Observation>) -> anyhow::Result<bool>;

    /// What was counted in the kernel; `None`: this source is not the one that captures.
    fn tally(&self) -> anyhow::Result<Option<LiveTally>> {
        Ok(None)
    }

    /// Asks the stream to end. `true`: what is under way can still be had from [`Source::next`], which then ends by itself.
    fn stop(&mut self) -> anyhow::Result<bool> {
        Ok(false)
    }
}
