//! What became of packets, by reason: the user's half of "shown + aggregated + hidden + lost = all drops".

use crate::flow::{Flow, TallyKind};

/// Packets that came as far as a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Shown, one observation each.
    pub shown: u64,
    /// Shown, many in one observation.
    pub aggregated: u64,
    /// Turned away by the filter, or benign.
    pub hidden: u64,
    /// Of the hidden: not turned away by the filter, but benign and not asked for.
    pub benign: u64,
    /// Known only as part of a rest of which the filter can't tell what it asks for.
    pub unnamed: u64,
    /// Came after the end that was asked for.
    pub after_end: u64,
}

impl Sums {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.shown + self.aggregated + self.hidden + self.unnamed + self.after_end
    }

    fn add(&mut self, flow: &Flow, fate: Fate) {
        let to = match (fate, flow.tally.kind) {
            (Fate::Shown, TallyKind::Packet) => &mut self.shown,
            (Fate::Shown, TallyKind::Flow | TallyKind::Rest) => &mut self.aggregated,
            (Fate::Undecided, _) => &mut self.unnamed,
            (Fate::Hidden | Fate::Benign, _) => &mut self.hidden,
            (Fate::AfterEnd, _) => &mut self.after_end,
        };
        *to += flow.tally.count;
        if fate == Fate::Benign {
            self.benign += flow.tally.count;
        }
    }
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.shown += other.shown;
        self.aggregated += other.aggregated;
        self.hidden += other.hidden;
        self.benign += other.benign;
        self.unnamed += other.unnamed;
        self.after_end += other.after_end;
    }
}

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Printed, or kept for clients.
    Shown,
    /// The filter does not match.
    Hidden,
    /// Part of a rest, of which the filter asks more than is known.
    Undecided,
    /// The filter matches, but it is benign, and nobody asked for those.
    Benign,
    /// Matches, after the end.
    AfterEnd,
}

/// Sums by raw reason and over all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    total: Sums,
    /// In the order in which they first came; there are few.
    rows: Vec<(Option<u32>, Sums)>,
    /// Where the last one was: drops of a reason come in a row.
    last: usize,
}

impl Ledger {
    /// Enters a flow.
    pub fn enter(&mut self, flow: &Flow, fate: Fate) {
        self.total.add(flow, fate);
        let reason = flow.reason.as_ref().map(|r| r.code);
        if self.rows.get(self.last).is_none_or(|row| row.0 != reason) {
            self.last = self.rows.iter().position(|row| row.0 == reason).unwrap_or_else(|| {
                self.rows.push((reason, Sums::default()));
                self.rows.len() - 1
            });
        }
        self.rows[self.last].1.add(flow, fate);
    }

    /// Over all reasons.
    pub fn total(&self) -> Sums {
        self.total
    }

    /// By raw reason.
    pub fn rows(&self) -> &[(Option<u32>, Sums)] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::flow::{DropReason, Tally, Verdict};

    fn flow(code: u32, kind: TallyKind, count: u64) -> Flow {
        let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
        flow.reason = Some(DropReason { code, subsystem: Arc::from("CORE"), name: Arc::from("X") });
        flow.tally = Tally { kind, count, ..flow.tally };
        flow
    }

    #[test]
    fn rows_add_up_to_the_total() {
        let mut ledger = Ledger::default();
        for (code, kind, count, fate) in [
            (8, TallyKind::Packet, 1, Fate::Shown),
            (8, TallyKind::Flow, 900, Fate::Shown),
            (3, TallyKind::Packet, 1, Fate::Hidden),
            (8, TallyKind::Rest, 70, Fate::Undecided),
            (8, TallyKind::Rest, 5, Fate::Shown),
            (3, TallyKind::Flow, 2, Fate::AfterEnd),
            (33, TallyKind::Flow, 6, Fate::Benign),
            (104, TallyKind::Rest, 4, Fate::Benign),
        ] {
            ledger.enter(&flow(code, kind, count), fate);
        }
        let expected = Sums { shown: 1, aggregated: 905, hidden: 11, benign: 10, unnamed: 70, after_end: 2 };
        assert_eq!(ledger.total(), expected);
        assert_eq!(ledger.total().all(), 1 + 905 + 11 + 70 + 2, "benign ones are among the hidden");
        assert_eq!(ledger.rows().len(), 4);
        assert_eq!(ledger.rows().iter().map(|r| r.1.all()).sum::<u64>(), ledger.total().all());
    }
}
