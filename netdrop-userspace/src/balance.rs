//! The sum that must come out: shown + aggregated + hidden + lost = all drops, for every reason.

use std::fmt;
use std::io::Write as _;

use netdrop_common::counter::{Counters, reason_of, slot};
use tabwriter::{Alignment, TabWriter};

use crate::kernel::Reasons;
use crate::ledger::{Ledger, Sums};
use crate::source::live::LiveTally;

/// One line of it, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Network packets that were dropped while the hook was attached.
    pub drops: u64,
    /// Shown, one observation each.
    pub shown: u64,
    /// Shown, many in one observation.
    pub aggregated: u64,
    /// Turned away by the filter, in the kernel or here.
    pub hidden: u64,
    /// Counted and no more.
    pub lost: u64,
    /// The remainder: came after the end that was asked for, or belongs to another node of this kernel.
    pub other: u64,
}

/// Counts of the kernel side and of this side, put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    total: Row,
    /// By raw reason; `None`: reasons too large for a slot of their own.
    rows: Vec<(Option<u32>, Row)>,
}

impl Balance {
    /// Of a capture.
    pub fn new(live: &LiveTally, flows: &Ledger) -> Self {
        let mut rows: Vec<(Option<u32>, Row)> = live
            .totals
            .by_reason
            .iter()
            .map(|r| {
                let own = |code: &Option<u32>| reason_of(slot(code.unwrap_or(0))) == r.reason;
                let mut sums = Sums::default();
                for (_, s) in flows.rows().iter().filter(|(code, _)| own(code)) {
                    sums += *s;
                }
                (r.reason, Row::new(&r.counters, &sums, 0))
            })
            .filter(|(_, row)| row.drops > 0)
            .collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.drops));
        let unknown = live.totals.missed;
        let mut total = Row::new(&live.totals.sum(), &flows.total(), live.undecodable);
        total.drops += unknown;
        total.lost += unknown;
        Self { total, rows }
    }

    /// Over all reasons.
    pub fn total(&self) -> Row {
        self.total
    }

    /// By raw reason, the most frequent first. Drops that the kernel could not tell netdrop of have no reason and are only in the total.
    pub fn rows(&self) -> &[(Option<u32>, Row)] {
        &self.rows
    }

    /// A table, where there is more than one reason.
    pub fn by_reason(&self, reasons: &Reasons) -> Option<String> {
        if self.rows.len() < 2 {
            return None;
        }
        let mut table = TabWriter::new(Vec::new()).padding(2).alignment(Alignment::Right);
        let _ = writeln!(table, "DROPS\tSHOWN\tAGGREGATED\tHIDDEN\tLOST\t REASON");
        for (reason, row) in &self.rows {
            let name = match reason {
                Some(code) => reasons.name(*code).name,
                None => "others".into(),
            };
            let Row { drops, shown, aggregated, hidden, lost, .. } = row;
            let _ = writeln!(table, "{drops}\t{shown}\t{aggregated}\t{hidden}\t{lost}\t {name}");
        }
        String::from_utf8(table.into_inner().ok()?).ok()
    }
}

impl Row {
    fn new(kernel: &Counters, here: &Sums, undecodable: u64) -> Self {
        let drops = kernel.seen - kernel.skipped;
        let hidden = kernel.filtered + here.hidden;
        let lost = kernel.lost + here.unnamed + undecodable;
        let told = here.shown + here.aggregated + hidden + lost;
        Self {
            drops,
            shown: here.shown,
            aggregated: here.aggregated,
            hidden,
            lost,
            other: drops.saturating_sub(told),
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { drops, shown, aggregated, hidden, lost, other } = self.total;
        let noun = if drops == 1 { "drop" } else { "drops" };
        write!(
            f,
            "{drops} {noun}: {shown} shown, {aggregated} aggregated, {hidden} hidden by the filter, {lost} lost"
        )?;
        match other {
            0 => Ok(()),
            n => write!(f, ", {n} after the end"),
        }
    }
}
