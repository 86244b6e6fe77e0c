//! The one thread that reads the ring buffer.
//!
//! The kernel side wakes it for the first record after a quiet time and when the buffer fills up; in between it looks by a short
//! timer. Records go on in batches over a bounded channel. When the next in line is slow the thread waits: what the ring
//! buffer can't hold then is counted in the kernel, by reason.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use rustix::event::{EventfdFlags, Timespec, epoll};
use tokio::sync::mpsc;

use crate::decode::DropEvent;

/// After this long without a wakeup the kernel side wakes the reader for the next record.
pub(super) const QUIET: Duration = Duration::from_millis(5);
/// How often the reader looks while records come.
const TICK: Duration = Duration::from_millis(2);
/// How long it goes on looking after the last record: longer than [`QUIET`], so that no record waits for a wakeup nobody sends.
const LINGER: Duration = Duration::from_millis(12);
/// And should a wakeup ever be missed.
const IDLE: Duration = Duration::from_millis(250);
/// Most records in a batch.
const BATCH: usize = 512;
/// Batches under way.
const QUEUE: usize = 16;

/// Records in the order the kernel wrote them.
pub type Batch = Vec<DropEvent>;

/// Handle of the reading thread; dropping it stops the thread.
pub struct Reader {
    batches: mpsc::Receiver<Batch>,
    spent: mpsc::Sender<Batch>,
    undecodable: Arc<AtomicU64>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts reading.
    pub fn spawn(ring: RingBuf<MapData>) -> io::Result<Self> {
        let (tx, batches) = mpsc::channel(QUEUE);
        let (spent, reuse) = mpsc::channel(QUEUE);
        let undecodable = Arc::new(AtomicU64::new(0));
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&poller, ring_fd(&ring), epoll::EventData::new_u64(0), edge)?;
        epoll::add(&poller, &stop, epoll::EventData::new_u64(1), epoll::EventFlags::IN)?;
        let mut worker = Worker {
            ring,
            poller,
            tx,
            reuse,
            undecodable: Arc::clone(&undecodable),
            batch: Vec::with_capacity(BATCH),
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

    /// Gives a batch back, so that its memory is used again.
    pub fn recycle(&self, mut batch: Batch) {
        batch.clear();
        // A full channel only means that there are enough.
        drop(self.spent.try_send(batch));
    }

    /// Records that this build could not read.
    pub fn undecodable(&self) -> u64 {
        self.undecodable.load(Ordering::Relaxed)
    }

    /// Asks the thread to read to the end of the buffer and finish.
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

fn ring_fd(ring: &RingBuf<MapData>) -> std::os::fd::BorrowedFd<'_> {
    ring.as_fd()
}

struct Worker {
    ring: RingBuf<MapData>,
    poller: OwnedFd,
    tx: mpsc::Sender<Batch>,
    reuse: mpsc::Receiver<Batch>,
    undecodable: Arc<AtomicU64>,
    batch: Batch,
}

impl Worker {
    fn run(&mut self) {
        let mut last_record = Instant::now();
        loop {
            match self.drain() {
                Drained::Some => last_record = Instant::now(),
                Drained::Nothing => {}
                Drained::NobodyListens => return,
            }
            let wait = if last_record.elapsed() < LINGER { TICK } else { IDLE };
            if self.stopped_after(wait) {
                self.drain();
                return;
            }
        }
    }

    fn drain(&mut self) -> Drained {
        let mut any = false;
        loop {
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
            if self.batch.is_empty() {
                return if any { Drained::Some } else { Drained::Nothing };
            }
            any = true;
            let empty = self.reuse.try_recv().unwrap_or_else(|_| Vec::with_capacity(BATCH));
            if self.tx.blocking_send(std::mem::replace(&mut self.batch, empty)).is_err() {
                return Drained::NobodyListens;
            }
        }
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

enum Drained {
    Some,
    Nothing,
    NobodyListens,
}
