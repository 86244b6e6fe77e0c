//! Pauses between attempts at what fails again and again.

use std::time::Duration;

/// What held for so many pauses was no failed attempt.
const HELD: u32 = 4;

/// Pauses that grow, until an attempt holds for a while. That it held for a moment says nothing: a server may accept, and end, for ever.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, last: Duration::ZERO, next: first }
    }

    /// How long to wait after an attempt that held for `held`.
    pub(super) fn pause(&mut self, held: Duration) -> Duration {
        if held > self.last * HELD {
            self.next = self.first;
        }
        self.last = self.next;
        self.next = (self.next * 2).min(self.longest);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_something_holds() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(250), ms(10_000)));
        // The first attempt had held for an hour.
        assert_eq!(backoff.pause(ms(3_600_000)), ms(250));
        // A server that accepts, tells one flow and ends.
        let pauses: Vec<_> = (0..8).map(|_| backoff.pause(ms(30)).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
        assert_eq!(backoff.pause(ms(30_000)), ms(10_000), "half a minute is little beside such pauses");
        assert_eq!(backoff.pause(ms(40_001)), ms(250));
        assert_eq!(backoff.pause(ms(999)), ms(500));
        let mut failing = Backoff::new((ms(250), ms(10_000)));
        assert_eq!([(); 3].map(|()| failing.pause(Duration::ZERO)), [ms(250), ms(500), ms(1000)]);
    }
}
