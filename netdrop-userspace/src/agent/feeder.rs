//! The feed's own thread: a log that nobody reads for a while must hold up neither capture nor a stop.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::feed::{Feed, FeedTally};
use crate::flow::Observation;

/// Batches on their way to the log.
const QUEUE: usize = 64;
/// How often the feed says what it withheld.
const TICK: Duration = Duration::from_secs(1);
/// A log that is not taken by then at the end is left behind.
const FAREWELL: Duration = Duration::from_millis(500);

enum Item {
    Batch(Vec<Arc<Observation>>),
    /// Flows of batches that found the queue full.
    Withheld(u64),
}

/// Handle of the thread.
pub(super) struct Feeder {
    to: SyncSender<Item>,
    overflow: u64,
    tally: oneshot::Receiver<std::io::Result<FeedTally>>,
}

impl Feeder {
    /// Starts it.
    pub(super) fn start(out: impl Write + Send + 'static, rate: u32) -> std::io::Result<Self> {
        let (to, items) = sync_channel(QUEUE);
        let (done, tally) = oneshot::channel();
        let feed = Feed::new(out, rate);
        std::thread::Builder::new().name("netdrop-feed".into()).spawn(move || {
            // Nobody waits any more: the agent has ended.
            drop(done.send(write_all(&items, feed)));
        })?;
        Ok(Self { to, overflow: 0, tally })
    }

    /// Hands a batch on; without room its flows count as withheld. An error is the log's, and ends the agent.
    pub(super) fn push(&mut self, batch: &[Arc<Observation>]) -> std::io::Result<()> {
        if self.overflow > 0 && self.to.try_send(Item::Withheld(self.overflow)).is_ok() {
            self.overflow = 0;
        }
        match self.to.try_send(Item::Batch(batch.to_vec())) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                let flows = |o: &&Arc<Observation>| matches!(***o, Observation::Flow(_));
                self.overflow += batch.iter().filter(flows).count() as u64;
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => match self.tally.try_recv() {
                Ok(Err(e)) => Err(e),
                _ => Err(std::io::Error::other("the log feed has ended")),
            },
        }
    }

    /// Ends it; `None`: nobody took the log's last lines in time.
    pub(super) async fn finish(self) -> std::io::Result<Option<FeedTally>> {
        let Self { to, overflow, tally } = self;
        drop(to);
        match tokio::time::timeout(FAREWELL, tally).await {
            Ok(Ok(tally)) => {
                let tally = tally?;
                Ok(Some(FeedTally { withheld: tally.withheld + overflow, ..tally }))
            }
            _ => Ok(None),
        }
    }
}

fn write_all<W: Write>(items: &Receiver<Item>, mut feed: Feed<W>) -> std::io::Result<FeedTally> {
    loop {
        match items.recv_timeout(TICK) {
            Ok(Item::Batch(batch)) => {
                for observation in &batch {
                    feed.write(observation)?;
                }
                feed.flush()?;
                feed.tick_if_due(TICK)?;
            }
            Ok(Item::Withheld(count)) => feed.withhold(count),
            Err(RecvTimeoutError::Timeout) => feed.tick()?,
            Err(RecvTimeoutError::Disconnected) => return feed.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::flow::{Flow, Verdict};

    /// A reader that never reads.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            // Until the test ends.
            let _ = self.0.recv();
            Err(std::io::Error::other("the test is over"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_log_that_is_stuck_holds_nobody_up() {
        let (_end, stuck) = sync_channel(1);
        let mut feeder = Feeder::start(Stuck(stuck), 1_000_000).unwrap();
        let batch = [Arc::new(Observation::Flow(Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped)))];
        for _ in 0..10_000 {
            feeder.push(&batch).unwrap();
        }
        assert!(feeder.overflow > 0);
        assert_eq!(feeder.finish().await.unwrap(), None);
    }

    #[tokio::test]
    async fn every_flow_is_shown_or_withheld() {
        let mut feeder = Feeder::start(std::io::sink(), 10).unwrap();
        let flow = Arc::new(Observation::Flow(Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped)));
        let batch = vec![flow; 10];
        for _ in 0..1000 {
            feeder.push(&batch).unwrap();
        }
        let tally = feeder.finish().await.unwrap().unwrap();
        assert_eq!(tally.shown + tally.withheld, 10_000, "{tally:?}");
    }
}
