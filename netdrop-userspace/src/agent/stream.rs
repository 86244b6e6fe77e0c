//! What one client of GetFlows is sent, until its end, its client's or the server's.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use super::encoded::Encoded;
use super::history::{Chunk, Fed, Feed, History, Item, Missed, Position, Reader, Selection, time_of};
use super::query::Query;
use crate::flow::{LostEvents, LostSource, Observation};

/// Observations that are read at once. All that a client which stands still costs is so many responses, and those under way.
const ROOM: usize = 64;
/// Readers at once, over all clients: so that many who have fallen behind don't take the machine from those who keep up.
static READING: Semaphore = Semaphore::const_new(2);
/// A client is told no more often of what it missed.
const LOST_INTERVAL: Duration = Duration::from_secs(1);
/// Within the second that a clean stop may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Responses under way to one client; then it is the client that must read, and what comes that waits.
const IN_FLIGHT: usize = 64;

/// Where responses go.
type Sender = mpsc::Sender<Result<Encoded, Status>>;

/// Why a stream goes no further.
enum Ended {
    /// All was sent, or the limit reached.
    Done,
    /// Nobody is there any more.
    ClientGone,
}

/// Begins to answer a query. What comes after this has returned is seen by one that follows.
pub async fn answer(
    history: &Arc<History>,
    query: Query,
    stopped: watch::Receiver<bool>,
) -> mpsc::Receiver<Result<Encoded, Status>> {
    let (to, responses) = mpsc::channel(IN_FLIGHT);
    let reader = reader(&query, history).await;
    let mut stream = Stream {
        history: Arc::clone(history),
        left: query.limit(),
        query,
        gaps: Gaps::default(),
        to,
        stopped: stopped.clone(),
    };
    tokio::spawn(async move {
        // Either end is one; there is nobody to tell.
        tokio::select! {
            _ = stream.run(reader) => {}
            () = left_behind(stopped) => {}
        }
    });
    responses
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
    // This goes with the call, and a thread of its own does not.
    let client = Arc::new(());
    let there = Arc::downgrade(&client);
    let reader = aside(move || {
        let (from, end) = query.range(&history, &|| there.strong_count() > 0);
        history.reader(from, end)
    })
    .await;
    drop(client);
    reader
}

struct Stream {
    history: Arc<History>,
    query: Query,
    left: Option<u64>,
    gaps: Gaps,
    to: Sender,
    stopped: watch::Receiver<bool>,
}

impl Stream {
    async fn run(&mut self, reader: Reader) -> Ended {
        match self.all(reader).await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    /// A follower reads by itself until it is at the end. From there on it is dealt out what comes, for as long as it keeps up.
    async fn all(&mut self, mut reader: Reader) -> Result<Ended, Ended> {
        loop {
            // Once it is said, nothing comes any more.
            let stopped = *self.stopped.borrow();
            reader = self.read(reader).await?;
            if !self.query.follow || stopped {
                let ended = self.finish().await;
                if self.query.follow {
                    // Who follows has not come to an end of his own.
                    let _ = self.to.send(Err(Status::unavailable("the agent stops"))).await;
                }
                return Ok(ended);
            }
            let (mut feed, from) = match self.history.follow(self.query.wanted()) {
                Ok(feed) => feed,
                Err(e) => {
                    let why = format!("the agent cannot start a thread that serves followers: {e}");
                    let _ = self.to.send(Err(Status::resource_exhausted(why))).await;
                    return Ok(Ended::Done);
                }
            };
            self.read(reader.until(from)).await?;
            let (position, after) = self.live(&mut feed).await?;
            reader = self.history.reader_after(position, after);
        }
    }

    /// Sends all up to the reader's end, or to what is the newest.
    async fn read(&mut self, mut reader: Reader) -> Result<Reader, Ended> {
        loop {
            // A filter may let nothing through for long, and then nothing is sent that would tell.
            if self.to.is_closed() {
                return Err(Ended::ClientGone);
            }
            let (chunk, back) = step(reader, &self.query.selection).await;
            reader = back;
            self.gaps.add(chunk.missed());
            self.tell_gaps().await?;
            for observation in chunk.items {
                let (time, is_flow) = (time_of(&observation), matches!(observation, Observation::Flow(_)));
                let response = Encoded::new(&observation, &self.query.mask);
                self.send_one(time, is_flow, response).await?;
            }
            if self.left == Some(0) {
                return Err(self.finish().await);
            }
            if chunk.at_end {
                return Ok(reader);
            }
        }
    }

    /// Sends what comes. Where to read on, and when that was, once the client has fallen behind or the agent stops.
    async fn live(&mut self, feed: &mut Feed) -> Result<(Position, Option<Timestamp>), Ended> {
        let (mut stopping, mut left) = (false, None);
        loop {
            tokio::select! {
                fed = feed.next() => match fed {
                    Some(Fed::Items(items)) => self.send_all(&items).await?,
                    Some(Fed::Missed(missed)) => self.gaps.add(Some(missed)),
                    Some(Fed::Behind { position, after }) => return Ok((position, after)),
                    None => return left.map(|position| (position, None)).ok_or(Ended::Done),
                },
                // What is queued still comes.
                () = stop_of(&mut self.stopped), if !stopping => (stopping, left) = (true, feed.leave()),
                () = self.to.closed() => return Err(Ended::ClientGone),
                () = self.gaps.until_due() => self.tell_gaps().await?,
            }
        }
    }

    async fn send_all(&mut self, items: &[Item]) -> Result<(), Ended> {
        self.tell_gaps().await?;
        for Item { time, is_flow, response } in items {
            if self.query.since.is_none_or(|since| *time >= since) {
                self.send_one(*time, *is_flow, response.clone()).await?;
            }
        }
        Ok(())
    }

    async fn send_one(&mut self, time: Timestamp, is_flow: bool, response: Encoded) -> Result<(), Ended> {
        if is_flow {
            if self.query.until.is_some_and(|until| time > until) {
                return Err(Ended::Done);
            }
            match &mut self.left {
                Some(0) => return Err(self.finish().await),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        self.send(response).await
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
    // In the order they came, a few blocks each. It is never closed.
    let _turn = READING.acquire().await;
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
