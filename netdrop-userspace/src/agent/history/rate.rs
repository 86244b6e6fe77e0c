//! How many flows a second there were of late.

use std::collections::VecDeque;
use std::time::Duration;

/// The rate is told over this many seconds.
const SECONDS: u64 = 60;

/// Flows of each of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Second since the start, and how many.
    per_second: VecDeque<(u64, u64)>,
}

impl Rate {
    pub(super) fn add(&mut self, uptime: Duration, flows: u64) {
        let second = uptime.as_secs();
        match self.per_second.back_mut() {
            Some((last, n)) if *last == second => *n += flows,
            _ => self.per_second.push_back((second, flows)),
        }
        while self.per_second.front().is_some_and(|(first, _)| first + SECONDS < second) {
            self.per_second.pop_front();
        }
    }

    pub(super) fn per_second(&self, uptime: Duration) -> f64 {
        let from = uptime.as_secs().saturating_sub(SECONDS);
        let recent: u64 = self.per_second.iter().filter(|(s, _)| *s >= from).map(|(_, n)| n).sum();
        let most = Duration::from_secs(SECONDS).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate with two digits")]
        let rate = recent as f64 / uptime.as_secs_f64().clamp(1.0, most);
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts() {
        let mut rate = Rate::default();
        rate.add(Duration::from_secs(0), 1000);
        rate.add(Duration::from_secs(100), 60);
        rate.add(Duration::from_secs(100), 60);
        assert!((rate.per_second(Duration::from_secs(110)) - 2.0).abs() < 1e-9);
        assert!(rate.per_second(Duration::from_mins(5)).abs() < 1e-9);
    }
}
