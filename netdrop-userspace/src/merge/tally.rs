//! What went through, over all calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::wire::{Wire, WireKind};
use crate::proto::observer::get_flows_response::ResponseTypes;

/// Counters; each only grows.
#[derive(Debug, Default)]
pub struct Tally {
    /// Flows told to clients.
    pub flows: AtomicU64,
    /// Of these: told after a later one, as they came too late to find their place.
    pub late: AtomicU64,
    /// Flows that nodes have said are lost.
    pub lost_by_nodes: AtomicU64,
    /// Flows that were asked for and did not fit.
    pub lost_here: AtomicU64,
    /// Times that a node was not waited for any more.
    pub given_up: AtomicU64,
    /// Calls that have begun.
    pub begun: AtomicU64,
    /// Calls that have ended.
    pub ended: AtomicU64,
}

impl Tally {
    /// These are about to be told.
    pub(super) fn tell(&self, wires: &[Wire]) {
        let flows = wires.iter().filter(|wire| wire.kind == WireKind::Flow).count();
        self.flows.fetch_add(flows as u64, Relaxed);
        for wire in wires.iter().filter(|wire| wire.kind == WireKind::Lost) {
            self.lost_by_nodes.fetch_add(lost(wire), Relaxed);
        }
    }
}

fn lost(wire: &Wire) -> u64 {
    match wire.response().ok().and_then(|r| r.response_types) {
        Some(ResponseTypes::LostEvents(lost)) => lost.num_events_lost,
        _ => 0,
    }
}

/// A call under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Call(Arc<Tally>);

impl Call {
    pub(super) fn begin(tally: &Arc<Tally>) -> Self {
        tally.begun.fetch_add(1, Relaxed);
        Self(Arc::clone(tally))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}
