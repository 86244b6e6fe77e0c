//! Observations by the thousand, with their names: what is kept, turned over and written to disk as one.

use std::net::IpAddr;

use super::bloom::Bloom;
use super::codec::{self, Base, Bytes, Names, Record, Stamp, Written, put_number, time_of};
use crate::flow::{L4, Observation, TallyKind};

/// What is known of a block without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Number of its first observation in its ring.
    pub(super) first_ordinal: u64,
    /// Observations.
    pub(super) count: u32,
    /// Flows among them.
    pub(super) flows: u32,
    /// What every query gets to see: losses, states, rests.
    pub(super) others: u32,
    /// What its times are counted from.
    pub(super) base: Base,
    /// Number over both rings of its first observation.
    pub(super) first_seq: u64,
    /// Of its last.
    pub(super) last_seq: u64,
    /// Earliest wall time, ns since 1970. Times mostly grow, but nobody promises it.
    pub(super) earliest: i128,
    /// Latest.
    pub(super) latest: i128,
}

impl Meta {
    /// Number in its ring of what comes after it.
    pub(super) fn end_ordinal(&self) -> u64 {
        self.first_ordinal + u64::from(self.count)
    }
}

/// Addresses and ports of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) addresses: Bloom,
    pub(super) ports: Bloom,
}

/// A block that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) meta: Meta,
    pub(super) summary: Summary,
    /// Names, where each begins, records.
    bytes: Box<[u8]>,
    offsets_at: usize,
    records_at: usize,
}

/// A place in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Records before it.
    pub(super) index: u32,
    /// Bytes of records before it: the same in a block that has grown since.
    at: usize,
    before: Stamp,
}

impl Cursor {
    /// When the record before it was, if there is one.
    pub(super) fn passed(&self) -> Option<i128> {
        (self.index > 0).then_some(self.before.time)
    }
}

impl Block {
    pub(super) fn memory(&self) -> usize {
        let words = self.summary.addresses.words().len() + self.summary.ports.words().len();
        size_of::<Self>() + self.bytes.len() + words * size_of::<u64>()
    }

    pub(super) fn names(&self) -> Written<'_> {
        Written {
            bytes: &self.bytes[..self.offsets_at],
            offsets: &self.bytes[self.offsets_at..self.records_at],
        }
    }

    pub(super) fn start(&self) -> Cursor {
        let before = Stamp { seq: self.meta.first_seq, time: self.meta.base.time };
        Cursor { index: 0, at: 0, before }
    }

    /// The record at a place, which moves on. `None`: that was the last, or what follows makes no sense.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Record<'_>> {
        let records = &self.bytes[self.records_at..];
        let mut bytes = Bytes(records.get(cursor.at..)?);
        let record = Record::next(&mut bytes, cursor.before)?;
        cursor.at = records.len() - bytes.0.len();
        cursor.before = record.stamp;
        cursor.index += 1;
        Some(record)
    }
}

/// The block that is being written.
#[derive(Debug)]
pub(super) struct Open {
    /// Bytes of a full one.
    size: usize,
    most_names: usize,
    names: Names,
    records: Vec<u8>,
    record: Vec<u8>,
    meta: Meta,
    last: Stamp,
    summary: Summary,
}

impl Open {
    /// An empty one, which is full at `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        // Two bits a value in an eighth of that: a block of TCP flows between many peers is still told apart.
        let words = (size / 128 / size_of::<u64>()).max(4);
        let most_names = (size / 32).max(16);
        Self {
            size,
            most_names,
            names: Names::for_most(most_names),
            records: Vec::new(),
            record: Vec::new(),
            meta: Meta::default(),
            last: Stamp::default(),
            summary: Summary { addresses: Bloom::new(words), ports: Bloom::new(words) },
        }
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// All that it takes while it is being written.
    pub(super) fn memory(&self) -> usize {
        let words = self.summary.addresses.words().len() + self.summary.ports.words().len();
        self.names.memory() + self.records.capacity() + self.record.capacity() + words * size_of::<u64>()
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() + self.names.size() >= self.size || self.names.offsets().len() >= self.most_names
    }

    /// Appends; `seq` grows from one to the next.
    pub(super) fn push(&mut self, seq: u64, observation: &Observation) {
        let stamp = Stamp { seq, time: time_of(observation).as_nanosecond() };
        let meta = &mut self.meta;
        if meta.count == 0 {
            meta.base = Base::of(observation);
            (meta.first_seq, meta.earliest, meta.latest) = (seq, stamp.time, stamp.time);
            self.last = stamp;
        }
        meta.count += 1;
        meta.last_seq = seq;
        meta.earliest = meta.earliest.min(stamp.time);
        meta.latest = meta.latest.max(stamp.time);
        match observation {
            Observation::Flow(flow) => {
                meta.flows += 1;
                meta.others += u32::from(flow.tally.kind == TallyKind::Rest);
                let addresses = flow.packet.ip.map(|ip| [ip.source, ip.destination]);
                self.summary.add(addresses, flow.packet.l4);
            }
            _ => meta.others += 1,
        }
        self.record.clear();
        codec::put(observation, [self.last, stamp], self.meta.base, &mut self.names, &mut self.record);
        put_number(&mut self.records, self.record.len() as u64);
        self.records.extend_from_slice(&self.record);
        self.last = stamp;
    }

    /// What it holds so far, as a block.
    pub(super) fn block(&self) -> Block {
        let offsets = self.names.offsets();
        let offsets_at = self.names.bytes().len();
        let records_at = offsets_at + size_of_val(offsets);
        let mut bytes = Vec::with_capacity(records_at + self.records.len());
        bytes.extend_from_slice(self.names.bytes());
        for offset in offsets {
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        bytes.extend_from_slice(&self.records);
        Block {
            meta: self.meta,
            summary: self.summary.clone(),
            bytes: bytes.into_boxed_slice(),
            offsets_at,
            records_at,
        }
    }

    /// Empties it; `first_ordinal`: of what comes next.
    pub(super) fn restart(&mut self, first_ordinal: u64) {
        self.names.clear();
        self.records.clear();
        // After a record that was larger than a block.
        self.records.shrink_to(2 * self.size);
        self.record.shrink_to(self.size);
        self.meta = Meta { first_ordinal, ..Meta::default() };
        self.summary.addresses.clear();
        self.summary.ports.clear();
    }
}

impl Summary {
    fn add(&mut self, addresses: Option<[IpAddr; 2]>, l4: Option<L4>) {
        for address in addresses.into_iter().flatten() {
            self.addresses.add(address);
        }
        if let Some((source, destination)) = l4.and_then(|l4| l4.ports()) {
            self.ports.add(source);
            self.ports.add(destination);
        }
    }
}

mod frame {
    //! A block as bytes: its numbers; then its summary, and what it holds as it is in memory.

    use super::{Base, Block, Bloom, Bytes, Meta, Summary};

    /// Bytes of a block's numbers.
    pub(in super::super) const META: usize = 96;

    impl Meta {
        pub(in super::super) fn write(&self, out: &mut Vec<u8>) {
            for n in [self.count, self.flows, self.others, 0] {
                out.extend_from_slice(&n.to_le_bytes());
            }
            for n in [self.first_ordinal, self.first_seq, self.last_seq, self.base.monotonic_ns] {
                out.extend_from_slice(&n.to_le_bytes());
            }
            for n in [self.base.time, self.earliest, self.latest] {
                out.extend_from_slice(&n.to_le_bytes());
            }
        }

        pub(in super::super) fn read(bytes: &[u8]) -> Option<Self> {
            let mut bytes = Bytes(bytes);
            let (count, flows, others, _) =
                (bytes.fixed32()?, bytes.fixed32()?, bytes.fixed32()?, bytes.fixed32()?);
            let (first_ordinal, first_seq, last_seq, monotonic_ns) =
                (bytes.fixed64()?, bytes.fixed64()?, bytes.fixed64()?, bytes.fixed64()?);
            let mut time = || bytes.array().map(i128::from_le_bytes);
            let base = Base { time: time()?, monotonic_ns };
            let (earliest, latest) = (time()?, time()?);
            // One is kept for what comes next.
            let counted = first_ordinal.checked_add(u64::from(count)).is_some_and(|end| end < u64::MAX);
            let in_order = first_seq <= last_seq && last_seq < u64::MAX && earliest <= latest;
            let sane = count > 0 && flows <= count && counted && in_order;
            sane.then_some(Self {
                first_ordinal,
                count,
                flows,
                others,
                base,
                first_seq,
                last_seq,
                earliest,
                latest,
            })
        }
    }

    impl Block {
        /// All but its numbers.
        pub(in super::super) fn write(&self, out: &mut Vec<u8>) {
            let blooms = [&self.summary.addresses, &self.summary.ports];
            let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
            for n in [blooms[0].words().len(), blooms[1].words().len(), self.offsets_at, self.records_at] {
                out.extend_from_slice(&len(n));
            }
            for word in blooms.iter().flat_map(|bloom| bloom.words()) {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(&self.bytes);
        }

        pub(in super::super) fn read(meta: Meta, bytes: &[u8]) -> Option<Self> {
            let mut bytes = Bytes(bytes);
            let mut len = || usize::try_from(bytes.fixed32()?).ok();
            let (addresses, ports, offsets_at, records_at) = (len()?, len()?, len()?, len()?);
            let mut bloom = |words: usize| {
                let words = bytes.take(words.checked_mul(8)?)?;
                Bloom::of_words(words.as_chunks().0.iter().map(|w| u64::from_le_bytes(*w)).collect())
            };
            let summary = Summary { addresses: bloom(addresses)?, ports: bloom(ports)? };
            let sane = offsets_at <= records_at && records_at <= bytes.0.len();
            sane.then(|| Self { meta, summary, bytes: bytes.0.into(), offsets_at, records_at })
        }
    }
}

pub(super) use frame::META;
