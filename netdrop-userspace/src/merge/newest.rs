//! The newest N of many: each server gives its own newest N, and these are chosen among.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::PeerId;

/// Something with a time.
#[derive(Debug)]
struct Kept<T> {
    time: i64,
    turn: u64,
    peer: PeerId,
    item: T,
}

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.turn) == (other.time, other.turn)
    }
}

impl<T> Eq for Kept<T> {}

impl<T> PartialOrd for Kept<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Kept<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.turn).cmp(&(other.time, other.turn))
    }
}

/// Keeps the newest.
#[derive(Debug)]
pub(super) struct Newest<T> {
    number: usize,
    heap: BinaryHeap<Reverse<Kept<T>>>,
    turn: u64,
    first_arrival: Option<Duration>,
}

impl<T> Newest<T> {
    pub(super) fn new(number: usize) -> Self {
        Self { number, heap: BinaryHeap::new(), turn: 0, first_arrival: None }
    }

    /// Takes one; returns the peer whose older one gives way to it.
    pub(super) fn push(&mut self, now: Duration, peer: PeerId, time: i64, item: T) -> Option<PeerId> {
        self.first_arrival.get_or_insert(now);
        self.heap.push(Reverse(Kept { time, turn: self.turn, peer, item }));
        self.turn += 1;
        if self.heap.len() <= self.number {
            return None;
        }
        self.heap.pop().map(|Reverse(gone)| gone.peer)
    }

    /// When the first of them came.
    pub(super) fn first_arrival(&self) -> Option<Duration> {
        self.first_arrival
    }

    /// The time before which nothing is among the newest; `None`: there are fewer than asked for.
    pub(super) fn cut(&self) -> Option<i64> {
        (self.heap.len() == self.number)
            .then(|| self.heap.peek().map(|Reverse(oldest)| oldest.time))
            .flatten()
    }

    /// In order of time.
    pub(super) fn into_sorted(self) -> Vec<(PeerId, i64, T)> {
        let mut all: Vec<_> = self.heap.into_iter().map(|Reverse(kept)| kept).collect();
        all.sort_unstable();
        all.into_iter().map(|k| (k.peer, k.time, k.item)).collect()
    }
}
