//! A reader of the history, and of its benign drops where a client asks for them, merged by time.

use std::collections::VecDeque;
use std::sync::Arc;

use super::history::{Batch, History, Reader, TAKE, time_of};
use crate::flow::{LostEvents, Observation};

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At the oldest.
    Oldest,
    /// At what comes from now on.
    Newest,
    /// At the first that is not before a time.
    Time(jiff::Timestamp),
    /// At the last so many that match.
    Last(u64),
}

/// One place in each ring.
#[derive(Debug)]
pub(super) struct Readers {
    real: Side,
    benign: Option<Side>,
}

/// A reader, and what it took and has not given yet.
#[derive(Debug)]
struct Side {
    reader: Reader,
    taken: VecDeque<Arc<Observation>>,
}

impl Side {
    fn new(history: &Arc<History>, start: Start, matches: &impl Fn(&Observation) -> bool) -> Self {
        let reader = match start {
            Start::Oldest => history.from_oldest(),
            Start::Newest => history.from_newest(),
            Start::Time(time) => history.from_time(time),
            Start::Last(n) => history.from_last(n, matches),
        };
        Self { reader, taken: VecDeque::new() }
    }

    fn refill(&mut self, missed: &mut Option<LostEvents>) {
        if self.taken.is_empty() {
            let batch = self.reader.take();
            self.taken.extend(batch.items);
            match (missed.as_mut(), batch.missed) {
                (Some(all), Some(more)) => all.count += more.count,
                (None, more) => *missed = more,
                (Some(_), None) => {}
            }
        }
    }
}

impl Readers {
    /// Places to begin at; the benign ones only where they are wanted.
    pub(super) fn new(
        history: &Arc<History>,
        start: Start,
        include_benign: bool,
        matches: impl Fn(&Observation) -> bool,
    ) -> Self {
        let side = |history: &Arc<History>| Side::new(history, start, &matches);
        let benign = history.benign().filter(|_| include_benign).map(side);
        let mut readers = Self { real: side(history), benign };
        if let (Start::Last(n), true) = (start, readers.benign.is_some()) {
            readers.keep_last(n, &matches);
        }
        readers
    }

    /// The last so many of each ring are more than the last so many of both.
    fn keep_last(&mut self, n: u64, matches: &impl Fn(&Observation) -> bool) {
        let mut all = VecDeque::new();
        loop {
            let batch = self.take();
            if batch.items.is_empty() {
                break;
            }
            all.extend(batch.items);
        }
        let wanted = all.iter().filter(|o| matches(o)).count() as u64;
        for _ in n..wanted {
            while all.pop_front().is_some_and(|o| !matches(&o)) {}
        }
        self.real.taken = all;
    }

    /// Takes what is there, in the order of time; empty at the end.
    pub(super) fn take(&mut self) -> Batch {
        let Some(benign) = &mut self.benign else {
            return self.real.reader.take();
        };
        let mut batch = Batch::default();
        while batch.items.len() < TAKE {
            self.real.refill(&mut batch.missed);
            benign.refill(&mut batch.missed);
            let (a, b) = (&mut self.real.taken, &mut benign.taken);
            match (a.front(), b.front()) {
                (Some(x), Some(y)) => {
                    let next = if time_of(x) <= time_of(y) { a.pop_front() } else { b.pop_front() };
                    batch.items.extend(next);
                }
                (None, None) => break,
                _ => batch.items.extend(a.drain(..).chain(b.drain(..))),
            }
        }
        batch
    }

    /// Waits until there is more; `false` if nothing will come any more.
    pub(super) async fn wait(&mut self) -> bool {
        match &mut self.benign {
            Some(benign) => tokio::select! {
                more = self.real.reader.wait() => more,
                more = benign.reader.wait() => more,
            },
            None => self.real.reader.wait().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::flow::{Flow, Verdict};

    fn flow(second: i64, benign: bool) -> Arc<Observation> {
        let mut flow = Flow::new(Timestamp::from_second(second).unwrap(), Verdict::Dropped);
        flow.benign = benign;
        Arc::new(Observation::Flow(flow))
    }

    fn seconds(readers: &mut Readers) -> Vec<i64> {
        std::iter::from_fn(|| Some(readers.take().items).filter(|items| !items.is_empty()))
            .flatten()
            .map(|o| time_of(&o).as_second())
            .collect()
    }

    /// Every third is not benign.
    fn filled(capacity: usize, count: i64) -> Arc<History> {
        let history = Arc::new(History::new(capacity));
        (0..count).for_each(|s| history.push([flow(s, s % 3 != 0)]));
        history
    }

    #[test]
    fn noise_does_not_push_out_what_matters() {
        let history = filled(80, 120);
        let start = Start::Oldest;
        let all = |o: &Observation| matches!(o, Observation::Flow(_));
        assert_eq!(
            seconds(&mut Readers::new(&history, start, false, all)),
            (0..120).step_by(3).collect::<Vec<_>>()
        );
        let both = seconds(&mut Readers::new(&history, start, true, all));
        assert!(both.is_sorted() && both.len() == 40 + 10, "{both:?}");
        assert_eq!(history.status().seen, 40);
    }

    #[test]
    fn merged_in_order_over_many_batches_and_the_last_are_the_last_of_both() {
        let history = filled(16_000, 3000);
        let all = |o: &Observation| matches!(o, Observation::Flow(_));
        let merged = seconds(&mut Readers::new(&history, Start::Oldest, true, all));
        assert_eq!(merged, (0..3000).collect::<Vec<_>>());
        let last = seconds(&mut Readers::new(&history, Start::Last(5), true, all));
        assert_eq!(last, (2995..3000).collect::<Vec<_>>());
        let since = Start::Time(Timestamp::from_second(2990).unwrap());
        assert_eq!(seconds(&mut Readers::new(&history, since, true, all)), (2990..3000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken_by_either() {
        for benign in [false, true] {
            let history = Arc::new(History::new(8));
            let mut readers = Readers::new(&history, Start::Newest, true, |_| true);
            let waiter = tokio::spawn(async move { readers.wait().await && readers.take().items.len() == 1 });
            tokio::task::yield_now().await;
            history.push([flow(1, benign)]);
            assert!(waiter.await.unwrap(), "{benign}");
        }
    }
}
