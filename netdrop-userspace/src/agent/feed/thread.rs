//! A feed's own thread: a log that nobody reads for a while must hold up neither capture nor a stop.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::file::{Out, Rotating, Stream};
use super::writer::{Missing, Writer};
use super::{FeedError, FeedSpec, Plan, Target};
use crate::flow::Observation;
use crate::proto::flow::AgentEvent;

/// Batches on their way to a feed.
const QUEUE: usize = 64;
/// How often a feed says what is missing.
const TICK: Duration = Duration::from_secs(1);
/// How long the feed before, which writes to the same place, may take to end.
const PREDECESSOR: Duration = Duration::from_secs(5);

/// What became of a feed's drops (packets, not observations), and how it does.
#[derive(Debug, Default)]
pub struct FeedCounts {
    /// Lines written.
    pub lines: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Drops that they tell.
    pub told: AtomicU64,
    /// Turned away by the feed's filter.
    pub hidden: AtomicU64,
    /// Over the rate.
    pub withheld: AtomicU64,
    /// Found the queue full.
    pub overflow: AtomicU64,
    /// Could not be written.
    pub failed: AtomicU64,
    /// Events of the agent that lines tell.
    pub events: AtomicU64,
    /// Events of the agent that no line tells: over the rate, without room in the queue, or not to be written.
    pub events_missed: AtomicU64,
    /// Batches in the queue.
    pub queued: AtomicUsize,
    /// Has not come to its end.
    pub active: AtomicBool,
    /// The last writing went well.
    pub working: AtomicBool,
    reopen: AtomicBool,
    /// Drops of batches that found the queue full, and of which the feed has not heard yet.
    missing: Mutex<Missing>,
}

impl FeedCounts {
    /// A panic elsewhere leaves the numbers whole.
    fn missing(&self) -> MutexGuard<'_, Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Batch = Arc<[Arc<Observation>]>;

/// What goes to a feed.
pub(super) enum Item {
    Batch(Batch),
    Event(Event),
}

/// An event of the agent, and on which node it was.
#[derive(Clone, Debug)]
pub struct Event {
    /// The node's name.
    pub node: Arc<str>,
    /// When it was.
    pub time: Timestamp,
    /// What it was.
    pub event: Arc<AgentEvent>,
}

/// Handle of the thread.
pub(super) struct Handle {
    pub(super) spec: FeedSpec,
    plan: Plan,
    to: SyncSender<Item>,
    pub(super) counts: Arc<FeedCounts>,
    ended: Ended,
}

/// Tells when a thread has ended.
pub(super) struct Ended(Receiver<()>);

impl Ended {
    /// `false`: not in this time.
    pub(super) fn within(&self, time: Duration) -> bool {
        matches!(self.0.recv_timeout(time), Err(RecvTimeoutError::Disconnected))
    }
}

/// A feed that can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is configured makes no sense.
    #[error(transparent)]
    Config(#[from] FeedError),
    /// The system has no thread for it.
    #[error("no thread can be started")]
    Thread(#[source] io::Error),
}

impl Handle {
    /// Starts it. `after`: the feed before, which it takes the place of. The receiver brings whether it can write, once that
    /// is known.
    pub(super) fn start(
        spec: FeedSpec,
        after: Option<Ended>,
    ) -> Result<(Self, Receiver<io::Result<()>>), StartError> {
        let out: Box<dyn Out> = match &spec.target {
            Target::Stdout => Box::new(Stream(io::stdout())),
            Target::File(file) => Box::new(Rotating::new(&spec.name, file).map_err(StartError::Thread)?),
        };
        Self::start_to(spec, out, after)
    }

    pub(super) fn start_to(
        spec: FeedSpec,
        out: Box<dyn Out>,
        after: Option<Ended>,
    ) -> Result<(Self, Receiver<io::Result<()>>), StartError> {
        let plan = spec.compile()?;
        let (to, items) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(1);
        let (opened, open) = sync_channel(1);
        let counts = Arc::new(FeedCounts::default());
        counts.active.store(true, Relaxed);
        counts.working.store(true, Relaxed);
        let mut writer = Writer::new(&spec, plan.clone(), out, Arc::clone(&counts));
        let here = Arc::clone(&counts);
        let run = move || {
            if let Some(before) = after
                && !before.within(PREDECESSOR)
            {
                tracing::warn!("the feed before does not end; both write to the same place for a while");
            }
            // Nobody waits for it any more, if it took long.
            drop(opened.send(writer.open()));
            write_all(&items, writer, &here);
            drop(end);
        };
        std::thread::Builder::new().name("netdrop-feed".into()).spawn(run).map_err(StartError::Thread)?;
        Ok((Self { spec, plan, to, counts, ended: Ended(ended) }, open))
    }

    /// Hands a batch on; without room its drops are counted, and the feed says so.
    pub(super) fn push(&self, batch: &Batch) {
        if self.hand(Item::Batch(Arc::clone(batch))) {
            return;
        }
        let mut missing = self.counts.missing();
        let before = missing.count();
        for observation in batch.iter() {
            if let Observation::Flow(flow) = &**observation
                && self.plan.tells(flow)
            {
                missing.add_flow(flow);
            }
        }
        self.counts.overflow.fetch_add(missing.count() - before, Relaxed);
    }

    /// Hands an event on, if the feed tells such; without room it is counted, and the feed says so.
    pub(super) fn tell(&self, event: &Event) {
        if self.plan.events && !self.hand(Item::Event(event.clone())) {
            self.counts.events_missed.fetch_add(1, Relaxed);
        }
    }

    /// `false`: there is no room.
    fn hand(&self, item: Item) -> bool {
        self.counts.queued.fetch_add(1, Relaxed);
        let taken = self.to.try_send(item).is_ok();
        if !taken {
            self.counts.queued.fetch_sub(1, Relaxed);
        }
        taken
    }

    /// Has the file opened anew.
    pub(super) fn reopen(&self) {
        self.counts.reopen.store(true, Relaxed);
    }

    /// Lets it end when it has written what it was given.
    pub(super) fn end(self) -> (Ended, Arc<FeedCounts>) {
        (self.ended, self.counts)
    }
}

fn write_all(items: &Receiver<Item>, mut writer: Writer, counts: &FeedCounts) {
    let mut tick = Instant::now() + TICK;
    loop {
        let due = writer.due(tick);
        match items.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(item) => {
                counts.queued.fetch_sub(1, Relaxed);
                match item {
                    Item::Batch(batch) => writer.write(&batch),
                    Item::Event(event) => writer.tell(&event),
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                writer.miss(std::mem::take(&mut *counts.missing()));
                return writer.finish();
            }
        }
        if counts.reopen.swap(false, Relaxed) {
            writer.reopen();
        }
        let now = Instant::now();
        if now >= due {
            writer.miss(std::mem::take(&mut *counts.missing()));
            writer.tick();
        }
        if now >= tick {
            tick = now + TICK;
        }
    }
}
