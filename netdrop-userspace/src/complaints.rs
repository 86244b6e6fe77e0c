//! Complaints about others, who must not fill the log with them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Complaints: one in this time.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);

/// Says one thing in a while, and then how many it kept quiet about.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<(Option<Instant>, u64)>);

impl Complaints {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Calls `say` with the number of those that were kept quiet, if it is time.
    pub(crate) fn make(&self, say: impl FnOnce(u64)) {
        if let Some(kept) = self.due(Instant::now()) {
            say(kept);
        }
    }

    /// Calls `say` with the number of those that were kept quiet, if it is time and there are any.
    pub(crate) fn rest(&self, say: impl FnOnce(u64)) {
        if let Some(kept) = self.left(Instant::now()) {
            say(kept);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Instant>, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        let due = state.1 > 0 && state.0.is_none_or(|last| now.duration_since(last) >= PAUSE);
        due.then(|| {
            state.0 = Some(now);
            std::mem::take(&mut state.1)
        })
    }

    fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        if state.0.is_some_and(|last| now.duration_since(last) < PAUSE) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_few_and_counted() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let at = |seconds| complaints.due(start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(9), at(10), at(11), at(30)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
        let left = |seconds| complaints.left(start + Duration::from_secs(seconds));
        assert_eq!(left(50), None, "nothing was kept quiet");
        assert_eq!((at(31), left(39), left(40), left(60)), (None, None, Some(1), None));
    }
}
