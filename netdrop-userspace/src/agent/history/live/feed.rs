//! A follower's end of its queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;

use super::super::super::encoded::Encoded;
use super::super::super::mask::Mask;
use super::super::reader::Position;
use super::super::ring::Missed;
use super::super::select::Selection;
use super::Live;
use crate::filter::Filters;

/// What a follower asks for. Those who ask for the same are served together.
#[derive(Clone, Debug)]
pub(in super::super::super) struct Wanted {
    /// As they were sent: what tells whether two ask for the same.
    pub(in super::super::super) filters: Arc<Filters>,
    /// The same, ready. Its times are not looked at.
    pub(in super::super::super) selection: Arc<Selection>,
    pub(in super::super::super) mask: Mask,
}

impl Wanted {
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.filters == other.filters
            && self.mask == other.mask
            && self.selection.with_benign_ones() == other.selection.with_benign_ones()
    }
}

/// A response, and what is still looked at on its way.
#[derive(Clone, Debug)]
pub(in super::super::super) struct Item {
    pub(in super::super::super) time: Timestamp,
    pub(in super::super::super) is_flow: bool,
    pub(in super::super::super) response: Encoded,
}

/// What a follower is dealt out.
#[derive(Clone, Debug)]
pub(in super::super::super) enum Fed {
    Items(Arc<[Item]>),
    /// What the thread itself did not get.
    Missed(Missed),
    /// The last: the follower was too slow, and goes on from here by itself.
    Behind(Position),
}

/// A queue that is bounded: who does not empty it is taken off.
#[derive(Debug)]
pub(in super::super::super) struct Feed {
    pub(super) live: Arc<Live>,
    pub(super) id: u64,
    pub(super) from: Receiver<Fed>,
    /// Bytes in it.
    pub(super) queued: Arc<AtomicUsize>,
}

/// What an item takes.
pub(super) fn bytes(items: &[Item]) -> usize {
    items.iter().map(|item| size_of::<Item>() + item.response.len()).sum()
}

impl Feed {
    /// The next, in order. `None`: it has left, and that was all.
    pub(in super::super::super) async fn next(&mut self) -> Option<Fed> {
        let fed = self.from.recv().await?;
        if let Fed::Items(items) = &fed {
            self.queued.fetch_sub(bytes(items), Ordering::Relaxed);
        }
        Some(fed)
    }

    /// Ends it, but for what is queued. Where the follower then goes on; `None`: it was taken off before, and the queue tells.
    pub(in super::super::super) fn leave(&mut self) -> Option<Position> {
        self.live.leave(self.id)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.leave();
    }
}
