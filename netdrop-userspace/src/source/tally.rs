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

    /// Drops that should have been recorded and were not.
    pub fn lost(&self) -> u64 {
        self.totals.lost() + self.undecodable
    }
}
