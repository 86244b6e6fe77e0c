//! Order by time: a heap and a watermark, below which nothing earlier is waited for.
//!
//! An item goes out as soon as every server that is waited for has told of something later, or once it was held for long enough. So
//! servers that are silent, slow or dead cost the others a bounded delay, never more; and nothing is lost, only told late.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use super::PeerId;

/// How long and how much is held.
#[derive(Clone, Copy, Debug)]
pub struct MergerLimits {
    /// No item is held for longer.
    pub hold: Duration,
    /// Within one server's stream times may go back by this much: its processors take turns.
    pub slack: Duration,
    /// Items held of all servers; beyond it the earliest go out early.
    pub most: usize,
    /// A server of which so many are held may be waiting for room, so its times are taken as they are, without the slack.
    pub full: usize,
}

/// Merges items of type `T`.
#[derive(Debug)]
pub struct Merger<T> {
    limits: MergerLimits,
    /// What is held waits for as long as those do who are waited for.
    patient: bool,
    heap: BinaryHeap<Reverse<Held<T>>>,
    lanes: HashMap<PeerId, Lane>,
    /// When what came together came, and its latest time; in order of arrival.
    arrivals: VecDeque<(Duration, i64)>,
    /// Everything up to here has gone out, or goes at once.
    watermark: i64,
    next: u64,
    /// The latest time that has gone out, and how many went out after a later one.
    told: i64,
    late: u64,
}

#[derive(Debug)]
struct Lane {
    /// The latest time it told of.
    frontier: i64,
    awaited: bool,
    held: usize,
}

#[derive(Debug)]
struct Held<T> {
    time: i64,
    /// Among equal times: as they came.
    turn: u64,
    peer: PeerId,
    item: T,
}

impl<T> Held<T> {
    fn key(&self) -> (i64, u64) {
        (self.time, self.turn)
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A length of time, in the unit of times.
pub(super) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

impl<T> Merger<T> {
    /// Nothing is held, nobody is waited for.
    pub fn new(limits: MergerLimits) -> Self {
        Self {
            limits,
            patient: false,
            heap: BinaryHeap::new(),
            lanes: HashMap::new(),
            arrivals: VecDeque::new(),
            watermark: i64::MIN,
            next: 0,
            told: i64::MIN,
            late: 0,
        }
    }

    /// One that holds items until all who are waited for have told of later ones, however long that takes.
    pub fn patient(limits: MergerLimits) -> Self {
        Self { patient: true, ..Self::new(limits) }
    }

    /// Waits for this server from now on, or no longer.
    pub fn wait_for(&mut self, peer: PeerId, awaited: bool) {
        let lane = self.lanes.entry(peer).or_insert(Lane { frontier: i64::MIN, awaited, held: 0 });
        lane.awaited = awaited;
        self.forget(peer);
    }

    fn forget(&mut self, peer: PeerId) {
        if self.lanes.get(&peer).is_some_and(|lane| !lane.awaited && lane.held == 0) {
            self.lanes.remove(&peer);
        }
    }

    /// Takes what came of a server at `now`, in any order.
    pub fn push(&mut self, now: Duration, peer: PeerId, items: impl IntoIterator<Item = (i64, T)>) {
        let lane = self.lanes.entry(peer).or_insert(Lane { frontier: i64::MIN, awaited: false, held: 0 });
        let mut latest = None;
        for (time, item) in items {
            self.heap.push(Reverse(Held { time, turn: self.next, peer, item }));
            self.next += 1;
            lane.held += 1;
            latest = latest.max(Some(time));
        }
        let Some(latest) = latest else {
            return;
        };
        lane.frontier = lane.frontier.max(latest);
        if self.patient {
            return;
        }
        let place = self.arrivals.iter().rposition(|(when, _)| *when <= now);
        match place.and_then(|at| self.arrivals.get_mut(at)) {
            Some((when, time)) if *when == now => *time = latest.max(*time),
            _ => self.arrivals.insert(place.map_or(0, |at| at + 1), (now, latest)),
        }
    }

    /// Everything up to this time is complete, as somebody else knows.
    pub fn complete_to(&mut self, time: i64) {
        self.watermark = self.watermark.max(time);
    }

    /// Moves out what is due at `now`, in order.
    pub fn due(&mut self, now: Duration, mut out: impl FnMut(PeerId, T)) {
        if let Some(common) = self.common_frontier() {
            self.watermark = self.watermark.max(common);
        }
        while let Some((arrived, latest)) = self.arrivals.front() {
            if *arrived + self.limits.hold > now && *latest > self.watermark {
                break;
            }
            self.watermark = self.watermark.max(*latest);
            self.arrivals.pop_front();
        }
        while let Some(Reverse(earliest)) = self.heap.peek() {
            if earliest.time > self.watermark && self.heap.len() <= self.limits.most {
                break;
            }
            self.watermark = self.watermark.max(earliest.time);
            self.pop(&mut out);
        }
    }

    /// Moves out all that is held.
    pub fn flush(&mut self, mut out: impl FnMut(PeerId, T)) {
        while !self.heap.is_empty() {
            self.pop(&mut out);
        }
        self.arrivals.clear();
    }

    fn pop(&mut self, out: &mut impl FnMut(PeerId, T)) {
        let Some(Reverse(held)) = self.heap.pop() else {
            return;
        };
        if let Some(lane) = self.lanes.get_mut(&held.peer) {
            lane.held -= 1;
            if lane.held == 0 && !lane.awaited {
                self.lanes.remove(&held.peer);
            }
        }
        self.late += u64::from(held.time < self.told);
        self.told = self.told.max(held.time);
        out(held.peer, held.item);
    }

    /// Up to where all who are waited for have told; nobody waited for: everything.
    fn common_frontier(&self) -> Option<i64> {
        let awaited = self.lanes.values().filter(|lane| lane.awaited);
        let slack = nanos(self.limits.slack);
        let complete =
            |lane: &Lane| lane.frontier.saturating_sub(if lane.held < self.limits.full { slack } else { 0 });
        match awaited.map(complete).min() {
            Some(time) => Some(time),
            None => self.lanes.values().map(|lane| lane.frontier).max(),
        }
    }

    /// When something will be due that is not now.
    pub fn deadline(&self) -> Option<Duration> {
        if self.heap.is_empty() {
            return None;
        }
        self.arrivals.front().map(|(arrived, _)| *arrived + self.limits.hold)
    }

    /// Items of one server that are held.
    pub fn held(&self, peer: PeerId) -> usize {
        self.lanes.get(&peer).map_or(0, |lane| lane.held)
    }

    /// How many went out after a later one since this was last asked.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }

    /// Items that are held.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
