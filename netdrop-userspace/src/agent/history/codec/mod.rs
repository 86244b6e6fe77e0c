//! Observations in few bytes.
//!
//! A record is: its length; a tag of its kind; how far its number and its time are from those of the record before; its body. Numbers are
//! as long as they need to be. What comes again and again is a name of the block ([`Names`]). A flow begins with the number of its
//! [`likeness::Likeness`], which has all fields of few values and says which others follow; first those that filters ask for ([`Glance`]), so that
//! most records are never decoded whole.
//! A field that follows from others (an EtherType from the addresses, a tally of one packet) takes no bytes.
//!
//! Reading is total: a record that makes no sense is `None`, whatever its bytes.

mod bytes;
mod flow;
mod hot;
mod likeness;
mod names;
mod other;
mod packet;

use std::sync::Arc;

use jiff::Timestamp;

use crate::flow::{Flow, Observation, TallyKind};

pub(super) use bytes::{Bytes, put_number, put_span};
pub(super) use hot::{Glance, Layout, likeness as likeness_of};
pub(super) use likeness::blank;
pub(super) use names::{Dictionary, Kind, Name, Names, Written};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Flow,
    Lost,
    Status,
}

/// The byte that every record begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

impl Tag {
    const REST: u8 = 0x80;

    fn of(observation: &Observation) -> Self {
        match observation {
            Observation::Flow(flow) if flow.tally.kind == TallyKind::Rest => Self(Self::REST),
            Observation::Flow(_) => Self(0),
            Observation::Lost(_) => Self(1),
            Observation::Status(_) => Self(2),
        }
    }

    pub(super) fn what(self) -> Option<What> {
        match self.0 & 3 {
            0 => Some(What::Flow),
            1 => Some(What::Lost),
            2 => Some(What::Status),
            _ => None,
        }
    }

    /// Packets of which a filter can't tell: never left out in silence.
    pub(super) fn is_rest(self) -> bool {
        self.0 & Self::REST != 0
    }
}

/// What the times of a block are counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// Wall time, ns since 1970.
    pub(super) time: i128,
    /// Kernel's monotonic time, ns.
    pub(super) monotonic_ns: u64,
}

impl Base {
    pub(super) fn of(observation: &Observation) -> Self {
        let monotonic_ns = match observation {
            Observation::Flow(flow) => flow.monotonic_ns.unwrap_or_default(),
            _ => 0,
        };
        Self { time: time_of(observation).as_nanosecond(), monotonic_ns }
    }

    /// What the monotonic time is, as long as both clocks go alike.
    fn monotonic(self, time: i128) -> u64 {
        // Modulo 2^64 is enough: what is written is the difference to this.
        let since = time.wrapping_sub(self.time).rem_euclid(1 << 64);
        self.monotonic_ns.wrapping_add(u64::try_from(since).unwrap_or_default())
    }
}

/// When it was.
pub(in super::super) fn time_of(observation: &Observation) -> Timestamp {
    match observation {
        Observation::Flow(flow) => flow.time,
        Observation::Lost(lost) => lost.time,
        Observation::Status(status) => status.time,
    }
}

/// Number and time of a record; each says how far it is from the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Number over all observations.
    pub(super) seq: u64,
    /// Wall time, ns since 1970.
    pub(super) time: i128,
}

/// Appends a record, but for its length.
pub(super) fn put(
    observation: &Observation,
    [before, stamp]: [Stamp; 2],
    base: Base,
    names: &mut Names,
    out: &mut Vec<u8>,
) {
    out.push(Tag::of(observation).0);
    put_number(out, stamp.seq.wrapping_sub(before.seq));
    put_span(out, stamp.time.wrapping_sub(before.time));
    match observation {
        Observation::Flow(flow) => flow::put(flow, base, names, out),
        Observation::Lost(lost) => other::put_lost(lost, out),
        Observation::Status(status) => other::put_status(status, out),
    }
}

/// A record, as far as every reader needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) tag: Tag,
    pub(super) stamp: Stamp,
    pub(super) body: Bytes<'a>,
}

impl<'a> Record<'a> {
    /// The next of `bytes`, which stay as they are if it is none.
    pub(super) fn next(bytes: &mut Bytes<'a>, before: Stamp) -> Option<Self> {
        let mut rest = *bytes;
        let len = rest.len()?;
        let mut body = Bytes(rest.take(len)?);
        let tag = Tag(body.u8()?);
        let seq = before.seq.wrapping_add(body.number()?);
        let time = before.time.wrapping_add(body.span()?);
        *bytes = rest;
        Some(Self { tag, stamp: Stamp { seq, time }, body })
    }

    /// The whole of it.
    pub(super) fn decode(&self, base: Base, names: &mut Dictionary<'_>) -> Option<Observation> {
        let time = Timestamp::from_nanosecond(self.stamp.time).ok()?;
        Some(match self.tag.what()? {
            What::Flow => Observation::Flow(self.flow(time, base, names)?),
            What::Lost => Observation::Lost(other::lost(time, self.body)?),
            What::Status => Observation::Status(other::status(time, self.body)?),
        })
    }

    fn flow(&self, time: Timestamp, base: Base, names: &mut Dictionary<'_>) -> Option<Flow> {
        let mut body = self.body;
        let likeness = Arc::clone(names.likeness(likeness_of(&mut body)?)?);
        let hot = hot::Hot::read(body, likeness.shape())?;
        let mut flow = Flow { time, ..blank() };
        (flow.tally.first, flow.tally.last) = (time, time);
        likeness.fill(&mut flow, names)?;
        flow::read(&mut flow, &hot, base, names)?;
        Some(flow)
    }
}
