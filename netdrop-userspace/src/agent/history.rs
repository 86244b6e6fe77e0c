//! The last observations, in memory, for any number of readers.
//!
//! The writer never waits. Each reader keeps its own place; one that was overrun learns how many it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::flow::{LostEvents, LostSource, Observation};

/// Flow rate is told over this many seconds.
const RATE_SECONDS: usize = 60;
const RATE_SECONDS_F: f64 = 60.0;
/// Most observations a reader takes at once: the lock is short.
pub(super) const TAKE: usize = 256;
/// Benign drops have a ring of their own, of this part of the places: noise must not push out what somebody looks for.
const BENIGN_PART: usize = 8;

/// Ring of observations with sequence numbers.
#[derive(Debug)]
pub struct History {
    ring: Mutex<Ring>,
    /// Sequence number after the newest.
    newest: watch::Sender<u64>,
    started: Instant,
    /// What is benign, for those who ask; `None`: this is that one.
    benign: Option<Arc<History>>,
}

#[derive(Debug)]
struct Ring {
    items: VecDeque<Arc<Observation>>,
    capacity: usize,
    /// Sequence number of the first item.
    oldest: u64,
    seen: u64,
    /// Flows of each of the last seconds: second since start, and how many.
    per_second: VecDeque<(u64, u64)>,
}

/// Numbers for ServerStatus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryStatus {
    /// Observations kept.
    pub len: u64,
    /// Most that are kept.
    pub capacity: u64,
    /// Flows ever seen.
    pub seen: u64,
    /// Since the start.
    pub uptime: Duration,
    /// Flows a second, over the last minute.
    pub rate: f64,
}

/// What a reader took.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order.
    pub items: Vec<Arc<Observation>>,
    /// What the reader missed before them.
    pub missed: Option<LostEvents>,
}

impl History {
    /// An empty one of at least one place.
    pub fn new(capacity: usize) -> Self {
        let benign = Self::plain(capacity / BENIGN_PART, None);
        Self::plain(capacity, Some(Arc::new(benign)))
    }

    fn plain(capacity: usize, benign: Option<Arc<Self>>) -> Self {
        let capacity = capacity.max(1);
        Self {
            ring: Mutex::new(Ring {
                items: VecDeque::new(),
                capacity,
                oldest: 0,
                seen: 0,
                per_second: VecDeque::new(),
            }),
            newest: watch::Sender::new(0),
            started: Instant::now(),
            benign,
        }
    }

    /// The ring of benign drops.
    pub(super) fn benign(&self) -> Option<&Arc<Self>> {
        self.benign.as_ref()
    }

    /// A panic elsewhere leaves the ring whole.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends, and wakes the readers once.
    pub fn push(&self, items: impl IntoIterator<Item = Arc<Observation>>) {
        let second = self.started.elapsed().as_secs();
        let mut benign = Vec::new();
        let next = {
            let mut ring = self.lock();
            for item in items {
                if self.benign.is_some() && is_benign(&item) {
                    benign.push(item);
                } else {
                    ring.push(item, second);
                }
            }
            ring.next()
        };
        self.newest.send_replace(next);
        if let Some(history) = self.benign.as_ref().filter(|_| !benign.is_empty()) {
            history.push(benign);
        }
    }

    /// Numbers for ServerStatus.
    pub fn status(&self) -> HistoryStatus {
        let uptime = self.started.elapsed();
        let ring = self.lock();
        let window = RATE_SECONDS as u64;
        let from = uptime.as_secs().saturating_sub(window);
        let recent: u64 = ring.per_second.iter().filter(|(s, _)| *s >= from).map(|(_, n)| n).sum();
        let over = uptime.as_secs_f64().clamp(1.0, RATE_SECONDS_F);
        #[expect(clippy::cast_precision_loss, reason = "a rate with two digits")]
        let rate = recent as f64 / over;
        HistoryStatus {
            len: ring.items.len() as u64,
            capacity: ring.capacity as u64,
            seen: ring.seen,
            uptime,
            rate,
        }
    }

    /// A reader at the oldest observation.
    pub fn from_oldest(self: &Arc<Self>) -> Reader {
        self.reader(self.lock().oldest)
    }

    /// A reader that sees only what comes from now on.
    pub fn from_newest(self: &Arc<Self>) -> Reader {
        self.reader(self.lock().next())
    }

    /// A reader at the oldest observation that is not before `time`.
    pub fn from_time(self: &Arc<Self>, time: Timestamp) -> Reader {
        let at = {
            let ring = self.lock();
            let before = ring.items.iter().take_while(|o| time_of(o) < time).count();
            ring.oldest + before as u64
        };
        self.reader(at)
    }

    /// A reader at the last `number` observations that match; what does not match is not counted.
    pub fn from_last(self: &Arc<Self>, number: u64, matches: impl Fn(&Observation) -> bool) -> Reader {
        let at = {
            let ring = self.lock();
            let mut left = number;
            let back = ring.items.iter().rev().take_while(|o| {
                if left > 0 && matches(o) {
                    left -= 1;
                    return true;
                }
                left > 0
            });
            ring.next() - back.count() as u64
        };
        self.reader(at)
    }

    fn reader(self: &Arc<Self>, next: u64) -> Reader {
        Reader { history: Arc::clone(self), news: self.newest.subscribe(), next, last_time: None }
    }
}

impl Ring {
    fn next(&self) -> u64 {
        self.oldest + self.items.len() as u64
    }

    fn push(&mut self, item: Arc<Observation>, second: u64) {
        if let Observation::Flow(_) = *item {
            self.seen += 1;
            match self.per_second.back_mut() {
                Some((s, n)) if *s == second => *n += 1,
                _ => self.per_second.push_back((second, 1)),
            }
            while self.per_second.len() > RATE_SECONDS + 1 {
                self.per_second.pop_front();
            }
        }
        if self.items.len() == self.capacity {
            self.items.pop_front();
            self.oldest += 1;
        }
        self.items.push_back(item);
    }
}

fn is_benign(o: &Observation) -> bool {
    matches!(o, Observation::Flow(flow) if flow.benign)
}

pub(super) fn time_of(o: &Observation) -> Timestamp {
    match o {
        Observation::Flow(f) => f.time,
        Observation::Lost(l) => l.time,
        Observation::Status(s) => s.time,
    }
}

/// One reader's place.
#[derive(Debug)]
pub struct Reader {
    history: Arc<History>,
    news: watch::Receiver<u64>,
    next: u64,
    last_time: Option<Timestamp>,
}

impl Reader {
    /// Takes what is there, at most some hundreds; empty at the end.
    pub fn take(&mut self) -> Batch {
        let ring = self.history.lock();
        let mut batch = Batch::default();
        if self.next < ring.oldest {
            let now = Timestamp::now();
            batch.missed = Some(LostEvents {
                source: LostSource::HubbleRingBuffer,
                count: ring.oldest - self.next,
                cpu: None,
                time: now,
                first: self.last_time,
                last: ring.items.front().map(|o| time_of(o)),
                node_name: None,
            });
            self.next = ring.oldest;
        }
        let start = usize::try_from(self.next - ring.oldest).unwrap_or(usize::MAX);
        batch.items.extend(ring.items.iter().skip(start).take(TAKE).cloned());
        self.next += batch.items.len() as u64;
        self.last_time = batch.items.last().map(|o| time_of(o)).or(self.last_time);
        batch
    }

    /// Waits until there is more; `false` if nothing will come any more.
    pub async fn wait(&mut self) -> bool {
        let next = self.next;
        self.news.wait_for(|newest| *newest > next).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Flow, Verdict};

    fn flow(second: i64, verdict: Verdict) -> Arc<Observation> {
        Arc::new(Observation::Flow(Flow::new(Timestamp::from_second(second).unwrap(), verdict)))
    }

    fn seconds(batch: &Batch) -> Vec<i64> {
        batch.items.iter().map(|o| time_of(o).as_second()).collect()
    }

    fn filled() -> Arc<History> {
        let h = Arc::new(History::new(8));
        h.push((0..10).map(|s| flow(s, if s % 2 == 0 { Verdict::Dropped } else { Verdict::Forwarded })));
        h
    }

    #[test]
    fn readers_start_where_they_asked() {
        let h = filled();
        assert_eq!(seconds(&h.from_oldest().take()), (2..10).collect::<Vec<_>>());
        assert_eq!(seconds(&h.from_newest().take()), Vec::<i64>::new());
        assert_eq!(seconds(&h.from_time(Timestamp::from_second(7).unwrap()).take()), [7, 8, 9]);
        assert_eq!(seconds(&h.from_last(3, |_| true).take()), [7, 8, 9]);
        let dropped = |o: &Observation| matches!(o, Observation::Flow(f) if f.verdict == Verdict::Dropped);
        assert_eq!(seconds(&h.from_last(2, dropped).take()), [6, 7, 8, 9]);
        assert_eq!(seconds(&h.from_last(100, dropped).take()).len(), 8);
        assert_eq!(seconds(&h.from_last(0, |_| true).take()).len(), 0);
        assert_eq!(h.status().seen, 10);
        assert_eq!(h.status().len, 8);
    }

    #[test]
    fn an_overrun_reader_is_told_how_many_it_missed() {
        let h = Arc::new(History::new(4));
        h.push((0..2).map(|s| flow(s, Verdict::Dropped)));
        let mut r = h.from_oldest();
        assert_eq!(seconds(&r.take()), [0, 1]);
        h.push((2..12).map(|s| flow(s, Verdict::Dropped)));
        let batch = r.take();
        let missed = batch.missed.as_ref().unwrap();
        assert_eq!((missed.count, missed.source), (6, LostSource::HubbleRingBuffer));
        assert_eq!(missed.first.unwrap().as_second(), 1);
        assert_eq!(missed.last.unwrap().as_second(), 8);
        assert_eq!(seconds(&batch), [8, 9, 10, 11]);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let h = filled();
        let mut r = h.from_newest();
        let waiter = tokio::spawn(async move {
            assert!(r.wait().await);
            r.take().items.len()
        });
        h.push([flow(10, Verdict::Dropped)]);
        assert_eq!(waiter.await.unwrap(), 1);
    }
}
