//! Many filters asked at once, at little more than the cost of one.
//!
//! Most of what filters ask depends on one part of a flow only: its reason, an end, a port. For each such part a table remembers which
//! filters are content with which value, as a set of bits. Filters that a flow fits are those that all its values have in common. The
//! sets are made by the filters' own rules, once per value; so there is no second copy of the rules. What no table answers
//! (expressions, patterns of DNS names) is asked of the filters that are left, one by one.

mod key;
mod table;

use std::cell::OnceCell;

use super::Compiled;
use super::cel::Subject;
use super::compile::{Ask, One};
use super::matching;
use crate::convert::{self, Roots};
use crate::flow::Flow;
use key::Part;
use table::Table;

/// Bytes that one table may take; then it begins anew. There are as many tables as there are kinds of parts that are asked for.
const TABLE_BYTES: usize = 512 << 10;

/// Filters, known by the number they were given in.
#[derive(Debug, Default)]
pub struct Index {
    rows: Vec<Row>,
    tables: Vec<Table>,
    /// All rows; then those that are left.
    all: Box<[u64]>,
    left: Vec<u64>,
    /// What of a flow expressions look at.
    roots: Roots,
}

/// One filter of an allow or deny list. Those of one [`Compiled`] lie together, its deny list first.
#[derive(Debug)]
struct Row {
    of: usize,
    deny: bool,
    /// What no table answers.
    asks: Vec<Ask>,
}

impl Index {
    /// Takes filters over. Their numbers are those of their order.
    pub fn new<'a>(filters: impl IntoIterator<Item = &'a Compiled>) -> Self {
        let mut index = Self::default();
        let mut by_part: Vec<(Part, Vec<(usize, Ask)>)> = Vec::new();
        // An empty allow list allows all.
        let all = One::default();
        for (of, filter) in filters.into_iter().enumerate() {
            let deny = filter.deny.iter().map(|one| (one, true));
            let allow = filter.allow.iter().chain(filter.allow.is_empty().then_some(&all));
            for (one, deny) in deny.chain(allow.map(|one| (one, false))) {
                let row = index.rows.len();
                let mut asks = Vec::new();
                for ask in &one.asks {
                    match Part::of(ask) {
                        None => {
                            if let Ask::Expression(wanted) = ask {
                                index.roots = index.roots.and(matching::roots(wanted));
                            }
                            asks.push(ask.clone());
                        }
                        Some(part) => match by_part.iter_mut().find(|(known, _)| *known == part) {
                            Some((_, asked)) => asked.push((row, ask.clone())),
                            None => by_part.push((part, vec![(row, ask.clone())])),
                        },
                    }
                }
                index.rows.push(Row { of, deny, asks });
            }
        }
        index.all = bits(index.rows.len());
        // What most ask for first: it leaves the fewest.
        by_part.sort_by_key(|(_, asked)| std::cmp::Reverse(asked.len()));
        let table = |(part, asked)| Table::new(part, asked, &index.all, TABLE_BYTES);
        index.tables = by_part.into_iter().map(table).collect();
        index
    }

    /// About what its tables take.
    pub fn memory(&self) -> usize {
        self.tables.iter().map(Table::memory).sum()
    }

    /// Numbers of the filters that show a flow, in their order. Exactly those of which [`Compiled::matches`] says so, unless the flow is
    /// a rest, of which that has to be asked.
    pub fn matching(&mut self, flow: &Flow, found: &mut Vec<usize>) {
        found.clear();
        self.left.clear();
        self.left.extend_from_slice(&self.all);
        for table in &mut self.tables {
            let fits = table.fits(flow);
            let mut any = 0;
            for (left, fits) in self.left.iter_mut().zip(fits) {
                *left &= fits;
                any |= *left;
            }
            if any == 0 {
                return;
            }
        }
        let (wire, subject) = (OnceCell::new(), OnceCell::new());
        let made = || convert::flow_to_wire_part(flow, self.roots);
        let mut decided = None;
        for row in set_bits(&self.left) {
            let Row { of, deny, asks } = &self.rows[row];
            if decided == Some(*of)
                || !asks.iter().all(|ask| {
                    fits(ask, flow, || subject.get_or_init(|| Subject::new(wire.get_or_init(made))))
                })
            {
                continue;
            }
            // The first that fits decides: a deny list comes before what it takes from.
            decided = Some(*of);
            if !deny {
                found.push(*of);
            }
        }
    }
}

/// An ask that no table answers. A flow is made ready for expressions at most once.
fn fits<'a: 's, 's>(ask: &Ask, flow: &Flow, subject: impl FnOnce() -> &'s Subject<'a>) -> bool {
    match ask {
        Ask::Expression(wanted) => matching::expression(wanted, subject()),
        // The cheap ones stay as they are.
        ask => ask.fits(flow),
    }
}

/// So many bits, all set.
fn bits(count: usize) -> Box<[u64]> {
    let mut words = vec![u64::MAX; count.div_ceil(64)];
    if let Some(last) = words.last_mut()
        && !count.is_multiple_of(64)
    {
        *last = (1 << (count % 64)) - 1;
    }
    words.into_boxed_slice()
}

/// Numbers of the bits that are set.
fn set_bits(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut word = *word;
        std::iter::from_fn(move || {
            let bit = word.trailing_zeros() as usize;
            word &= word.wrapping_sub(1);
            (bit < 64).then_some(at * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_as_they_are_set() {
        for count in [0, 1, 63, 64, 65, 200] {
            let all: Vec<usize> = set_bits(&bits(count)).collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(set_bits(&[0b101, 0, 1 << 63]).collect::<Vec<_>>(), [0, 2, 191]);
    }
}
