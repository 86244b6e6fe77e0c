//! The one thread that reads the ring buffer and the flow maps.
//!
//! The kernel side wakes it for the first record after a quiet time and when the buffer fills up; in between it looks by a short
//! timer. What it reads goes on in batches over a bounded channel. When the next in line is slow the thread waits: the kernel
//! side then adds up by flow what the ring buffer can't hold.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use rustix::event::{EventfdFlags, Timespec, epoll};
use tokio::sync::mpsc;

use super::FlowMaps;
use crate::clock::{Clocks as _, SystemClocks};
use crate::decode::{DropEvent, FlowCount, RestCount};

/// After this long without a wakeup the kernel side wakes the reader for the next record.
pub(super) const QUIET: Duration = Duration::from_millis(5);
/// How often the reader looks while records come.
const TICK: Duration = Duration::from_millis(2);
/// How long it goes on looking after the last record: longer than [`QUIET`], so that no record waits for a wakeup nobody sends.
const LINGER: Duration = Duration::from_millis(12);
/// And should a wakeup ever be missed.
const IDLE: Duration = Duration::from_millis(250);
/// How often flows are told that were added up.
const FLUSH: Duration = Duration::from_secs(1);
/// Most items in a batch.
const BATCH: usize = 1024;
/// Batches under way.
const QUEUE: usize = 8;

/// What was read together.
#[derive(Debug)]
pub enum Batch {
    /// Records in the order the kernel wrote them.
    Records(Vec<DropEvent>),
    /// Flows that were added up until this time (`CLOCK_MONOTONIC`, ns); all records of before have been told.
    Flows(u64, Vec<FlowCount>),
    /// What found no room as a flow, likewise.
    Rest(u64, Vec<RestCount>),
}

/// Handle of the reading thread; dropping it stops the thread.
pub struct Reader {
    batches: mpsc::Receiver<Batch>,
    spent: mpsc::Sender<Vec<DropEvent>>,
    undecodable: Arc<AtomicU64>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts reading.
    pub fn spawn(ring: RingBuf<MapData>, flows: FlowMaps) -> io::Result<Self> {
        let (tx, batches) = mpsc::channel(QUEUE);
        let (spent, reuse) = mpsc::channel(QUEUE);
        let undecodable = Arc::new(AtomicU64::new(0));
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&poller, ring.as_fd(), epoll::EventData::new_u64(0), edge)?;
        epoll::add(&poller, &stop, epoll::EventData::new_u64(1), epoll::EventFlags::IN)?;
        let mut worker = Worker {
            ring,
            flows,
            poller,
            tx,
            reuse,
            undecodable: Arc::clone(&undecodable),
            batch: Vec::with_capacity(BATCH),
            flushed: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("netdrop-ring".into()).spawn(move || worker.run())?;
        Ok(Self { batches, spent, undecodable, stop, thread: Some(thread) })
    }

    /// The next batch; `None` once stopped and read to the end. Safe to cancel.
    pub async fn next(&mut self) -> Option<Batch> {
        self.batches.recv().await
    }

    /// The next batch, if one is ready.
    pub fn try_next(&mut self) -> Option<Batch> {
        self.batches.try_recv().ok()
    }

    /// Gives the memory of a batch back, so that it is used again.
    pub fn recycle(&self, mut records: Vec<DropEvent>) {
        records.clear();
        // A full channel only means that there are enough.
        drop(self.spent.try_send(records));
    }

    /// Drops whose records this build could not read.
    pub fn undecodable(&self) -> u64 {
        self.undecodable.load(Ordering::Relaxed)
    }

    /// Asks the thread to read to the end of the buffer and the maps, and finish. The hook must be detached.
    pub fn stop(&self) {
        // An eventfd takes a write of 8 bytes unless its counter is full, and then the thread is awake anyway.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
        self.batches.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            drop(thread.join());
        }
    }
}

struct Worker {
    ring: RingBuf<MapData>,
    flows: FlowMaps,
    poller: OwnedFd,
    tx: mpsc::Sender<Batch>,
    reuse: mpsc::Receiver<Vec<DropEvent>>,
    undecodable: Arc<AtomicU64>,
    batch: Vec<DropEvent>,
    flushed: Instant,
}

/// Nobody takes batches any more.
struct NobodyListens;

impl Worker {
    fn run(&mut self) {
        let mut last_record = Instant::now();
        loop {
            match self.drain() {
                Ok(true) => last_record = Instant::now(),
                Ok(false) => {}
                Err(NobodyListens) => return,
            }
            if self.flushed.elapsed() >= FLUSH && self.flush(false).is_err() {
                return;
            }
            let wait = if last_record.elapsed() < LINGER { TICK } else { IDLE };
            if self.stopped_after(wait) {
                // The flow maps first: changing them waits for programs that are still at their last record.
                if self.flush(true).is_ok() {
                    drop(self.drain());
                }
                return;
            }
        }
    }

    /// Reads the ring buffer to its end; whether there was anything. Flows are not forgotten over a buffer that never ends.
    fn drain(&mut self) -> Result<bool, NobodyListens> {
        let mut any = false;
        loop {
            if self.fill().is_none() {
                return Ok(any);
            }
            any = true;
            self.send_records()?;
            if self.flushed.elapsed() >= FLUSH {
                self.flush(false)?;
            }
        }
    }

    /// Reads records into the batch; the time of the last, if there is any.
    fn fill(&mut self) -> Option<u64> {
        while let Some(item) = self.ring.next() {
            match DropEvent::decode(&item) {
                Ok(event) => self.batch.push(event),
                Err(_) => {
                    self.undecodable.fetch_add(1, Ordering::Relaxed);
                }
            }
            if self.batch.len() == BATCH {
                break;
            }
        }
        self.batch.last().map(DropEvent::time_ns)
    }

    fn send_records(&mut self) -> Result<(), NobodyListens> {
        let empty = self.reuse.try_recv().unwrap_or_else(|_| Vec::with_capacity(BATCH));
        send(&self.tx, Batch::Records(std::mem::replace(&mut self.batch, empty)))
    }

    /// Reads the records of before `end`, and those that are read together with them; until when that is.
    fn drain_until(&mut self, end: u64) -> Result<u64, NobodyListens> {
        while let Some(time) = self.fill() {
            self.send_records()?;
            if time >= end {
                return Ok(time);
            }
        }
        Ok(end)
    }

    /// Tells the flows that were added up since the last time. Each has its place in the order of time behind the records of before.
    fn flush(&mut self, last: bool) -> Result<(), NobodyListens> {
        self.flushed = Instant::now();
        if let Err(e) = self.flows.exchange(last) {
            tracing::error!("{e:#}");
        }
        let now = self.drain_until(now())?;
        let Self { flows, tx, undecodable, .. } = self;
        let mut counts = Vec::new();
        let mut rests = Vec::new();
        let mut sent = Ok(());
        let taken = flows.take(
            |count| {
                counts.push(count);
                if counts.len() == BATCH && sent.is_ok() {
                    sent = send(tx, Batch::Flows(now, std::mem::take(&mut counts)));
                }
            },
            |lost| {
                undecodable.fetch_add(lost, Ordering::Relaxed);
            },
            |rest| rests.push(rest),
        );
        if let Err(e) = taken {
            tracing::error!("{e:#}");
        }
        sent?;
        if !counts.is_empty() {
            send(tx, Batch::Flows(now, counts))?;
        }
        if !rests.is_empty() {
            send(tx, Batch::Rest(now, rests))?;
        }
        Ok(())
    }

    /// Waits for a wakeup or until `wait` is over; whether the thread is to stop.
    fn stopped_after(&self, wait: Duration) -> bool {
        let mut events = Vec::<epoll::Event>::with_capacity(2);
        let timeout = Timespec::try_from(wait).ok();
        match epoll::wait(&self.poller, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) => events.iter().any(|e| e.data.u64() == 1),
            Err(e) => e != rustix::io::Errno::INTR,
        }
    }
}

/// `CLOCK_MONOTONIC` in ns, as records have it.
fn now() -> u64 {
    u64::try_from(SystemClocks.monotonic()).unwrap_or_default()
}

fn send(to: &mpsc::Sender<Batch>, batch: Batch) -> Result<(), NobodyListens> {
    to.blocking_send(batch).map_err(|_| NobodyListens)
}
