//! The log feed: one JSON line per observation, held to a rate, so that a storm can't fill the node's disk.
//!
//! What it withheld is stated, exactly: shown + withheld = all.

use std::io::{self, Write};
use std::time::Instant;

use jiff::Timestamp;

use crate::flow::{LostEvents, LostSource, Observation};
use crate::sink::write_json;

/// A quiet node may log this many seconds' worth at once.
const BURST_SECONDS: f64 = 10.0;

/// Lines and observations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedTally {
    /// Flows written.
    pub shown: u64,
    /// Flows held back.
    pub withheld: u64,
}

/// Writes lines at a rate.
pub struct Feed<W> {
    out: W,
    rate: f64,
    tokens: f64,
    filled: Instant,
    ticked: Instant,
    tally: FeedTally,
    unsaid: u64,
    first_unsaid: Option<Timestamp>,
    last_unsaid: Option<Timestamp>,
    line: String,
    reader_gone: bool,
}

impl<W: Write> Feed<W> {
    /// At most `rate` lines a second, ten seconds' worth at once; 0: none at all.
    pub fn new(out: W, rate: u32) -> Self {
        let rate = f64::from(rate);
        Self {
            out,
            rate,
            tokens: rate * BURST_SECONDS,
            filled: Instant::now(),
            ticked: Instant::now(),
            tally: FeedTally::default(),
            unsaid: 0,
            first_unsaid: None,
            last_unsaid: None,
            line: String::new(),
            reader_gone: false,
        }
    }

    /// Writes an observation, or counts it as withheld.
    pub fn write(&mut self, observation: &Observation) -> io::Result<()> {
        if self.rate == 0.0 {
            return Ok(());
        }
        self.fill(Instant::now());
        let Observation::Flow(flow) = observation else {
            // Loss and nodes' states are few, and never withheld.
            return self.put(observation);
        };
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            self.tally.shown += 1;
            return self.put(observation);
        }
        self.tally.withheld += 1;
        self.unsaid += 1;
        self.first_unsaid.get_or_insert(flow.time);
        self.last_unsaid = Some(flow.time);
        Ok(())
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + seconds * self.rate).min(self.rate * BURST_SECONDS);
        self.filled = now;
    }

    /// Counts flows that never came here.
    pub fn withhold(&mut self, count: u64) {
        if self.rate > 0.0 {
            self.tally.withheld += count;
            self.unsaid += count;
        }
    }

    /// [`Feed::tick`], if the last one is that long ago.
    pub fn tick_if_due(&mut self, period: std::time::Duration) -> io::Result<()> {
        if self.ticked.elapsed() < period { Ok(()) } else { self.tick() }
    }

    /// Says what was withheld since the last time.
    pub fn tick(&mut self) -> io::Result<()> {
        self.ticked = Instant::now();
        if self.unsaid == 0 {
            return Ok(());
        }
        let lost = Observation::Lost(LostEvents {
            source: LostSource::ObserverEventsQueue,
            count: std::mem::take(&mut self.unsaid),
            cpu: None,
            time: Timestamp::now(),
            first: self.first_unsaid.take(),
            last: self.last_unsaid.take(),
            node_name: None,
        });
        self.put(&lost)?;
        self.flush()
    }

    /// Brings lines to their reader. A log that nobody reads any more is no reason to end.
    pub fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.quietly(flushed)
    }

    /// The last count, and the sums.
    pub fn finish(mut self) -> io::Result<FeedTally> {
        self.tick()?;
        self.flush()?;
        Ok(self.tally)
    }

    fn put(&mut self, observation: &Observation) -> io::Result<()> {
        if self.reader_gone {
            return Ok(());
        }
        self.line.clear();
        write_json(observation, &mut self.line);
        let written = self.out.write_all(self.line.as_bytes());
        self.quietly(written)
    }

    fn quietly(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_gone = true;
                Ok(())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Flow, Verdict};

    #[test]
    fn shown_and_withheld_make_all() {
        let mut out = Vec::new();
        let mut feed = Feed::new(&mut out, 10);
        let flow = Observation::Flow(Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped));
        for i in 0..5000 {
            feed.write(&flow).unwrap();
            if i % 1000 == 0 {
                feed.tick().unwrap();
            }
        }
        let tally = feed.finish().unwrap();
        assert_eq!(tally.shown + tally.withheld, 5000);
        assert!((100..200).contains(&tally.shown), "{tally:?}");
        let text = String::from_utf8(out).unwrap();
        let (mut lines, mut said) = (0, 0);
        for line in text.lines() {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            match v["lost_events"]["num_events_lost"].as_str() {
                Some(n) => said += n.parse::<u64>().unwrap(),
                None => lines += 1,
            }
        }
        assert_eq!((lines, said), (tally.shown, tally.withheld));
    }

    #[test]
    fn tokens_come_back_with_time() {
        let mut feed = Feed::new(io::sink(), 10);
        feed.tokens = 0.0;
        feed.fill(feed.filled + std::time::Duration::from_millis(250));
        assert!((feed.tokens - 2.5).abs() < 1e-9);
        feed.fill(feed.filled + std::time::Duration::from_secs(1000));
        assert!((feed.tokens - 100.0).abs() < 1e-9);
    }
}
