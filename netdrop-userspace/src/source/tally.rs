//! Exact counts of a capture.

use std::sync::Arc;

use crate::kernel::Reasons;
use crate::probe::Totals;

/// What live capture has counted.
#[derive(Clone, Debug)]
pub struct LiveTally {
    /// Names of the reasons.
    pub reasons: Arc<Reasons>,
    /// The hook's own counters.
    pub totals: Totals,
    /// Drops that belong to another node of this kernel.
    pub elsewhere: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Reasons that the kernel side turns away as benign.
    pub hidden: Arc<[u32]>,
}

impl LiveTally {
    /// Network packets that were dropped while the hook was attached.
    pub fn dropped(&self) -> u64 {
        let sum = self.totals.sum();
        sum.seen - sum.skipped + self.totals.missed
    }

    /// Drops that the prefilter turned away in the kernel.
    pub fn filtered(&self) -> u64 {
        self.totals.sum().filtered
    }

    /// Of these, those of reasons that are benign.
    pub fn benign(&self) -> u64 {
        let benign =
            self.totals.by_reason.iter().filter(|r| r.reason.is_some_and(|c| self.hidden.contains(&c)));
        benign.map(|r| r.counters.filtered).sum()
    }

    /// Drops that should have been recorded and were not.
    pub fn lost(&self) -> u64 {
        self.totals.lost() + self.undecodable
    }
}
