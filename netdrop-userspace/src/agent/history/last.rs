//! Where the last so many flows that match begin.

use super::block::{Block, Cursor};
use super::codec::{Dictionary, What};
use super::plan::Memory;
use super::ring::Slot;
use super::select::Selection;
use super::{History, Position, RINGS};
use crate::flow::Observation;

/// A ring's blocks, read from the newest on.
#[derive(Default)]
struct Backwards {
    slots: Vec<Slot>,
    /// Numbers of the flows that match in the block that was read last, the newest at the end.
    found: Vec<u64>,
    memory: Memory,
    /// Number of the first, of those that were passed, that is shown whatever the filter asks: losses, and what can't be read.
    other: Option<u64>,
}

impl Backwards {
    /// The next flow back, which stays.
    fn peek(&mut self, selection: &Selection, wanted: &dyn Fn() -> bool) -> Option<u64> {
        while self.found.is_empty() && wanted() {
            let slot = self.slots.pop()?;
            self.read(&slot, selection);
        }
        self.found.last().copied()
    }

    /// Finds a block's flows that match.
    fn read(&mut self, slot: &Slot, selection: &Selection) {
        let Some(block) = slot.block() else {
            self.other = Some(slot.meta.first_seq);
            return;
        };
        let reading = &mut selection.reading(&block);
        if !reading.verdicts.any() && block.meta.others == 0 {
            return;
        }
        let mut cursor = block.start();
        // Blocks come from the newest on, records from the oldest.
        let mut first = None;
        while let Some(record) = block.next(&mut cursor) {
            let is_flow = record.tag.what() == Some(What::Flow);
            if !is_flow || record.tag.is_rest() {
                first.get_or_insert(record.stamp.seq);
            }
            if !is_flow || !selection.may_want(&record, &block, reading, &mut self.memory) {
                continue;
            }
            let mut fits = || {
                let names = &mut Dictionary { written: block.names(), made: &mut reading.made };
                let flow = record.decode(block.meta.base, names);
                matches!(flow, Some(Observation::Flow(flow)) if selection.filter().matches(&flow))
            };
            if selection.filter().is_empty() || fits() {
                self.found.push(record.stamp.seq);
            }
        }
        // What is left of a block that ends too early.
        let torn = (cursor.index < block.meta.count).then_some(block.meta.first_seq);
        self.other = torn.or(first).or(self.other);
    }
}

/// Whether nothing is missing from an ordinal to the end.
fn is_whole(slots: &[Slot], oldest: u64, end: u64) -> bool {
    let whole = slots
        .iter()
        .try_fold(oldest, |at, slot| (slot.meta.first_ordinal == at).then_some(slot.meta.end_ordinal()));
    whole == Some(end)
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
    let mut back = rings.clone().map(|slots| Backwards {
        slots,
        found: Vec::new(),
        memory: Memory::default(),
        other: None,
    });
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
            if (0..RINGS).any(|ring| !is_whole(&rings[ring], oldest.0[ring], end.0[ring])) {
                return [oldest, end];
            }
            first = back.iter().filter_map(|ring| ring.other).chain(first).min();
            break;
        };
        back[ring].found.pop();
        first = Some(seq);
    }
    let start = match first {
        Some(seq) => std::array::from_fn(|ring| ordinal_of(seq, &rings[ring], end.0[ring])),
        None => end.0,
    };
    [Position(start), end]
}
