//! What was observed of late, in memory and on disk, for any number of readers.
//!
//! A ring of drops and one of other flows, so that forwarded traffic never pushes drops out, and a small one of benign drops, which only
//! those see who ask. All are bounded by bytes and hold
//! observations encoded ([`codec`]), in blocks ([`block`]) that bring their names along. The writer never waits for readers; each of
//! them keeps its own place, and one that was overrun learns how many it missed.

mod block;
mod bloom;
mod codec;
mod disk;
mod last;
mod live;
mod plan;
mod rate;
mod reader;
mod ring;
mod select;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::flow::{Observation, Verdict};
use disk::{Fresh, Location, Tailed, Unwritten, Writer};
use live::{BATCH, Batch, Live};
use rate::Rate;
use ring::{Found, Ring, Slot};

pub(super) use codec::time_of;
pub(crate) use disk::lock::take as take_folder;
pub use disk::{DiskStatus, HistoryDisk};
pub(super) use live::{Fed, Feed, Item, Wanted};
pub use reader::{Chunk, Position, Reader};
pub use ring::{Counts, Missed};
pub use select::Selection;

/// Drops with all that concerns them, other flows, and benign drops for those who ask.
const RINGS: usize = 3;
/// A disk that does not take the last blocks by then is left behind.
const FAREWELL: Duration = Duration::from_millis(500);
const DROPS: usize = 0;
const FLOWS: usize = 1;
const BENIGN: usize = 2;
/// Of the bytes for drops, the part for benign ones: noise must not push out what somebody looks for.
const BENIGN_PART: usize = 8;

/// How much to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySize {
    /// Bytes of memory for drops.
    pub drops: usize,
    /// Bytes of memory for other flows.
    pub flows: usize,
}

/// Ring buffers of observations.
#[derive(Debug)]
pub struct History {
    inner: Mutex<Inner>,
    live: Arc<Live>,
    started: Instant,
    writer: OnceLock<Writer>,
}

#[derive(Debug)]
struct Inner {
    rings: [Ring; RINGS],
    next_seq: u64,
    seen: u64,
    rate: Rate,
}

/// Numbers for ServerStatus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryStatus {
    /// Drops, losses and states.
    pub drops: Counts,
    /// Other flows.
    pub flows: Counts,
    /// Benign drops.
    pub benign: Counts,
    /// `None`: in memory only.
    pub disk: Option<DiskStatus>,
    /// Flows ever seen, but for benign ones.
    pub seen: u64,
    /// Since the start.
    pub uptime: Duration,
    /// Flows a second, over the last minute.
    pub rate: f64,
}

fn ring_of(observation: &Observation) -> usize {
    match observation {
        Observation::Flow(flow) if flow.benign => BENIGN,
        Observation::Flow(flow) if flow.verdict != Verdict::Dropped => FLOWS,
        _ => DROPS,
    }
}

impl Inner {
    fn position(&self) -> Position {
        Position(std::array::from_fn(|ring| self.rings[ring].end()))
    }

    /// What is about to be pushed, with where it will be.
    fn batches(&self, items: &[Arc<Observation>]) -> Vec<Batch> {
        let mut place = self.place();
        let batch = |items: &[Arc<Observation>]| {
            let start = place;
            for item in items {
                place.seq += 1;
                place.position.0[ring_of(item)] += 1;
            }
            Batch { start, items: items.to_vec() }
        };
        items.chunks(BATCH).map(batch).collect()
    }
}

impl History {
    /// An empty one, in memory only.
    pub fn new(size: HistorySize) -> Self {
        let benign = size.drops / BENIGN_PART;
        let rings = [size.drops - benign, size.flows, benign].map(Ring::new);
        Self {
            inner: Mutex::new(Inner { rings, next_seq: 0, seen: 0, rate: Rate::default() }),
            live: Arc::default(),
            started: Instant::now(),
            writer: OnceLock::new(),
        }
    }

    /// One that goes on from what is on disk, and is written there. An error is one that a person must mend.
    pub fn on_disk(size: HistorySize, disk: &HistoryDisk) -> anyhow::Result<Arc<Self>> {
        let history = Arc::new(Self::new(size));
        let mut loaded = disk::load(disk)?;
        let mut unwritten = [const { Unwritten::new() }; RINGS];
        {
            let inner = &mut *history.lock();
            for ((ring, files), unwritten) in
                inner.rings.iter_mut().zip(&mut loaded.rings).zip(&mut unwritten)
            {
                inner.next_seq = inner.next_seq.max(files.end_seq);
                ring.load(files.begin, std::mem::take(&mut files.slots));
                for Tailed { ordinal, seq, observation } in std::mem::take(&mut files.fresh) {
                    unwritten.whole(ring.skip_to(ordinal));
                    let whole = ring.push(seq, &observation);
                    unwritten.rest.add(ordinal, seq, observation);
                    unwritten.whole(whole);
                }
                unwritten.whole(ring.skip_to(files.end));
            }
            let lost: u64 = inner.rings.iter().map(Ring::lost).sum();
            if lost > 0 {
                let folder = disk.folder.display();
                tracing::warn!(%folder, lost, "observations are missing in the history on disk: an earlier run could not write them, or they are damaged; whoever reads past them is told");
            }
        }
        let writer = Writer::start(disk, loaded, unwritten, Arc::downgrade(&history))
            .context("cannot start the thread that writes the history")?;
        // Set once: here.
        drop(history.writer.set(writer));
        Ok(history)
    }

    /// Waits for the disk, but not for long.
    pub fn finish(&self) {
        self.finish_within(FAREWELL);
    }

    fn finish_within(&self, patience: Duration) {
        let Some(writer) = self.writer.get() else { return };
        if writer.has_left() {
            (0..RINGS).for_each(|ring| self.seal(ring));
        }
        writer.finish(patience);
    }

    /// A panic elsewhere leaves the rings whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends, and hands over to whoever deals out to followers.
    pub fn push(&self, mut items: Vec<Arc<Observation>>) {
        // Records of several CPUs that came at once.
        items.sort_by_key(|item| codec::time_of(item));
        {
            let inner = &mut *self.lock();
            let counts = |o: &&Arc<Observation>| matches!(&***o, Observation::Flow(flow) if !flow.benign);
            let flows = items.iter().filter(counts).count() as u64;
            inner.seen += flows;
            inner.rate.add(self.started.elapsed(), flows);
            let writer = self.writer.get();
            let mut fresh = [const { Fresh::new() }; RINGS];
            if self.live.backlog.is_active() {
                self.live.backlog.offer(inner.batches(&items));
            }
            for item in items {
                let (ring, seq) = (ring_of(&item), inner.next_seq);
                let ordinal = inner.rings[ring].end();
                let whole = inner.rings[ring].push(seq, &item);
                inner.next_seq += 1;
                if let Some(writer) = writer {
                    fresh[ring].add(ordinal, seq, item);
                    if let Some(block) = whole {
                        fresh[ring] = Fresh::new();
                        writer.whole(ring, block);
                    }
                }
            }
            inner.rings.iter_mut().for_each(Ring::bound);
            if let Some(writer) = writer {
                // In the order of the lock: what is fresh comes after the block before it.
                fresh.into_iter().enumerate().for_each(|(ring, fresh)| writer.fresh(ring, fresh));
            }
        }
    }

    /// Numbers for ServerStatus.
    pub fn status(&self) -> HistoryStatus {
        let uptime = self.started.elapsed();
        let inner = self.lock();
        let [drops, flows, benign] = std::array::from_fn(|ring| inner.rings[ring].counts());
        let lost = inner.rings.iter().map(Ring::lost).sum();
        let disk = self.writer.get().map(|writer| DiskStatus { lost, ..writer.usage().get() });
        HistoryStatus {
            drops,
            flows,
            benign,
            disk,
            seen: inner.seen,
            uptime,
            rate: inner.rate.per_second(uptime),
        }
    }

    /// Where what comes next will be.
    pub fn position(&self) -> Position {
        self.lock().position()
    }

    /// Where all that is kept begins, but for blocks that end before `since`.
    pub fn oldest(&self, since: Option<Timestamp>) -> Position {
        let inner = self.lock();
        let of = |ring: &Ring| since.map_or(ring.oldest(), |time| ring.since(time.as_nanosecond()));
        Position(std::array::from_fn(|ring| of(&inner.rings[ring])))
    }

    /// Where the last `number` flows that are selected begin; what does not match is not counted. Then where they end, as long as
    /// nothing more comes. Reads from disk what is only there. Once it is no longer `wanted`, it ends with whatever it has.
    pub fn last(&self, number: u64, selection: &Selection, wanted: &dyn Fn() -> bool) -> [Position; 2] {
        last::begin(self, number, selection, wanted)
    }

    /// A reader between two places; without an end it reads what comes, too.
    pub fn reader(self: &Arc<Self>, from: Position, end: Option<Position>) -> Reader {
        Reader::new(self, from, end)
    }

    /// A reader of all from a place on, of which it is known that it is not from before a time.
    pub(super) fn reader_after(self: &Arc<Self>, from: Position, after: Option<Timestamp>) -> Reader {
        Reader::new_after(self, from, after)
    }

    /// Ends a ring's open block before it is full.
    fn seal(&self, ring: usize) {
        let mut inner = self.lock();
        if let (Some(block), Some(writer)) = (inner.rings[ring].seal(), self.writer.get()) {
            // Still locked, so that blocks are written in their order.
            writer.whole(ring, block);
        }
    }

    fn stored(&self, ring: usize, first_ordinal: u64, location: Location) {
        self.lock().rings[ring].stored(first_ordinal, location);
    }

    fn removed(&self, ring: usize, segment: u64) {
        self.lock().rings[ring].removed(segment);
    }

    fn find(&self, ring: usize, ordinal: u64) -> Found {
        self.lock().rings[ring].find(ordinal)
    }

    fn missed(&self, ring: usize, from: u64, to: u64, after: Option<i128>) -> Missed {
        self.lock().rings[ring].missed(from, to, after)
    }

    /// All blocks, the oldest first, and where all that is known begins and ends.
    fn snapshot(&self) -> ([Vec<Slot>; RINGS], [Position; 2]) {
        let mut inner = self.lock();
        let oldest = Position(std::array::from_fn(|ring| inner.rings[ring].oldest()));
        let end = inner.position();
        (std::array::from_fn(|ring| inner.rings[ring].all()), [oldest, end])
    }
}

#[cfg(test)]
mod tests;
