//! What one feed does with observations: filter, put together, hold to a rate, write, and say what is missing.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::aggregate::Aggregator;
use super::file::Out;
use super::thread::{Event, FeedCounts};
use super::{FeedSpec, Plan, lines};
use crate::agent::events;
use crate::flow::{Flow, LostEvents, LostSource, Observation};

/// A quiet node may log this many seconds' worth at once.
const BURST_SECONDS: f64 = 10.0;
/// So many bytes of lines are written at once, if nobody flushes before.
const FULL: usize = 64 * 1024;
/// How often a disk that is full is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Drops of which the feed has yet to say that they are missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing {
    count: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    node_name: Option<Arc<str>>,
}

impl Missing {
    pub(super) fn add_flow(&mut self, flow: &Flow) {
        self.add(flow.tally.count, [flow.tally.first, flow.tally.last]);
        if self.node_name.is_none() {
            self.node_name.clone_from(&flow.node_name);
        }
    }

    fn add(&mut self, count: u64, [first, last]: [Timestamp; 2]) {
        self.count += count;
        self.first = Some(self.first.map_or(first, |f| f.min(first)));
        self.last = Some(self.last.map_or(last, |l| l.max(last)));
    }

    fn merge(&mut self, other: Self) {
        if let (Some(first), Some(last)) = (other.first, other.last) {
            self.add(other.count, [first, last]);
        }
        self.node_name = self.node_name.take().or(other.node_name);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn into_observation(self) -> Observation {
        Observation::Lost(LostEvents {
            source: LostSource::ObserverEventsQueue,
            count: self.count,
            cpu: None,
            time: Timestamp::now(),
            first: self.first,
            last: self.last,
            node_name: self.node_name,
        })
    }
}

/// Lines that wait to be written together.
#[derive(Default)]
struct Pending {
    text: String,
    lines: u64,
    /// Events of the agent among them.
    events: u64,
    /// What the flows among them tell.
    drops: Missing,
    /// What they say to be missing.
    said: Missing,
}

/// Lines a second.
struct Rate {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Rate {
    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + seconds * self.per_second).min(self.per_second * BURST_SECONDS);
        self.filled = now;
    }

    fn take(&mut self) -> bool {
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// Writes one feed.
pub(super) struct Writer {
    name: String,
    out: Box<dyn Out>,
    plan: Plan,
    end: Option<Timestamp>,
    rate: Option<Rate>,
    alike: Option<Aggregator>,
    pending: Pending,
    missing: Missing,
    /// Events that were missed when the feed said so last.
    events_said: u64,
    /// Since writing fails: when to try again.
    retry: Option<Instant>,
    counts: Arc<FeedCounts>,
}

impl Writer {
    pub(super) fn new(spec: &FeedSpec, plan: Plan, out: Box<dyn Out>, counts: Arc<FeedCounts>) -> Self {
        let now = Instant::now();
        let rate = spec.rate.map(|rate| {
            let rate = f64::from(rate.get());
            Rate { per_second: rate, tokens: rate * BURST_SECONDS, filled: now }
        });
        let alike = plan.aggregate.clone().map(|(fields, interval)| Aggregator::new(fields, interval, now));
        Self {
            name: spec.name.clone(),
            out,
            plan,
            end: spec.end,
            rate,
            alike,
            pending: Pending::default(),
            missing: Missing::default(),
            events_said: 0,
            retry: None,
            counts,
        }
    }

    /// Opens what is written to; an error is told, and tried again with the next lines.
    pub(super) fn open(&mut self) -> std::io::Result<()> {
        self.out.open()
    }

    /// Writes a batch, or as much of it as there is room and time for.
    pub(super) fn write(&mut self, batch: &[Arc<Observation>]) {
        if self.has_ended() {
            return;
        }
        if let Some(rate) = &mut self.rate {
            rate.fill(Instant::now());
        }
        for observation in batch {
            self.observe(observation);
        }
        self.write_out();
    }

    /// Writes an event of the agent.
    pub(super) fn tell(&mut self, event: &Event) {
        if self.has_ended() {
            return;
        }
        if let Some(rate) = &mut self.rate {
            rate.fill(Instant::now());
        }
        if self.may_tell() {
            self.put_event(event);
            self.pending.events += 1;
            self.write_out();
        } else {
            self.counts.events_missed.fetch_add(1, Relaxed);
        }
    }

    fn put_event(&mut self, Event { node, time, event }: &Event) {
        let start = self.pending.text.len();
        lines::push_event(node, *time, event, &mut self.pending.text);
        self.appended(start);
    }

    fn observe(&mut self, observation: &Observation) {
        let Observation::Flow(flow) = observation else {
            // Loss and nodes' states are few, and never withheld.
            return self.put(observation);
        };
        if !self.plan.tells(flow) {
            match self.plan.filter.undecided(flow) {
                Some(rest) => self.put(&Observation::Lost(rest)),
                None => drop(self.counts.hidden.fetch_add(flow.tally.count, Relaxed)),
            }
            return;
        }
        if let Some(alike) = &mut self.alike {
            alike.add(observation);
            if alike.is_full() {
                self.put_alike();
            }
        } else if self.may_tell() {
            let start = self.pending.text.len();
            lines::push(observation, self.plan.mask.as_ref(), &mut self.pending.text);
            self.appended(start);
            self.pending.drops.add_flow(flow);
        } else {
            self.missing.add_flow(flow);
            self.counts.withheld.fetch_add(flow.tally.count, Relaxed);
        }
    }

    fn may_tell(&mut self) -> bool {
        self.rate.as_mut().is_none_or(Rate::take)
    }

    /// One line for all that are alike.
    fn put_alike(&mut self) {
        let Some(alike) = &mut self.alike else { return };
        for alike in alike.take(Instant::now()) {
            let (drops, times) = (alike.drops, alike.times);
            if self.may_tell() {
                let start = self.pending.text.len();
                lines::push_wire(alike.into_wire(), &mut self.pending.text);
                self.appended(start);
                self.pending.drops.add(drops, times);
            } else {
                self.missing.add(drops, times);
                self.counts.withheld.fetch_add(drops, Relaxed);
            }
        }
    }

    fn put(&mut self, observation: &Observation) {
        let start = self.pending.text.len();
        lines::push(observation, None, &mut self.pending.text);
        self.appended(start);
    }

    /// A line was appended from `start` on: those before it are written if both have no room.
    fn appended(&mut self, start: usize) {
        let text = &self.pending.text;
        if !self.out.has_room(text.len()) {
            let line = self.pending.text.split_off(start);
            self.write_out();
            if !self.out.has_room(line.len())
                && let Err(e) = self.out.rotate()
            {
                self.failed(&e);
            }
            self.pending.text = line;
        } else if start >= FULL {
            let line = self.pending.text.split_off(start);
            self.write_out();
            self.pending.text = line;
        }
        self.pending.lines += 1;
    }

    /// Writes the lines that wait.
    fn write_out(&mut self) {
        if self.pending.text.is_empty() {
            return;
        }
        if self.retry.is_some_and(|at| Instant::now() < at) {
            return self.lose();
        }
        match self.out.write(&self.pending.text) {
            Ok(()) => self.written(),
            Err(e) => self.failed(&e),
        }
    }

    fn written(&mut self) {
        self.counts.bytes.fetch_add(self.pending.text.len() as u64, Relaxed);
        self.counts.lines.fetch_add(self.pending.lines, Relaxed);
        self.counts.told.fetch_add(self.pending.drops.count, Relaxed);
        self.counts.events.fetch_add(self.pending.events, Relaxed);
        self.pending.text.clear();
        self.pending = Pending { text: std::mem::take(&mut self.pending.text), ..Pending::default() };
        if self.retry.take().is_some() {
            self.counts.working.store(true, Relaxed);
            tracing::info!(feed = self.name, "the feed writes again and says itself what is missing");
        }
    }

    fn failed(&mut self, error: &std::io::Error) {
        if self.retry.is_none() {
            let feed = &self.name;
            tracing::warn!(
                feed,
                "cannot write the feed: {error}; capture goes on, what is missing is counted, and writing is tried again"
            );
            self.counts.working.store(false, Relaxed);
        }
        self.retry = Some(Instant::now() + RETRY);
        self.lose();
    }

    /// Gives up the lines that wait; what they would have told is missing.
    fn lose(&mut self) {
        let lost = std::mem::take(&mut self.pending);
        self.counts.failed.fetch_add(lost.drops.count, Relaxed);
        self.counts.events_missed.fetch_add(lost.events, Relaxed);
        self.missing.merge(lost.drops);
        self.missing.merge(lost.said);
    }

    /// Adds drops that never came here.
    pub(super) fn miss(&mut self, missing: Missing) {
        self.missing.merge(missing);
    }

    /// What is due: lines of alike flows, and what is missing since the last time.
    pub(super) fn tick(&mut self) {
        if self.has_ended() {
            return;
        }
        if self.alike.as_ref().is_some_and(|a| a.due() <= Instant::now()) {
            self.put_alike();
        }
        self.say_what_is_missing();
        self.write_out();
    }

    fn say_what_is_missing(&mut self) {
        if self.retry.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let missed = self.counts.events_missed.load(Relaxed);
        if missed > self.events_said {
            let event = Arc::new(events::lost(missed - self.events_said));
            self.events_said = missed;
            let node = self.missing.node_name.clone().unwrap_or_else(|| "".into());
            self.put_event(&Event { node, time: Timestamp::now(), event });
        }
        if self.missing.count == 0 {
            return;
        }
        let missing = std::mem::take(&mut self.missing);
        self.put(&missing.clone().into_observation());
        self.pending.said.merge(missing);
    }

    /// When [`Writer::tick`] has to be called at the latest.
    pub(super) fn due(&self, at: Instant) -> Instant {
        self.alike.as_ref().map_or(at, |a| a.due().min(at))
    }

    /// Whoever moved the file away finds a new one under the old name.
    pub(super) fn reopen(&mut self) {
        if self.has_ended() {
            return;
        }
        self.write_out();
        self.out.close();
        if let Err(e) = self.out.open() {
            self.failed(&e);
        }
    }

    /// Whether the time is over; at that moment what is there is written.
    fn has_ended(&mut self) -> bool {
        let Some(end) = self.end.filter(|end| *end <= Timestamp::now()) else { return false };
        if self.counts.active.swap(false, Relaxed) {
            self.put_alike();
            self.say_what_is_missing();
            self.write_out();
            self.out.close();
            tracing::info!(feed = self.name, %end, "the feed has ended, as configured");
        }
        true
    }

    /// The last lines.
    pub(super) fn finish(mut self) {
        if self.has_ended() {
            return;
        }
        self.retry = None;
        self.put_alike();
        self.say_what_is_missing();
        self.write_out();
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
