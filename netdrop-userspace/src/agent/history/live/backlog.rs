//! What was pushed and has yet to be dealt out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Place;
use crate::flow::Observation;

/// Observations that are dealt out at once.
pub(in super::super) const BATCH: usize = 256;
/// Observations that may wait. Beyond, they are read from the rings, where they are anyway.
const MOST_WAITING: usize = 8192;

/// Observations in the order they were pushed, and where the first of them is.
#[derive(Debug)]
pub(in super::super) struct Batch {
    pub(in super::super) start: Place,
    pub(in super::super) items: Vec<Arc<Observation>>,
}

/// What the thread is to do.
pub(super) enum Work {
    Batch(Batch),
    /// Something was let go.
    Overrun,
}

/// A bounded queue, which is there only while somebody follows.
#[derive(Debug, Default)]
pub(in super::super) struct Backlog {
    /// Changes under the lock of the rings only.
    active: AtomicBool,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    waiting: usize,
    overrun: bool,
    closed: bool,
}

impl State {
    fn clear(&mut self) {
        // Gives back what a burst took.
        self.batches = VecDeque::new();
        (self.waiting, self.overrun) = (0, false);
    }
}

impl Backlog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody follows.
    pub(in super::super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Takes over what was pushed. Under the lock of the rings, so that nothing comes in between.
    pub(in super::super) fn offer(&self, batches: Vec<Batch>) {
        let mut state = self.state();
        if state.overrun || !self.is_active() {
            return;
        }
        let more: usize = batches.iter().map(|batch| batch.items.len()).sum();
        if state.waiting + more > MOST_WAITING {
            state.clear();
            state.overrun = true;
        } else {
            state.waiting += more;
            state.batches.extend(batches);
        }
        drop(state);
        self.more.notify_one();
    }

    /// Waits for something to do. `None`: there is no history any more.
    pub(super) fn take(&self) -> Option<Work> {
        let idle = |state: &mut State| state.batches.is_empty() && !state.overrun && !state.closed;
        let mut state = self.more.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        if state.overrun {
            return Some(Work::Overrun);
        }
        let batch = state.batches.pop_front()?;
        state.waiting -= batch.items.len();
        Some(Work::Batch(batch))
    }

    /// Begins anew with what comes next. Under the lock of the rings.
    pub(super) fn restart(&self, active: bool) {
        self.state().clear();
        self.active.store(active, Ordering::Relaxed);
    }

    /// Nobody follows any more.
    pub(super) fn rest(&self) {
        self.active.store(false, Ordering::Relaxed);
        self.state().clear();
    }

    /// Ends the thread.
    pub(in super::super) fn close(&self) {
        self.state().closed = true;
        self.more.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Flow, Verdict};

    fn batch(seq: u64, count: usize) -> Batch {
        let flow = Flow::new(jiff::Timestamp::UNIX_EPOCH, Verdict::Dropped);
        let one = Arc::new(Observation::Flow(flow));
        let items = vec![one; count];
        Batch { start: Place { seq, ..Place::default() }, items }
    }

    #[test]
    fn what_does_not_fit_is_let_go_and_said() {
        let backlog = Backlog::default();
        backlog.offer(vec![batch(0, 1)]);
        backlog.restart(true);
        backlog.offer(vec![batch(1, 4), batch(5, 4)]);
        assert!(
            matches!(backlog.take(), Some(Work::Batch(batch)) if batch.start.seq == 1),
            "nobody followed before"
        );
        backlog.offer(vec![batch(9, MOST_WAITING - 4)]);
        assert!(
            matches!(backlog.take(), Some(Work::Batch(batch)) if batch.start.seq == 5),
            "it fits just so"
        );
        backlog.offer(vec![batch(20_000, 5)]);
        assert!(matches!(backlog.take(), Some(Work::Overrun)));
        backlog.offer(vec![batch(30_000, 1)]);
        assert!(matches!(backlog.take(), Some(Work::Overrun)), "until it begins anew");
        backlog.restart(true);
        backlog.offer(vec![batch(40_000, 1)]);
        assert!(matches!(backlog.take(), Some(Work::Batch(batch)) if batch.start.seq == 40_000));
        backlog.close();
        assert!(backlog.take().is_none());
    }
}
