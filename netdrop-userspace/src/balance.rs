//! The sum that must come out: shown + aggregated + hidden + lost = all drops, for every reason.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use netdrop_common::counter::{Counters, reason_of, slot};
use tabwriter::{Alignment, TabWriter};

use crate::ledger::{Ledger, Sums};
use crate::source::LiveTally;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    total: Row,
    elsewhere: u64,
    benign: u64,
    /// Of the lost those that nobody saw.
    unseen: u64,
    rows: Vec<(Arc<str>, Row)>,
}

impl Balance {
    /// Of a capture.
    pub fn new(live: &LiveTally, flows: &Ledger) -> Self {
        let mut rows: Vec<(Arc<str>, Row)> = live
            .totals
            .by_reason
            .iter()
            .map(|r| {
                let own = |code: &Option<u32>| reason_of(slot(code.unwrap_or(0))) == r.reason;
                let mut sums = Sums::default();
                for (_, s) in flows.rows().iter().filter(|(code, _)| own(code)) {
                    sums += *s;
                }
                let name = r.reason.map_or_else(|| "others".into(), |code| live.reasons.name(code).name);
                (name, Row::new(&r.counters, &sums, 0))
            })
            .filter(|(_, row)| row.drops > 0)
            .collect();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.drops));
        let unseen = live.totals.missed;
        let mut total = Row::new(&live.totals.sum(), &flows.total(), live.undecodable);
        total.drops += unseen;
        total.lost += unseen;
        Self { total, elsewhere: live.elsewhere, benign: live.benign() + flows.total().benign, unseen, rows }
    }

    /// Of rows that are known.
    pub fn of_rows(total: Row, rows: Vec<(Arc<str>, Row)>) -> Self {
        Self { total, elsewhere: 0, benign: 0, unseen: 0, rows }
    }

    /// Over all reasons.
    pub fn total(&self) -> Row {
        self.total
    }

    /// By reason, the most frequent first. Drops that the kernel could not tell netdrop of have no reason and are only in the
    /// total; the last row may stand for reasons that have no counter of their own.
    pub fn rows(&self) -> &[(Arc<str>, Row)] {
        &self.rows
    }

    /// Of the hidden drops those that are benign.
    pub fn benign(&self) -> u64 {
        self.benign
    }

    /// Drops that belong to other nodes of this kernel.
    pub fn elsewhere(&self) -> u64 {
        self.elsewhere
    }

    /// The total of a capture that goes on, in a line that adds up: the kernel has counted what is on its way here, too.
    pub fn in_a_line(&self) -> String {
        let Row { drops, shown, aggregated, hidden, lost, other } = self.total;
        let elsewhere = self.elsewhere.min(other);
        // A counter may have been read before another one that it is a part of.
        let drops = drops.max(shown + aggregated + hidden + lost + other);
        let rest = |number: u64, what: &str| {
            if number > 0 { format!(", {number} {what}") } else { String::new() }
        };
        format!(
            "{drops} drops: {shown} shown, {aggregated} aggregated, {hidden} hidden, {lost} lost{}{}",
            rest(elsewhere, "of other nodes"),
            rest(other - elsewhere, "under way")
        )
    }

    /// A table, where there is more than one reason.
    pub fn by_reason(&self) -> Option<String> {
        (self.rows.len() > 1).then(|| table(self.rows.iter().map(|(name, row)| (&**name, *row)))).flatten()
    }
}

/// Rows as a table; with a column for what is in none of the others, where there is any.
pub fn table<'a>(rows: impl Iterator<Item = (&'a str, Row)>) -> Option<String> {
    let rows: Vec<_> = rows.collect();
    let has_others = rows.iter().any(|(_, row)| row.remainder() > 0);
    let mut table = TabWriter::new(Vec::new()).padding(2).alignment(Alignment::Right);
    let title = if has_others { "\tOTHER" } else { "" };
    let _ = writeln!(table, "DROPS\tSHOWN\tAGGREGATED\tHIDDEN\tLOST{title}\t REASON");
    for (name, row) in rows {
        let other = if has_others { format!("\t{}", row.remainder()) } else { String::new() };
        let Row { drops, shown, aggregated, hidden, lost, .. } = row;
        let _ = writeln!(table, "{drops}\t{shown}\t{aggregated}\t{hidden}\t{lost}{other}\t {name}");
    }
    String::from_utf8(table.into_inner().ok()?).ok()
}

impl Row {
    /// What the other columns leave: another node's, after the end, or still under way.
    fn remainder(&self) -> u64 {
        self.drops.saturating_sub(self.shown + self.aggregated + self.hidden + self.lost)
    }

    fn new(kernel: &Counters, here: &Sums, undecodable: u64) -> Self {
        let drops = kernel.seen - kernel.skipped;
        let hidden = kernel.filtered + here.hidden;
        let lost = kernel.lost + here.unnamed + undecodable;
        let (shown, aggregated) = (here.shown, here.aggregated);
        let row = Self { drops, shown, aggregated, hidden, lost, other: 0 };
        Self { other: row.remainder(), ..row }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { drops, shown, aggregated, hidden, lost, other } = self.total;
        let noun = if drops == 1 { "drop" } else { "drops" };
        write!(f, "{drops} {noun}: {shown} shown, {aggregated} aggregated, {hidden} hidden by the filter")?;
        if self.benign > 0 {
            write!(f, " ({} benign)", self.benign)?;
        }
        write!(f, ", {lost} lost")?;
        if self.unseen > 0 {
            // The kernel does not run the program inside itself: an interrupt's drops are counted, whatever they were.
            write!(
                f,
                " ({} of whatever reason and namespace: netdrop's program was busy on their CPU)",
                self.unseen
            )?;
        }
        if self.elsewhere > 0 {
            write!(f, ", {} of other nodes", self.elsewhere)?;
        }
        match other.saturating_sub(self.elsewhere) {
            0 => Ok(()),
            n => write!(f, ", {n} after the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::flow::{DropReason, Flow, Tally, TallyKind, Verdict};
    use crate::kernel::KernelInfo;
    use crate::ledger::Fate;
    use crate::probe::{ReasonCount, Totals};

    fn enter(ledger: &mut Ledger, reason: &DropReason, kind: TallyKind, count: u64, fate: Fate) {
        let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
        flow.reason = Some(reason.clone());
        flow.tally = Tally { kind, count, ..flow.tally };
        ledger.enter(&flow, fate);
    }

    #[test]
    fn a_line_adds_up_while_drops_are_under_way() {
        let row = Row { drops: 100, shown: 40, aggregated: 20, hidden: 5, lost: 1, other: 34 };
        let line = |total, elsewhere| Balance { total, elsewhere, ..Balance::default() }.in_a_line();
        assert_eq!(
            line(row, 4),
            "100 drops: 40 shown, 20 aggregated, 5 hidden, 1 lost, 4 of other nodes, 30 under way"
        );
        assert_eq!(
            line(Row { drops: 66, other: 0, ..row }, 0),
            "66 drops: 40 shown, 20 aggregated, 5 hidden, 1 lost"
        );
        assert_eq!(
            line(Row { drops: 65, other: 0, ..row }, 0),
            "66 drops: 40 shown, 20 aggregated, 5 hidden, 1 lost"
        );
    }

    #[test]
    fn every_reason_adds_up() {
        let reasons = KernelInfo::load().unwrap().reasons;
        let of = |name: &str| reasons.name(reasons.code(name).unwrap());
        let (socket, filter) = (of("NO_SOCKET"), of("NETFILTER_DROP"));
        let count = |code, counters| ReasonCount { reason: Some(code), counters };
        let zero = Counters::default();
        let totals = Totals {
            by_reason: vec![
                count(socket.code, Counters { seen: 14, skipped: 1, filtered: 3, recorded: 10, ..zero }),
                count(
                    filter.code,
                    Counters { seen: 1000, recorded: 100, aggregated: 890, rest: 6, lost: 4, ..zero },
                ),
            ],
            missed: 5,
            runs: None,
        };
        let mut ledger = Ledger::default();
        enter(&mut ledger, &socket, TallyKind::Packet, 10, Fate::Hidden);
        enter(&mut ledger, &filter, TallyKind::Packet, 100, Fate::Shown);
        enter(&mut ledger, &filter, TallyKind::Flow, 890, Fate::Shown);
        enter(&mut ledger, &filter, TallyKind::Rest, 6, Fate::Undecided);
        let hidden = [socket.code].into();
        let live = LiveTally { reasons, totals, elsewhere: 0, undecodable: 0, hidden };
        let balance = Balance::new(&live, &ledger);
        let rows: Vec<_> = balance.rows().iter().map(|(name, row)| (&**name, *row)).collect();
        assert_eq!(
            rows,
            [
                (
                    "NETFILTER_DROP",
                    Row { drops: 1000, shown: 100, aggregated: 890, hidden: 0, lost: 10, other: 0 }
                ),
                ("NO_SOCKET", Row { drops: 13, shown: 0, aggregated: 0, hidden: 13, lost: 0, other: 0 }),
            ]
        );
        assert_eq!(
            balance.to_string(),
            "1018 drops: 100 shown, 890 aggregated, 13 hidden by the filter (3 benign), 15 lost \
             (5 of whatever reason and namespace: netdrop's program was busy on their CPU)"
        );
        assert!(balance.by_reason().unwrap().contains(" 100         890       0    10   NETFILTER_DROP"));
    }

    #[test]
    fn what_is_of_other_nodes_has_a_column() {
        let row = Row { drops: 20, shown: 11, aggregated: 3, hidden: 1, lost: 0, other: 0 };
        let text = table([("all", row), ("NO_SOCKET", Row { drops: 15, ..row })].into_iter()).unwrap();
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>().join(" "),
            "DROPS SHOWN AGGREGATED HIDDEN LOST OTHER REASON 20 11 3 1 0 5 all 15 11 3 1 0 0 NO_SOCKET"
        );
    }
}
