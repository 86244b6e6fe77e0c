//! Kernel time to wall time.

use jiff::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// The anchor is taken anew after this long: wall clocks are stepped and slewed, the monotonic clock is not.
const RENEW_NS: u64 = 1_000_000_000;
/// Readings per anchor; the one with the least time between its two monotonic readings wins.
const TRIES: usize = 5;

/// Reads the two clocks, in ns.
pub trait Clocks {
    /// `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` gives it.
    fn monotonic(&self) -> i128;
    /// `CLOCK_REALTIME`.
    fn realtime(&self) -> i128;
}

/// This machine's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClocks;

fn nanos(t: Timespec) -> i128 {
    i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec)
}

impl Clocks for SystemClocks {
    fn monotonic(&self) -> i128 {
        nanos(clock_gettime(ClockId::Monotonic))
    }
    fn realtime(&self) -> i128 {
        nanos(clock_gettime(ClockId::Realtime))
    }
}

/// Maps `CLOCK_MONOTONIC` to wall time by one anchor, which follows steps of the wall clock.
#[derive(Debug)]
pub struct Clock<C = SystemClocks> {
    clocks: C,
    offset: i128,
    /// `CLOCK_MONOTONIC`, ns, at which the anchor is old.
    renew_at: u64,
}

impl Clock {
    /// Anchored now.
    pub fn new() -> Self {
        Self::with(SystemClocks)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clocks> Clock<C> {
    /// Anchored now by the given clocks.
    pub fn with(clocks: C) -> Self {
        let mut clock = Self { clocks, offset: 0, renew_at: 0 };
        clock.renew();
        clock
    }

    /// Wall time of a kernel timestamp in ns. A time that no timestamp can hold becomes the epoch.
    pub fn wall(&mut self, monotonic_ns: u64) -> Timestamp {
        // The records' own time tells when a second is over: no clock is read for each.
        if monotonic_ns >= self.renew_at {
            self.renew();
        }
        Timestamp::from_nanosecond(i128::from(monotonic_ns) + self.offset).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn renew(&mut self) {
        self.offset = anchor(&self.clocks);
        let now = u64::try_from(self.clocks.monotonic()).unwrap_or(0);
        self.renew_at = now.saturating_add(RENEW_NS);
    }
}

/// Wall time minus monotonic time, by the tightest of a few readings.
fn anchor(clocks: &impl Clocks) -> i128 {
    (0..TRIES)
        .map(|_| {
            let before = clocks.monotonic();
            let wall = clocks.realtime();
            let after = clocks.monotonic();
            (after - before, wall - i128::midpoint(before, after))
        })
        .min_by_key(|(width, _)| *width)
        .map_or(0, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Fake<'a> {
        wall_ahead: &'a Cell<i128>,
    }

    impl Clocks for Fake<'_> {
        fn monotonic(&self) -> i128 {
            5_000_000_000
        }
        fn realtime(&self) -> i128 {
            self.monotonic() + self.wall_ahead.get()
        }
    }

    #[test]
    fn a_step_and_a_slew_of_the_wall_clock_are_followed() {
        let ahead = Cell::new(1_700_000_000_000_000_000);
        let mut clock = Clock::with(Fake { wall_ahead: &ahead });
        let before = clock.wall(7);
        assert_eq!(before.as_nanosecond(), 1_700_000_000_000_000_007);
        ahead.set(ahead.get() + 3_600_000_000_000);
        clock.renew();
        assert_eq!(clock.wall(7).as_nanosecond() - before.as_nanosecond(), 3_600_000_000_000);
        ahead.set(ahead.get() + 500);
        clock.renew();
        assert_eq!(clock.wall(7).as_nanosecond() - before.as_nanosecond(), 3_600_000_000_500);
    }

    #[test]
    fn now_is_now() {
        let now = u64::try_from(SystemClocks.monotonic()).unwrap();
        let off = Clock::new().wall(now).duration_until(Timestamp::now());
        assert!(off.as_millis().abs() < 1000, "{off:?}");
    }

    #[test]
    fn an_impossible_time_does_not_panic() {
        assert!(Clock::new().wall(u64::MAX) > Timestamp::UNIX_EPOCH);
    }
}
