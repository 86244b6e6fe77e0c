//! Blocks in the order they came, bounded by bytes.
//!
//! Each observation of a ring has a number in it, its ordinal; so it can be told exactly how many a reader missed. A block is in memory,
//! on disk, or both; one that is in neither any more is gone, and is passed over as missed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::block::{Block, Meta, Open};
use super::disk::Location;
use crate::flow::Observation;

/// Blocks of a full ring: as many as are turned over one by one.
const BLOCKS: usize = 32;
const SMALLEST: usize = 4 << 10;
const LARGEST: usize = 256 << 10;
/// Kept free for the block that is being written: twice its bytes as vectors grow, a copy for readers, tables of its names. More
/// is taken only where a single record is larger than a block.
const FREE_BLOCKS: usize = 5;
/// Blocks of which it is remembered when they were, after they are gone.
const REMEMBERED: usize = 64;

/// One ring.
#[derive(Debug)]
pub(super) struct Ring {
    slots: VecDeque<Slot>,
    open: Open,
    /// A copy of what the open block holds, as long as that is all.
    copy: Option<Arc<Block>>,
    /// Bytes of whole blocks in memory.
    used: usize,
    /// Bytes kept free for what is not whole yet.
    free: usize,
    asked: usize,
    gone: VecDeque<Gone>,
    /// The first block of all, once it is not remembered any more.
    beginning: Option<Gone>,
    /// What was lost between blocks that are there: an earlier run's disk did not take it, or it is damaged.
    holes: VecDeque<Range<u64>>,
}

/// A whole block.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) meta: Meta,
    memory: Option<Arc<Block>>,
    disk: Option<Location>,
}

/// A block that was.
#[derive(Clone, Copy, Debug)]
struct Gone {
    first_ordinal: u64,
    end_ordinal: u64,
    earliest: i128,
    latest: i128,
}

impl Gone {
    fn of(meta: &Meta) -> Self {
        let Meta { first_ordinal, earliest, latest, .. } = *meta;
        Self { first_ordinal, end_ordinal: meta.end_ordinal(), earliest, latest }
    }
}

/// What a reader finds at its place.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// The block that has it.
    Slot(Slot),
    /// Nothing any more up to there.
    Gone(u64),
    /// Nothing yet.
    End,
}

/// Observations that were there and are not any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many.
    pub count: u64,
    /// When the first was, to the block, or what it was not before. `None`: nothing is known of what was then.
    pub first: Option<Timestamp>,
    /// When the last was, to the block.
    pub last: Option<Timestamp>,
}

impl Missed {
    /// Both together.
    pub(in super::super) fn and(self, other: Self) -> Self {
        let first = match (self.count, other.count) {
            (0, _) => other.first,
            (_, 0) => self.first,
            _ => self.first.zip(other.first).map(|(a, b)| a.min(b)),
        };
        Self { count: self.count + other.count, first, last: self.last.max(other.last) }
    }
}

impl Slot {
    pub(super) fn on_disk(meta: Meta, location: Location) -> Self {
        Self { meta, memory: None, disk: Some(location) }
    }

    fn is_gone(&self) -> bool {
        self.memory.is_none() && self.disk.is_none()
    }

    /// The block; from disk, if it is only there. `None`: it can't be read, which is said in the log.
    pub(super) fn block(&self) -> Option<Arc<Block>> {
        if let Some(block) = &self.memory {
            return Some(Arc::clone(block));
        }
        self.disk.as_ref()?.block(&self.meta).map(Arc::new)
    }
}

impl Ring {
    /// An empty one that takes at most so many bytes of memory.
    pub(super) fn new(asked: usize) -> Self {
        let block = (asked / BLOCKS).clamp(SMALLEST, LARGEST);
        Self {
            slots: VecDeque::new(),
            open: Open::new(block),
            copy: None,
            used: 0,
            free: FREE_BLOCKS * block,
            asked,
            gone: VecDeque::new(),
            beginning: None,
            holes: VecDeque::new(),
        }
    }

    /// Takes over what an earlier run left on disk, from `begin` on. Before anything else.
    pub(super) fn load(&mut self, begin: u64, slots: impl IntoIterator<Item = Slot>) {
        self.open.restart(begin);
        for slot in slots {
            // Nothing is open yet.
            self.skip_to(slot.meta.first_ordinal);
            self.open.restart(slot.meta.end_ordinal());
            self.slots.push_back(slot);
        }
    }

    /// Leaves out what is lost up to an ordinal. What comes back is a block that has become whole.
    pub(super) fn skip_to(&mut self, ordinal: u64) -> Option<Arc<Block>> {
        let end = self.end();
        if ordinal <= end {
            return None;
        }
        let block = self.seal();
        self.holes.push_back(end..ordinal);
        self.open.restart(ordinal);
        block
    }

    /// Appends. What comes back is a block that has become whole.
    pub(super) fn push(&mut self, seq: u64, observation: &Observation) -> Option<Arc<Block>> {
        self.copy = None;
        self.open.push(seq, observation);
        self.open.is_full().then(|| self.seal())?
    }

    /// Ends the open block, if there is anything in it.
    pub(super) fn seal(&mut self) -> Option<Arc<Block>> {
        if self.open.meta().count == 0 {
            return None;
        }
        let block = Arc::new(self.open.block());
        self.copy = None;
        self.open.restart(block.meta.end_ordinal());
        self.used += block.memory();
        self.slots.push_back(Slot { meta: block.meta, memory: Some(Arc::clone(&block)), disk: None });
        self.bound();
        Some(block)
    }

    /// Lets go of the oldest blocks in memory, until the rest is within its bytes.
    pub(super) fn bound(&mut self) {
        let free = self.free.max(self.open.memory() * 2);
        let most = self.asked.saturating_sub(free + self.lists());
        if self.used <= most {
            return;
        }
        let mut used = self.used;
        for slot in &mut self.slots {
            if used <= most {
                break;
            }
            used -= slot.memory.take().map_or(0, |block| block.memory());
        }
        self.used = used;
        self.forget();
    }

    fn forget(&mut self) {
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.is_gone()) {
            self.gone.push_back(Gone::of(&slot.meta));
        }
        while self.gone.len() > REMEMBERED {
            self.beginning = self.beginning.or(self.gone.front().copied());
            self.gone.pop_front();
        }
        if let Some(last) = self.gone.back() {
            while self.holes.pop_front_if(|hole| hole.end <= last.end_ordinal).is_some() {}
        }
    }

    /// A block was written to disk.
    pub(super) fn stored(&mut self, first_ordinal: u64, location: Location) {
        let at = self.slots.partition_point(|slot| slot.meta.first_ordinal < first_ordinal);
        if let Some(slot) = self.slots.get_mut(at).filter(|s| s.meta.first_ordinal == first_ordinal) {
            slot.disk = Some(location);
        }
    }

    /// A file was removed from disk.
    pub(super) fn removed(&mut self, segment: u64) {
        for slot in &mut self.slots {
            if slot.disk.as_ref().is_some_and(|disk| disk.segment() == segment) {
                slot.disk = None;
            }
        }
        self.forget();
    }

    /// Ordinal of the oldest that is there.
    pub(super) fn oldest(&self) -> u64 {
        let first = self.slots.front().map_or(self.open.meta(), |slot| &slot.meta).first_ordinal;
        self.holes.front().map_or(first, |hole| hole.start.min(first))
    }

    /// Ordinal of what comes next.
    pub(super) fn end(&self) -> u64 {
        self.open.meta().end_ordinal()
    }

    /// Ordinal of the first that may be at or after a time.
    pub(super) fn since(&self, time: i128) -> u64 {
        let old = self.slots.iter().take_while(|slot| slot.meta.latest < time);
        old.last().map_or(self.oldest(), |slot| slot.meta.end_ordinal())
    }

    /// What there is at an ordinal.
    pub(super) fn find(&mut self, ordinal: u64) -> Found {
        if ordinal >= self.end() {
            return Found::End;
        }
        if ordinal >= self.open.meta().first_ordinal {
            return Found::Slot(self.open_slot());
        }
        let at = self.slots.partition_point(|slot| slot.meta.end_ordinal() <= ordinal);
        match self.slots.get(at) {
            Some(slot) if slot.is_gone() => Found::Gone(slot.meta.end_ordinal()),
            Some(slot) if slot.meta.first_ordinal <= ordinal => Found::Slot(slot.clone()),
            Some(slot) => Found::Gone(slot.meta.first_ordinal),
            None => Found::Gone(self.open.meta().first_ordinal),
        }
    }

    fn open_slot(&mut self) -> Slot {
        let block = self.copy.get_or_insert_with(|| Arc::new(self.open.block()));
        Slot { meta: block.meta, memory: Some(Arc::clone(block)), disk: None }
    }

    /// All that is there, the oldest first.
    pub(super) fn all(&mut self) -> Vec<Slot> {
        let mut all: Vec<Slot> = self.slots.iter().filter(|slot| !slot.is_gone()).cloned().collect();
        if self.open.meta().count > 0 {
            all.push(self.open_slot());
        }
        all
    }

    /// How many are missing between two ordinals, and when they were. `after`: what the first is not before, where that is known;
    /// whoever was overrun by far asks for more than is remembered.
    pub(super) fn missed(&self, from: u64, to: u64, after: Option<i128>) -> Missed {
        // Those that are gone may be behind one that is still read.
        let known = || self.gone.iter().copied().chain(self.slots.iter().map(|slot| Gone::of(&slot.meta)));
        let gone = || known().filter(|g| g.first_ordinal < to && g.end_ordinal > from);
        let time = |ns: Option<i128>| ns.and_then(|ns| Timestamp::from_nanosecond(ns).ok());
        let first = gone().map(|g| g.earliest).min();
        let remembered = known().next().is_none_or(|g| g.first_ordinal <= from);
        // No later than what came then, where all of it is forgotten, or never was known.
        let open = Some(self.open.meta()).filter(|meta| meta.count > 0).map(Gone::of);
        let then = || known().chain(open).filter(|g| g.first_ordinal >= to).map(|g| g.earliest).min();
        let last = gone().map(|g| g.latest).max().or_else(then);
        // No earlier than what came before, where nothing is known of those that are gone themselves.
        let before = || known().filter(|g| g.end_ordinal <= from).map(|g| g.latest).max();
        let beginning = || self.beginning.filter(|g| g.first_ordinal <= from).map(|g| g.earliest);
        let first = if remembered { first.max(after).or_else(before) } else { after.or_else(beginning) };
        Missed { count: to - from, first: time(first), last: time(last.max(first)) }
    }

    /// How many are lost between what is there.
    pub(super) fn lost(&self) -> u64 {
        self.holes.iter().map(|hole| hole.end - hole.start).sum()
    }

    pub(super) fn counts(&self) -> Counts {
        let metas = || self.slots.iter().filter(|slot| !slot.is_gone()).map(|slot| &slot.meta);
        let open = Some(self.open.meta()).filter(|meta| meta.count > 0);
        let sum = |of: fn(&Meta) -> u32| metas().chain(open).map(|meta| u64::from(of(meta))).sum();
        Counts {
            len: sum(|meta| meta.count),
            flows: sum(|meta| meta.flows),
            in_memory: self
                .slots
                .iter()
                .filter(|slot| slot.memory.is_some())
                .map(|s| u64::from(s.meta.count))
                .sum::<u64>()
                + open.map_or(0, |meta| u64::from(meta.count)),
            used: self.memory(),
            asked: self.asked,
            oldest: metas()
                .chain(open)
                .next()
                .and_then(|meta| Timestamp::from_nanosecond(meta.earliest).ok()),
        }
    }

    /// All that the ring takes.
    pub(super) fn memory(&self) -> usize {
        self.used + self.open.memory() + self.copy.as_ref().map_or(0, |block| block.memory()) + self.lists()
    }

    /// Bytes of what is known of blocks.
    fn lists(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.gone.capacity() * size_of::<Gone>()
    }
}

/// What a ring holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Observations.
    pub len: u64,
    /// Flows among them.
    pub flows: u64,
    /// Observations that are in memory.
    pub in_memory: u64,
    /// Bytes of memory.
    pub used: usize,
    /// Most bytes of memory.
    pub asked: usize,
    /// When the first was.
    pub oldest: Option<Timestamp>,
}

impl Counts {
    /// How many there is room for in memory, by what one took so far.
    pub fn capacity(&self) -> u64 {
        /// Before anything was seen: about what a drop between two pods takes.
        const TYPICAL: u64 = 100;
        let (used, asked) = (self.used as u64, self.asked as u64);
        let estimate = match self.in_memory {
            // A handful says nothing yet of how much names are shared.
            0..1000 => asked / TYPICAL,
            len => u64::try_from(u128::from(asked) * u128::from(len) / u128::from(used.max(1)))
                .unwrap_or(u64::MAX),
        };
        estimate.max(self.len)
    }
}
