//! Where the last so many flows that match begin.

use super::block::{Block, Cursor};
use super::codec::{Dictionary, What};
use super::ring::Slot;
use super::select::Selection;
use super::{History, Position, RINGS};
use crate::flow::Observation;

/// A ring's blocks, read from the newest on.
struct Backwards {
    slots: Vec<Slot>,
    /// Numbers of the flows that match in the block that was read last, the newest at the end.
    found: Vec<u64>,
}

impl Backwards {
    /// The next flow back, which stays.
    fn peek(&mut self, selection: &Selection, wanted: &dyn Fn() -> bool) -> Option<u64> {
        while self.found.is_empty() && wanted() {
            self.found = matches(&self.slots.pop()?, selection);
        }
        self.found.last().copied()
    }
}

/// Numbers of a block's flows that match.
fn matches(slot: &Slot, selection: &Selection) -> Vec<u64> {
    let Some(block) = slot.block() else { return Vec::new() };
    let reading = &mut selection.reading(&block);
    if !reading.verdicts.any() {
        return Vec::new();
    }
    let mut cursor = block.start();
    let mut found = Vec::new();
    while let Some(record) = block.next(&mut cursor) {
        if record.tag.what() != Some(What::Flow) || !selection.may_want(&record, &block, reading) {
            continue;
        }
        let mut fits = || {
            let names = &mut Dictionary { written: block.names(), made: &mut reading.made };
            let flow = record.decode(block.meta.base, names);
            matches!(flow, Some(Observation::Flow(flow)) if selection.filter().matches(&flow))
        };
        if selection.filter().is_empty() || fits() {
            found.push(record.stamp.seq);
        }
    }
    found
}

/// Ordinal of the first observation of a ring at or after a number.
fn ordinal_of(seq: u64, slots: &[Slot], end: u64) -> u64 {
    let at = slots.partition_point(|slot| slot.meta.last_seq < seq);
    let Some(slot) = slots.get(at) else { return end };
    let index = slot.block().map_or(0, |block| index_of(seq, &block));
    slot.meta.first_ordinal + u64::from(index)
}

fn index_of(seq: u64, block: &Block) -> u32 {
    let mut cursor = block.start();
    loop {
        let Cursor { index, .. } = cursor;
        match block.next(&mut cursor) {
            Some(record) if record.stamp.seq < seq => {}
            _ => return index,
        }
    }
}

/// Where the last `number` flows that match begin, and where they end. May read from disk, and a filter may be slow: each block is
/// read only if the answer is still `wanted`.
pub(super) fn begin(
    history: &History,
    number: u64,
    selection: &Selection,
    wanted: &dyn Fn() -> bool,
) -> [Position; 2] {
    let (rings, [oldest, end]) = history.snapshot();
    let mut back = rings.clone().map(|slots| Backwards { slots, found: Vec::new() });
    for (ring, back) in back.iter_mut().enumerate() {
        if !selection.wants_ring(ring) {
            back.slots.clear();
        }
    }
    let mut first = None;
    for _ in 0..number {
        let next = (0..RINGS).filter_map(|ring| Some((back[ring].peek(selection, wanted)?, ring))).max();
        let Some((seq, ring)) = next else {
            // All of them, and the losses before.
            first = None;
            break;
        };
        back[ring].found.pop();
        first = Some(seq);
    }
    let start = match first {
        _ if number == 0 => end.0,
        Some(seq) => std::array::from_fn(|ring| ordinal_of(seq, &rings[ring], end.0[ring])),
        None => oldest.0,
    };
    [Position(start), end]
}
