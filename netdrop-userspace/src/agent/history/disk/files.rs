//! The files of a ring as they are written, and what is written there.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::block::{Block, Open};
use super::RING_NAMES;
use super::load::LoadedRing;
use super::segment::{HEADER, Location, Mark, Segment};
use crate::flow::Observation;

/// Segments of a full folder: as much as is removed at once.
const SEGMENTS: u64 = 32;

/// What just came, one after the other in its ring, with its numbers over all rings.
#[derive(Debug)]
pub(in super::super) struct Fresh {
    first_ordinal: u64,
    pub(super) items: Vec<(u64, Arc<Observation>)>,
}

impl Fresh {
    pub(in super::super) const fn new() -> Self {
        Self { first_ordinal: 0, items: Vec::new() }
    }

    /// Appends what has the ordinal after the last.
    pub(in super::super) fn add(&mut self, ordinal: u64, seq: u64, observation: Arc<Observation>) {
        if self.items.is_empty() {
            self.first_ordinal = ordinal;
        }
        self.items.push((seq, observation));
    }

    fn block(&self) -> Block {
        let mut open = Open::new(4 << 10);
        open.restart(self.first_ordinal);
        for (seq, observation) in &self.items {
            open.push(*seq, observation);
        }
        open.block()
    }
}

/// What an earlier run's tail held: blocks that have become whole since, and the rest.
#[derive(Debug)]
pub(in super::super) struct Unwritten {
    pub(super) whole: Vec<Arc<Block>>,
    pub(in super::super) rest: Fresh,
}

impl Unwritten {
    pub(in super::super) const fn new() -> Self {
        Self { whole: Vec::new(), rest: Fresh::new() }
    }

    /// A block that has all of the rest.
    pub(in super::super) fn whole(&mut self, block: Option<Arc<Block>>) {
        if let Some(block) = block {
            self.whole.push(block);
            self.rest = Fresh::new();
        }
    }
}

/// A segment that is there.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) segment: Arc<Segment>,
    pub(super) bytes: u64,
    /// Number in the ring of what comes after it.
    pub(super) end_ordinal: u64,
}

/// Files of a ring.
pub(super) struct Files {
    pub(super) ring: usize,
    pub(super) folder: PathBuf,
    segments: VecDeque<Stored>,
    /// Whether the last segment is this run's: an earlier one's is never appended to.
    begun: bool,
    tail: Arc<Segment>,
    pub(super) tail_bytes: u64,
    mark: Mark,
    /// Bytes that they may take.
    pub(super) most: u64,
}

impl Files {
    pub(super) fn new(ring: usize, loaded: LoadedRing, most: u64, folder: PathBuf) -> Self {
        let LoadedRing { begin, end, end_seq, segments, tail, tail_bytes, .. } = loaded;
        let mark = Mark { begin_ordinal: begin, end_ordinal: end, end_seq };
        let files = Self { ring, folder, segments, begun: false, tail, tail_bytes, mark, most };
        files.put_mark();
        files
    }

    pub(super) fn bytes(&self) -> u64 {
        self.tail_bytes + self.segments.iter().map(|stored| stored.bytes).sum::<u64>()
    }

    /// A disk that does not even take what is written in place has said so already, or will.
    fn put_mark(&self) {
        drop(self.tail.put_mark(&self.mark));
    }

    /// Notes that a block could not be written.
    fn lacks(&mut self, block: &Block) {
        self.mark.end_ordinal = self.mark.end_ordinal.max(block.meta.end_ordinal());
        self.mark.end_seq = self.mark.end_seq.max(block.meta.last_seq + 1);
        self.put_mark();
    }

    /// The segment that takes a block.
    fn segment(&mut self, first_seq: u64) -> io::Result<&mut Stored> {
        let full = self.segments.back().is_none_or(|stored| stored.bytes >= self.most / SEGMENTS);
        if full || !self.begun {
            let path = self.folder.join(format!("{}-{first_seq:020}.seg", RING_NAMES[self.ring]));
            let segment = Segment::create(path.clone(), self.ring, first_seq)
                .inspect_err(|_| drop(fs::remove_file(&path)))?;
            self.segments.push_back(Stored { segment: Arc::new(segment), bytes: HEADER, end_ordinal: 0 });
            self.begun = true;
        }
        self.segments.back_mut().ok_or_else(|| io::Error::other("no segment"))
    }

    pub(super) fn put(&mut self, block: &Block, scratch: &mut Vec<u8>) -> io::Result<Location> {
        let stored = self.segment(block.meta.first_seq)?;
        let offset = stored.bytes;
        stored.bytes += stored.segment.append(offset, block, scratch)?;
        stored.end_ordinal = block.meta.end_ordinal();
        Ok(Location { segment: Arc::clone(&stored.segment), offset })
    }

    pub(super) fn put_whole(&mut self, block: &Block, scratch: &mut Vec<u8>) -> io::Result<Location> {
        let location = self.put(block, scratch).inspect_err(|_| self.lacks(block))?;
        // All of it was in this block or before.
        self.tail.file.set_len(HEADER)?;
        self.tail_bytes = HEADER;
        Ok(location)
    }

    pub(super) fn put_fresh(&mut self, fresh: &Fresh, scratch: &mut Vec<u8>) -> io::Result<()> {
        let block = fresh.block();
        let written = self.tail.append(self.tail_bytes, &block, scratch);
        self.tail_bytes += written.inspect_err(|_| self.lacks(&block))?;
        Ok(())
    }

    /// A tail that has only these, in place of the one that is there.
    pub(super) fn renew_tail(&mut self, rest: &Fresh, scratch: &mut Vec<u8>) -> io::Result<()> {
        let path = self.tail.path.with_extension("tail.new");
        let mut tail = Segment::create(path.clone(), self.ring, 0)?;
        tail.put_mark(&self.mark)?;
        let mut bytes = HEADER;
        if !rest.items.is_empty() {
            bytes += tail.append(bytes, &rest.block(), scratch)?;
        }
        fs::rename(&path, &self.tail.path)?;
        tail.path.clone_from(&self.tail.path);
        (self.tail, self.tail_bytes) = (Arc::new(tail), bytes);
        Ok(())
    }

    /// Takes the oldest segment off, if there is too much.
    pub(super) fn take_oldest(&mut self) -> Option<Arc<Segment>> {
        if self.bytes() <= self.most || self.segments.len() <= usize::from(self.begun) {
            return None;
        }
        let Stored { segment, end_ordinal, .. } = self.segments.pop_front()?;
        // Before the file goes: what was removed is not missing.
        self.mark.begin_ordinal = self.mark.begin_ordinal.max(end_ordinal);
        self.put_mark();
        Some(segment)
    }
}
