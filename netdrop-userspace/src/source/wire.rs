//! Streams of Hubble's messages, as they came.

use crate::proto::observer::GetFlowsResponse;

/// One stream of wire messages: a server's, several servers' merged, a file's.
#[expect(async_fn_in_trait, reason = "used with static types only")]
pub trait WireSource {
    /// Waits for the next messages and appends them to `batch`. `Ok(false)`: the stream has ended, nothing was appended.
    /// Must be safe to cancel: a dropped call loses nothing.
    async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool>;
}
