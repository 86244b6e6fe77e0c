//! What one client of GetFlows is sent, until its end, its client's or the server's.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use super::encoded::Encoded;
use super::history::{Chunk, History, Missed, Reader, Selection};
use super::query::Query;
use crate::flow::{LostEvents, LostSource, Observation};

/// Observations that are read at once. All that a client which stands still costs is so many responses, and those under way.
const ROOM: usize = 64;
/// A client is told no more often of what it missed.
const LOST_INTERVAL: Duration = Duration::from_secs(1);
/// Within the second that a clean stop may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where responses go.
pub(super) type Sender = mpsc::Sender<Result<Encoded, Status>>;

/// Why a stream goes no further.
enum Ended {
    /// All was sent, or the limit reached.
    Done,
    /// Nobody is there any more.
    ClientGone,
}

/// Begins to answer a query. What comes after this has returned is seen by one that follows.
pub(super) async fn answer(history: &Arc<History>, query: Query, to: Sender, stopped: watch::Receiver<bool>) {
    // Before the place is looked up, so that nothing comes in between unseen.
    let news = history.news();
    let reader = reader(&query, history).await;
    let mut stream =
        Stream { left: query.limit(), query, gaps: Gaps::default(), to, stopped: stopped.clone() };
    tokio::spawn(async move {
        // Either end is one; there is nobody to tell.
        tokio::select! {
            _ = stream.run(reader, news) => {}
            () = left_behind(stopped) => {}
        }
    });
}

/// A client that does not take what was under way at the stop is left behind.
async fn left_behind(mut stopped: watch::Receiver<bool>) {
    stop_of(&mut stopped).await;
    tokio::time::sleep(FAREWELL).await;
}

async fn stop_of(stopped: &mut watch::Receiver<bool>) {
    // An error means that the agent is gone: a stop as well.
    drop(stopped.wait_for(|stop| *stop).await);
}

async fn reader(query: &Query, history: &Arc<History>) -> Reader {
    let (query, history) = (query.clone(), Arc::clone(history));
    aside(move || {
        let (from, end) = query.range(&history);
        history.reader(from, end)
    })
    .await
}

struct Stream {
    query: Query,
    left: Option<u64>,
    gaps: Gaps,
    to: Sender,
    stopped: watch::Receiver<bool>,
}

impl Stream {
    async fn run(&mut self, mut reader: Reader, mut news: watch::Receiver<()>) -> Ended {
        loop {
            let (chunk, back) = step(reader, &self.query.selection).await;
            reader = back;
            let at_end = chunk.at_end;
            self.gaps.add(chunk.missed);
            if let Err(ended) = self.send_all(chunk.items).await {
                return ended;
            }
            if !at_end {
                continue;
            }
            let stopped = *self.stopped.borrow();
            if !self.query.follow || (stopped && !news.has_changed().unwrap_or(false)) {
                return self.finish().await;
            }
            if let Err(ended) = self.wait(&mut news).await {
                return ended;
            }
        }
    }

    /// Waits for more, and meanwhile tells what was missed, once that is due.
    async fn wait(&mut self, news: &mut watch::Receiver<()>) -> Result<(), Ended> {
        loop {
            tokio::select! {
                more = news.changed() => return more.map_err(|_| Ended::Done),
                () = stop_of(&mut self.stopped), if !*self.stopped.borrow() => return Ok(()),
                () = self.to.closed() => return Err(Ended::ClientGone),
                () = self.gaps.until_due() => self.tell_gaps().await?,
            }
        }
    }

    async fn send_all(&mut self, items: Vec<Observation>) -> Result<(), Ended> {
        self.tell_gaps().await?;
        for observation in items {
            if let Observation::Flow(flow) = &observation {
                if self.query.until.is_some_and(|until| flow.time > until) {
                    return Err(Ended::Done);
                }
                match &mut self.left {
                    Some(0) => return Err(self.finish().await),
                    Some(left) => *left -= 1,
                    None => {}
                }
            }
            self.send(Encoded::new(&observation, &self.query.mask)).await?;
        }
        if self.left == Some(0) {
            return Err(self.finish().await);
        }
        Ok(())
    }

    async fn tell_gaps(&mut self) -> Result<(), Ended> {
        match self.gaps.due(Instant::now()) {
            Some(lost) => self.send(Encoded::new(&Observation::Lost(lost), &self.query.mask)).await,
            None => Ok(()),
        }
    }

    /// What was missed is told at the end in any case.
    async fn finish(&mut self) -> Ended {
        if let Some(lost) = self.gaps.take(Instant::now())
            && let Err(ended) = self.send(Encoded::new(&Observation::Lost(lost), &self.query.mask)).await
        {
            return ended;
        }
        Ended::Done
    }

    async fn send(&self, response: Encoded) -> Result<(), Ended> {
        self.to.send(Ok(response)).await.map_err(|_| Ended::ClientGone)
    }
}

/// What a client missed and has not been told of.
#[derive(Debug, Default)]
struct Gaps {
    untold: Option<Missed>,
    told: Option<Instant>,
}

impl Gaps {
    fn add(&mut self, missed: Option<Missed>) {
        if let Some(missed) = missed {
            self.untold = Some(self.untold.map_or(missed, |untold| untold.and(missed)));
        }
    }

    /// The sum, if the last was told long enough ago.
    fn due(&mut self, now: Instant) -> Option<LostEvents> {
        let due = self.told.is_none_or(|told| now.duration_since(told) >= LOST_INTERVAL);
        if due { self.take(now) } else { None }
    }

    fn take(&mut self, now: Instant) -> Option<LostEvents> {
        let Missed { count, first, last } = self.untold.take()?;
        self.told = Some(now);
        Some(LostEvents {
            source: LostSource::HubbleRingBuffer,
            count,
            cpu: None,
            time: Timestamp::now(),
            first,
            last,
            node_name: None,
        })
    }

    /// Never comes true if there is nothing to tell.
    async fn until_due(&self) {
        match (self.untold, self.told) {
            (Some(_), Some(told)) => tokio::time::sleep_until(told + LOST_INTERVAL).await,
            (Some(_), None) => {}
            (None, _) => std::future::pending().await,
        }
    }
}

/// Reads on, on a thread that may wait for the disk.
async fn step(mut reader: Reader, selection: &Arc<Selection>) -> (Chunk, Reader) {
    let selection = Arc::clone(selection);
    aside(move || {
        let chunk = reader.step(&selection, ROOM);
        (chunk, reader)
    })
    .await
}

/// Does what may take a while without holding up other tasks.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A panic goes on where it belongs. Nothing cancels such work but the runtime's own end, which cancels this, too.
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
