//! What happened to the agent itself and around it, for GetAgentEvents: the last events, in memory, for any number of readers.

mod answer;
mod notice;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use prost::Message as _;
use tokio::sync::watch;

use crate::convert::time_to_wire;
use crate::enrich::change::{Change, Listener};
use crate::proto::flow::agent_event::Notification;
use crate::proto::flow::{AgentEvent, AgentEventType, AgentEventUnknown, TimeNotification};

pub(super) use answer::{Window, farewell, stream};

/// Events that are kept at most.
const KEPT: usize = 4096;
/// Their bytes at most: a pod may have many labels.
const KEPT_BYTES: usize = 4 << 20;
/// What an event takes beside what it says.
const OVERHEAD: usize = 128;
/// Types are numbered from 0 on.
const TYPES: usize = 13;

/// The last events of an agent; by default there are none yet.
#[derive(Debug)]
pub struct AgentEvents {
    ring: Mutex<Ring>,
    /// Sequence number after the newest.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    items: VecDeque<Item>,
    /// Sequence number of the first item.
    oldest: u64,
    bytes: usize,
    /// Events so far, by type.
    told: [u64; TYPES],
    /// Events that a reader came too late for.
    missed: u64,
}

/// An event and when it was.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) time: Timestamp,
    pub(super) event: Arc<AgentEvent>,
    bytes: usize,
}

/// Some of the events.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) items: Vec<Item>,
    /// How many before these are gone.
    pub(super) lost: u64,
    /// Sequence number after the last.
    pub(super) next: u64,
}

/// How many events there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EventCounts {
    /// By the type's name.
    pub(super) told: Vec<(&'static str, u64)>,
    /// Came faster than a reader took them.
    pub(super) missed: u64,
}

impl Default for AgentEvents {
    fn default() -> Self {
        Self { ring: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl AgentEvents {
    /// Capture runs and the server answers.
    pub fn started(&self, now: Timestamp) {
        let time = TimeNotification { time: Some(time_to_wire(now)) };
        self.push(now, AgentEventType::AgentStarted, Notification::AgentStart(time));
    }

    /// Makes events of what comes and goes in a cluster.
    pub fn listener(self: &Arc<Self>) -> Listener {
        let events = Arc::clone(self);
        Listener::new(move |change: Change| {
            let (kind, notification) = notice::of(change);
            events.push(Timestamp::now(), kind, notification);
        })
    }

    fn push(&self, time: Timestamp, kind: AgentEventType, notification: Notification) {
        let event = AgentEvent { r#type: kind.into(), notification: Some(notification) };
        let bytes = event.encoded_len() + OVERHEAD;
        let next = {
            let mut ring = self.lock();
            if let Some(told) = usize::try_from(event.r#type).ok().and_then(|at| ring.told.get_mut(at)) {
                *told += 1;
            }
            ring.items.push_back(Item { time, event: Arc::new(event), bytes });
            ring.bytes += bytes;
            // The newest stays, however large it is.
            while ring.items.len() > KEPT || ring.bytes > KEPT_BYTES && ring.items.len() > 1 {
                let gone = ring.items.pop_front().map_or(0, |item| item.bytes);
                ring.bytes -= gone;
                ring.oldest += 1;
            }
            ring.next()
        };
        self.newest.send_replace(next);
    }

    /// A panic elsewhere leaves the ring whole.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells when there is more: the sequence number after the newest.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// A few events from `next` on.
    pub(super) fn chunk(&self, next: u64, most: usize) -> Chunk {
        let mut ring = self.lock();
        let lost = ring.oldest.saturating_sub(next);
        ring.missed += lost;
        let from = next.max(ring.oldest);
        let skip = usize::try_from(from - ring.oldest).unwrap_or(usize::MAX);
        let items: Vec<Item> = ring.items.iter().skip(skip).take(most).cloned().collect();
        Chunk { next: from + items.len() as u64, lost, items }
    }

    /// How many there were.
    pub(super) fn counts(&self) -> EventCounts {
        let ring = self.lock();
        let names = (0..).zip(&ring.told).filter_map(|(number, told)| {
            let kind = AgentEventType::try_from(number).ok()?;
            Some((kind.as_str_name(), *told))
        });
        let told = names.filter(|(_, told)| *told > 0).collect();
        EventCounts { told, missed: ring.missed }
    }
}

impl Ring {
    fn next(&self) -> u64 {
        self.oldest + self.items.len() as u64
    }
}

/// Tells a reader in the stream itself what it came too late for: Hubble has no type for that, but one for anything.
pub(super) fn lost(count: u64) -> AgentEvent {
    let notification = format!("{{\"num_events_lost\":\"{count}\"}}");
    let unknown = AgentEventUnknown { r#type: "lost events".to_owned(), notification };
    AgentEvent {
        r#type: AgentEventType::AgentEventUnknown.into(),
        notification: Some(Notification::Unknown(unknown)),
    }
}

#[cfg(test)]
mod tests;
