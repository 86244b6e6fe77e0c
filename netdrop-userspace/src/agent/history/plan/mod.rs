//! Which blocks and records a filter can match, without decoding them.
//!
//! A plan lets pass what the filter matches, and perhaps more; the filter itself decides. It is the filter as a tree of questions about one
//! part of a flow each ([`crate::filter::Tree`]). What is asked of fields of few values is answered once for each likeness of a
//! block, what is asked of names once for each name, by the filter's own rules, on a flow that has nothing else; addresses and ports are
//! compared where they lie in a record. An expression is asked once about each address, each header and each pair of names
//! ([`Memory`]). What can't be told is unknown, and unknown passes.

mod memory;
mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::block::Block;
use super::codec::{Dictionary, Glance, Kind, Layout, Name, Record, blank, likeness_of};
use crate::filter::{Answer, Compiled, Leaf, Part, Rule, Side, Tree};
use crate::flow::Flow;
use crate::proto::flow as wire;
pub(super) use memory::Memory;
use memory::{Pair, Remembered};
use record::Seen;

/// Questions that are planned for: a bit each. Beyond, each record is decoded.
const MOST_LEAVES: usize = 128;

/// What a list of filters asks for. `None`: nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan(Option<Asked>);

#[derive(Clone, Debug)]
struct Asked {
    /// No other plan has it.
    id: u64,
    tree: Tree,
    leaves: Vec<Leaf>,
    /// Ports of which a flow that fits a question has one.
    ports: Vec<Option<Vec<u16>>>,
}

/// What is known of the answers: a bit for each question. With neither bit it is unknown.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    yes: u128,
    no: u128,
}

impl Told {
    fn set(&mut self, leaf: usize, answer: Answer) {
        match answer {
            Answer::Yes => self.yes |= 1 << leaf,
            Answer::No => self.no |= 1 << leaf,
            Answer::Unknown => {}
        }
    }

    /// With what is known besides.
    fn and(self, other: Self) -> Self {
        Self { yes: self.yes | other.yes, no: self.no | other.no }
    }

    fn get(self, leaf: usize) -> Answer {
        match (self.yes >> leaf & 1, self.no >> leaf & 1) {
            (1, _) => Answer::Yes,
            (_, 1) => Answer::No,
            _ => Answer::Unknown,
        }
    }
}

/// What is known of records that are alike.
#[derive(Clone, Debug)]
struct Alike {
    layout: Layout,
    told: Told,
    /// What follows from that alone.
    answer: Answer,
}

/// What is known of a block that is read: by the numbers of its names; the last stands for none.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    any: bool,
    /// Of all that is in it.
    all: Told,
    likenesses: Vec<Option<Alike>>,
    named: Named,
}

/// What is known of names that are no likenesses.
#[derive(Debug, Default)]
struct Named {
    ends: [Vec<Option<Told>>; 2],
    processes: Vec<Option<Told>>,
    /// Of questions about both ends, or an end and more.
    pairs: Remembered<Pair>,
    /// Filled with what an expression looks at in a record.
    scratch: Box<wire::Flow>,
}

impl Verdicts {
    /// Whether there is anything in the block that can match.
    pub(super) fn any(&self) -> bool {
        self.any
    }
}

fn index(side: Side) -> usize {
    side.of(0, 1)
}

impl Plan {
    pub(super) fn new(filter: &Compiled) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if filter.is_empty() {
            return Self(None);
        }
        let (tree, leaves) = filter.tree();
        if leaves.len() > MOST_LEAVES {
            return Self(None);
        }
        let ports = leaves.iter().map(|leaf| leaf.rule.ports()).collect();
        Self(Some(Asked { id: NEXT.fetch_add(1, Ordering::Relaxed), tree, leaves, ports }))
    }

    pub(super) fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// What can be said of a block before its records are read.
    pub(super) fn verdicts(&self, block: &Block, made: &mut Vec<Option<Name>>) -> Verdicts {
        let Some(asked) = &self.0 else { return Verdicts { any: true, ..Verdicts::default() } };
        let names = &mut Dictionary { written: block.names(), made };
        // One more than there are names: what has none.
        let unknown = |part: Part| {
            let asks = asked.leaves.iter().any(|leaf| leaf.part == part);
            vec![None; if asks { names.written.len() + 1 } else { 0 }]
        };
        let named = Named {
            ends: [Side::Source, Side::Destination].map(|side| unknown(Part::End(side))),
            processes: unknown(Part::Process),
            pairs: Remembered::default(),
            scratch: Box::default(),
        };
        let likenesses = vec![None; names.written.len()];
        let mut known = Verdicts { any: false, all: Told::default(), likenesses, named };
        known.any = asked.may_be_in(block, names, &mut known);
        known
    }

    /// Whether a flow's record can match. What can't be read is decided on by whoever decodes it.
    pub(super) fn may_match(
        &self,
        record: &Record<'_>,
        names: &mut Dictionary<'_>,
        known: &mut Verdicts,
        memory: &mut Memory,
    ) -> bool {
        let Some(asked) = &self.0 else { return true };
        let mut body = record.body;
        let Some(id) = likeness_of(&mut body) else { return true };
        let Verdicts { all, likenesses, named, .. } = known;
        let Some(alike) = asked.alike(id, names, *all, likenesses) else { return true };
        match alike.answer {
            Answer::No => false,
            Answer::Yes => true,
            Answer::Unknown => Glance::of(body, &alike.layout).is_none_or(|glance| {
                let mut seen = Seen::new(
                    (glance, record.stamp.time),
                    id,
                    &alike.told,
                    names,
                    named,
                    memory.of(asked.id),
                );
                asked.tree.answer(&mut |leaf| asked.answer(leaf, &mut seen)) != Answer::No
            }),
        }
    }
}

impl Asked {
    /// Answers to the questions about one part.
    fn told(&self, part: Part, flow: &Flow) -> Told {
        let mut told = Told::default();
        for (number, leaf) in self.leaves.iter().enumerate().filter(|(_, leaf)| leaf.part == part) {
            if let Rule::Other(rule) = &leaf.rule {
                told.set(number, rule.answer(flow));
            }
        }
        told
    }

    /// `None`: no such name, or none that makes sense.
    fn alike<'a>(
        &self,
        id: usize,
        names: &mut Dictionary<'_>,
        all: Told,
        known: &'a mut [Option<Alike>],
    ) -> Option<&'a Alike> {
        let slot = known.get_mut(id)?;
        if slot.is_none() {
            let likeness = Arc::clone(names.likeness(id)?);
            let flow = likeness.flow(names)?;
            let mut told = self.told(Part::Likeness, &flow).and(all);
            if likeness.shape().tells_summary() {
                told = told.and(self.told(Part::Summary, &flow));
            }
            let answer = self.tree.answer(&mut |leaf| told.get(leaf));
            *slot = Some(Alike { layout: likeness.shape().layout(), told, answer });
        }
        slot.as_ref()
    }

    /// Whether one of the block's likenesses can match, with any of its names, and addresses and ports that it may have.
    fn may_be_in(&self, block: &Block, names: &mut Dictionary<'_>, known: &mut Verdicts) -> bool {
        let Verdicts { all, likenesses, named, .. } = known;
        *all = self.absent(block);
        for side in [Side::Source, Side::Destination] {
            let part = Part::End(side);
            *all = all
                .and(self.of_all(Kind::Endpoint, part, names, |id, names| self.end(id, side, names, named)));
        }
        *all = all.and(
            self.of_all(Kind::Process, Part::Process, names, |id, names| self.process(id, names, named)),
        );
        (0..names.written.len()).any(|id| match names.written.kind(id) {
            Some(Kind::Likeness) => {
                self.alike(id, names, *all, likenesses).is_none_or(|alike| alike.answer != Answer::No)
            }
            Some(_) => false,
            None => true,
        })
    }

    /// What asks for addresses or ports that the block has not.
    fn absent(&self, block: &Block) -> Told {
        let mut told = Told::default();
        for (number, (leaf, ports)) in self.leaves.iter().zip(&self.ports).enumerate() {
            let summary = &block.summary;
            let may_be = match (&leaf.rule, ports) {
                (Rule::Prefixes(_, all), _) => {
                    all.iter().any(|one| one.exact.is_none_or(|address| summary.addresses.may_have(address)))
                }
                (_, Some(ports)) => ports.iter().any(|port| summary.ports.may_have(*port)),
                _ => true,
            };
            if !may_be {
                told.set(number, Answer::No);
            }
        }
        told
    }

    /// What all names of a kind say, and what has none does.
    fn of_all(
        &self,
        kind: Kind,
        part: Part,
        names: &mut Dictionary<'_>,
        mut tell: impl FnMut(usize, &mut Dictionary<'_>) -> Told,
    ) -> Told {
        if self.leaves.iter().all(|leaf| leaf.part != part) {
            return Told::default();
        }
        let none = names.written.len();
        let mut all = tell(none, names);
        for id in 0..none {
            // They differ in all that is asked.
            if all.yes | all.no == 0 {
                break;
            }
            if names.written.kind(id) == Some(kind) {
                let told = tell(id, names);
                all = Told { yes: all.yes & told.yes, no: all.no & told.no };
            }
        }
        all
    }

    fn end(&self, id: usize, side: Side, names: &mut Dictionary<'_>, known: &mut Named) -> Told {
        let none = names.written.len();
        let Some(slot) = known.ends[index(side)].get_mut(id) else { return Told::default() };
        *slot.get_or_insert_with(|| {
            let mut flow = blank();
            let end = match side {
                Side::Source => &mut flow.source,
                Side::Destination => &mut flow.destination,
            };
            match names.get(id) {
                Some(Name::Endpoint(info)) => end.info = Some(Arc::clone(info)),
                _ if id == none => {}
                _ => return Told::default(),
            }
            self.told(Part::End(side), &flow)
        })
    }

    fn process(&self, id: usize, names: &mut Dictionary<'_>, known: &mut Named) -> Told {
        let none = names.written.len();
        let Some(slot) = known.processes.get_mut(id) else { return Told::default() };
        *slot.get_or_insert_with(|| {
            let mut flow = blank();
            match names.get(id) {
                Some(Name::Process(process)) => flow.process = Some(process.clone()),
                _ if id == none => {}
                _ => return Told::default(),
            }
            self.told(Part::Process, &flow)
        })
    }
}
