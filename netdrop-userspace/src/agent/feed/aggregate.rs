//! Putting flows together that are alike in chosen fields, as Hubble's exporter does: one line with counts by direction.

use std::collections::hash_map::Entry as Place;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prost::Message as _;
use rustc_hash::FxHashMap;

use super::Mask;
use super::lines::wire_flow;
use crate::flow::{Observation, TrafficDirection};
use crate::proto::flow::{Aggregate, Flow as WireFlow};

/// So many different flows are put together at once; then their lines are written before the time.
const MOST: usize = 16_384;

/// What one interval has brought.
#[derive(Debug)]
pub(super) struct Aggregator {
    fields: Mask,
    interval: Duration,
    due: Instant,
    /// Where in `alike` the flows with these fields are.
    places: FxHashMap<Vec<u8>, usize>,
    /// In the order in which they first came.
    alike: Vec<Alike>,
}

/// Flows with the same fields.
#[derive(Debug)]
pub(super) struct Alike {
    /// The chosen fields, and the first one's time.
    flow: WireFlow,
    /// By direction: ingress, egress, unknown.
    counts: [u32; 3],
    /// Time of the first and of the last.
    pub(super) times: [Timestamp; 2],
    /// Drops that they stand for.
    pub(super) drops: u64,
}

impl Alike {
    /// What the line tells.
    pub(super) fn into_wire(self) -> WireFlow {
        let [ingress, egress, unknown] = self.counts;
        let aggregate = Aggregate {
            ingress_flow_count: ingress,
            egress_flow_count: egress,
            unknown_direction_flow_count: unknown,
        };
        WireFlow { aggregate: Some(aggregate), ..self.flow }
    }
}

impl Aggregator {
    pub(super) fn new(fields: Mask, interval: Duration, now: Instant) -> Self {
        Self { fields, interval, due: now + interval, places: FxHashMap::default(), alike: Vec::new() }
    }

    /// Adds a flow. One that stands for several drops counts for as many.
    pub(super) fn add(&mut self, observation: &Observation) {
        let Observation::Flow(flow) = observation else { return };
        let Some(mut wire) = wire_flow(observation) else { return };
        let time = wire.time;
        self.fields.apply(&mut wire);
        wire.aggregate = None;
        let count = u32::try_from(flow.tally.count).unwrap_or(u32::MAX);
        let direction = match flow.direction {
            TrafficDirection::Ingress => 0,
            TrafficDirection::Egress => 1,
            TrafficDirection::Unknown => 2,
        };
        let at = match self.places.entry(wire.encode_to_vec()) {
            // The field holds 32 bits; what is more gets a line of its own.
            Place::Occupied(p) if self.alike[*p.get()].counts[direction].checked_add(count).is_some() => {
                *p.get()
            }
            place => {
                self.alike.push(Alike {
                    flow: WireFlow { time, ..wire },
                    counts: [0; 3],
                    times: [flow.tally.first, flow.tally.last],
                    drops: 0,
                });
                *place.insert_entry(self.alike.len() - 1).get()
            }
        };
        let alike = &mut self.alike[at];
        alike.counts[direction] += count;
        alike.times[1] = flow.tally.last;
        alike.drops += flow.tally.count;
    }

    /// When the lines are to be written.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Whether they have to be written before that.
    pub(super) fn is_full(&self) -> bool {
        self.alike.len() >= MOST
    }

    /// All lines, to be written now.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Alike> {
        self.places.clear();
        while self.due <= now {
            self.due += self.interval;
        }
        std::mem::take(&mut self.alike)
    }
}
