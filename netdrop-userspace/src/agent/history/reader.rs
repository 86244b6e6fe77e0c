//! One reader's place in both rings, and its way from there on.
//!
//! What comes out is in the order it came in, drops and other flows merged. Between two steps a reader holds no block: so one that stands
//! still costs nothing but its place.

use std::sync::Arc;

use jiff::Timestamp;

use super::block::{Block, Cursor};
use super::codec::{Dictionary, Stamp};
use super::plan::Memory;
use super::ring::{Found, Missed};
use super::select::{Reading, Selection};
use super::{History, RINGS};
use crate::flow::Observation;

/// Ordinals of what comes next, in each ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position(pub(super) [u64; RINGS]);

/// A place in a ring.
#[derive(Clone, Copy, Debug)]
struct Place {
    ordinal: u64,
    /// Where that is in its block, if it was read before: first ordinal of the block, and the place in it.
    resume: Option<(u64, Cursor)>,
    /// What is there is not from before this time.
    after: Option<i128>,
}

impl Place {
    /// One that was not read yet.
    fn at(ordinal: u64, after: Option<i128>) -> Self {
        Self { ordinal, resume: None, after }
    }
}

/// Blocks that one step may look into: so that one reader who finds nothing in much holds up no other for long.
const MOST_BLOCKS: usize = 32;

/// One reader.
#[derive(Debug)]
pub struct Reader {
    history: Arc<History>,
    places: [Place; RINGS],
    memory: Memory,
    /// Where it ends; `None`: never.
    end: Option<Position>,
}

/// What a reader took.
#[derive(Debug, Default)]
pub struct Chunk {
    /// In order.
    pub items: Vec<Observation>,
    /// What the reader missed before them, in each ring.
    missed: [Option<Missed>; RINGS],
    /// Nothing is left, for now or for good.
    pub at_end: bool,
}

/// A block that is being read.
struct Loaded {
    block: Arc<Block>,
    reading: Reading,
    cursor: Cursor,
    /// Place and number of the next record that may be wanted; the cursor is behind it.
    next: Option<(Cursor, Stamp)>,
}

impl Loaded {
    /// Goes to the next record that may be wanted, before an ordinal.
    fn advance(&mut self, selection: &Selection, end_ordinal: u64, memory: &mut Memory) {
        self.next = None;
        loop {
            let at = self.cursor;
            if self.block.meta.first_ordinal + u64::from(at.index) >= end_ordinal {
                return;
            }
            let Some(record) = self.block.next(&mut self.cursor) else { return };
            if selection.may_want(&record, &self.block, &mut self.reading, memory) {
                self.next = Some((at, record.stamp));
                return;
            }
        }
    }

    fn ordinal(&self) -> u64 {
        self.block.meta.first_ordinal + u64::from(self.place().index)
    }

    fn place(&self) -> Cursor {
        self.next.map_or(self.cursor, |(at, _)| at)
    }

    /// The record that was found.
    fn decode(&mut self) -> Option<Observation> {
        let (mut at, _) = self.next?;
        let record = self.block.next(&mut at)?;
        let names = &mut Dictionary { written: self.block.names(), made: &mut self.reading.made };
        record.decode(self.block.meta.base, names)
    }
}

impl Reader {
    pub(super) fn new(history: &Arc<History>, from: Position, end: Option<Position>) -> Self {
        let place = |ordinal| Place::at(ordinal, None);
        Self { history: Arc::clone(history), places: from.0.map(place), memory: Memory::default(), end }
    }

    /// One of which it is known when the first that it may read was.
    pub(super) fn new_after(history: &Arc<History>, from: Position, after: Option<Timestamp>) -> Self {
        let place = |ordinal| Place::at(ordinal, after.map(Timestamp::as_nanosecond));
        Self { history: Arc::clone(history), places: from.0.map(place), memory: Memory::default(), end: None }
    }

    /// Ends it at a place.
    #[must_use]
    pub(in super::super) fn until(self, end: Position) -> Self {
        Self { end: Some(end), ..self }
    }

    /// Where it is.
    pub fn position(&self) -> Position {
        Position(self.places.map(|place| place.ordinal))
    }

    /// Takes the next observations that are shown, at most `room` of them. May read from disk, and may pass over much: not for a
    /// thread that must not wait.
    pub fn step(&mut self, selection: &Selection, room: usize) -> Chunk {
        let mut chunk = Chunk::default();
        // What comes after this is in the rings once all before it is: without it, a ring that is read to its end could get
        // something older than what the other has.
        let newest = self.history.position();
        let end = self.end.map_or(newest, |end| Position(std::array::from_fn(|r| end.0[r].min(newest.0[r]))));
        let mut loaded: [Option<Loaded>; RINGS] = [const { None }; RINGS];
        let mut blocks = MOST_BLOCKS;
        while chunk.items.len() < room {
            for (ring, loaded) in loaded.iter_mut().enumerate() {
                if !selection.wants_ring(ring) {
                    self.places[ring].ordinal = end.0[ring].max(self.places[ring].ordinal);
                    continue;
                }
                self.load(ring, loaded, selection, end.0[ring], &mut chunk, &mut blocks);
            }
            if blocks == 0 {
                break;
            }
            let next = |l: &Option<Loaded>| l.as_ref().and_then(|l| l.next).map(|(_, stamp)| stamp.seq);
            let first = (0..RINGS).filter_map(|r| Some((next(&loaded[r])?, r))).min();
            let Some((ring, one)) = first.and_then(|(_, ring)| Some((ring, loaded[ring].as_mut()?))) else {
                chunk.at_end = true;
                break;
            };
            match one.decode() {
                Some(observation) => chunk.items.extend(selection.shown(observation)),
                None => chunk.miss(ring, Missed { count: 1, ..Missed::default() }),
            }
            one.next = None;
        }
        for ((place, loaded), end) in self.places.iter_mut().zip(&mut loaded).zip(end.0) {
            if let Some(loaded) = loaded {
                // When what comes next was, for one who never gets it.
                if loaded.next.is_none() {
                    loaded.advance(selection, end, &mut self.memory);
                }
                let at = loaded.place();
                let after = loaded.next.map(|(_, stamp)| stamp.time).or(at.passed()).or(place.after);
                let resume = Some((loaded.block.meta.first_ordinal, at));
                *place = Place { ordinal: loaded.ordinal(), resume, after };
            }
        }
        chunk
    }

    /// Finds the ring's next record that may be wanted, through as many blocks as it takes.
    fn load(
        &mut self,
        ring: usize,
        loaded: &mut Option<Loaded>,
        selection: &Selection,
        end: u64,
        chunk: &mut Chunk,
        blocks: &mut usize,
    ) {
        loop {
            if let Some(one) = loaded {
                if one.next.is_some() {
                    return;
                }
                one.advance(selection, end, &mut self.memory);
                if one.next.is_some() {
                    return;
                }
                // To the end of the block, also where its bytes end too early.
                let block_end = one.block.meta.end_ordinal().min(end);
                let unread = block_end.saturating_sub(one.ordinal());
                if unread > 0 {
                    chunk.miss(ring, Missed { count: unread, ..Missed::default() });
                }
                let (resume, after) = ((one.block.meta.first_ordinal, one.cursor), one.cursor.passed());
                self.places[ring] = Place { ordinal: block_end, resume: Some(resume), after };
                *loaded = None;
            }
            if self.places[ring].ordinal >= end || *blocks == 0 {
                return;
            }
            *blocks -= 1;
            *loaded = self.open(ring, selection, end, chunk);
        }
    }

    /// The block at the place, which moves on where there is none, or none that is wanted.
    fn open(&mut self, ring: usize, selection: &Selection, end: u64, chunk: &mut Chunk) -> Option<Loaded> {
        let place = &mut self.places[ring];
        let slot = match self.history.find(ring, place.ordinal) {
            Found::End => {
                // Not reached: the end was asked for before.
                place.ordinal = end;
                return None;
            }
            Found::Gone(to) => {
                let missed = self.history.missed(ring, place.ordinal, to.min(end), place.after);
                *place = Place::at(to.min(end), missed.last.map(Timestamp::as_nanosecond));
                if !selection.passes_over_times(missed.first, missed.last) {
                    chunk.miss(ring, missed);
                }
                return None;
            }
            Found::Slot(slot) => slot,
        };
        let block_end = slot.meta.end_ordinal().min(end);
        let passed = Place::at(block_end, Some(slot.meta.latest));
        if selection.passes_over(&slot.meta) {
            *place = passed;
            return None;
        }
        let Some(block) = slot.block() else {
            let time = |ns| Timestamp::from_nanosecond(ns).ok();
            let (first, last) = (time(slot.meta.earliest), time(slot.meta.latest));
            chunk.miss(ring, Missed { count: block_end - place.ordinal, first, last });
            *place = passed;
            return None;
        };
        let reading = selection.reading(&block);
        if !reading.verdicts.any() && block.meta.others == 0 {
            *place = passed;
            return None;
        }
        let resume = place.resume.filter(|(first, _)| *first == block.meta.first_ordinal);
        let mut cursor = resume.map_or_else(|| block.start(), |(_, cursor)| cursor);
        while block.meta.first_ordinal + u64::from(cursor.index) < place.ordinal {
            if block.next(&mut cursor).is_none() {
                break;
            }
        }
        Some(Loaded { block, reading, cursor, next: None })
    }
}

impl Chunk {
    /// All that the reader missed before these.
    pub fn missed(&self) -> Option<Missed> {
        self.missed.into_iter().flatten().reduce(Missed::and)
    }

    /// The same for one who wants less than the reader did.
    pub(super) fn missed_by(&self, selection: &Selection) -> Option<Missed> {
        let wanted = (0..RINGS).filter(|ring| selection.wants_ring(*ring));
        wanted.filter_map(|ring| self.missed[ring]).reduce(Missed::and)
    }

    fn miss(&mut self, ring: usize, missed: Missed) {
        self.missed[ring] = Some(self.missed[ring].unwrap_or_default().and(missed));
    }
}
