//! The thread that writes. Whoever observes never waits for the disk.

use std::fs::{self, File};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::super::block::Block;
use super::super::{History, RINGS};
use super::files::{Files, Fresh, Unwritten};
use super::load::Loaded;
use super::segment::Location;
use super::{HistoryDisk, Usage};

/// Items on their way to the disk. Half of the places are for whole blocks.
const QUEUE: usize = 16;
/// A block is ended early, if its tail takes this share of the folder.
const TAIL_SHARE: u64 = 64;
/// So long after the last item the thread looks whether anything was left.
const PAUSE: Duration = Duration::from_secs(1);

enum Item {
    Fresh(usize, Fresh),
    Whole(usize, Arc<Block>),
    /// All before it is written.
    Done(SyncSender<()>),
}

/// Handle of the thread.
#[derive(Debug)]
pub(in super::super) struct Writer {
    to: SyncSender<Item>,
    waiting: Arc<AtomicUsize>,
    usage: Arc<Usage>,
    /// Whether something was left to be written with its block.
    left: Arc<AtomicBool>,
}

impl Writer {
    /// Starts it. It ends with the history.
    pub(in super::super) fn start(
        disk: &HistoryDisk,
        loaded: Loaded,
        unwritten: [Unwritten; RINGS],
        history: Weak<History>,
    ) -> io::Result<Self> {
        let (to, items) = sync_channel(QUEUE);
        let (waiting, usage) = (Arc::new(AtomicUsize::new(0)), Arc::new(Usage::default()));
        let Loaded { rings, lock, folder } = loaded;
        // About as memory by default.
        let shares = [7, 4, 1].map(|parts| disk.bytes / 12 * parts);
        let mut number = 0;
        let rings = rings.map(|ring| {
            let files = Files::new(number, ring, shares[number], folder.clone());
            number += 1;
            files
        });
        let left = Arc::new(AtomicBool::new(false));
        let mut thread = Thread {
            rings,
            history,
            left: Arc::clone(&left),
            usage: Arc::clone(&usage),
            failing: None,
            scratch: Vec::new(),
            _lock: lock,
        };
        thread.bound();
        let taken = Arc::clone(&waiting);
        std::thread::Builder::new().name("netdrop-history".into()).spawn(move || {
            for (ring, unwritten) in unwritten.into_iter().enumerate() {
                thread.take_over(ring, &unwritten);
            }
            thread.run(&items, &taken);
        })?;
        Ok(Self { to, waiting, usage, left })
    }

    pub(in super::super) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Hands over what just came. Without room it is written with its block.
    pub(in super::super) fn fresh(&self, ring: usize, fresh: Fresh) {
        if fresh.items.is_empty() {
            return;
        }
        if self.waiting.load(Ordering::Relaxed) >= QUEUE / 2 || !self.put(Item::Fresh(ring, fresh)) {
            self.left.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something waits for its block since this was last asked.
    pub(in super::super) fn has_left(&self) -> bool {
        self.left.swap(false, Ordering::Relaxed)
    }

    /// Hands over a block; without room it is counted as not written.
    pub(in super::super) fn whole(&self, ring: usize, block: Arc<Block>) {
        let count = u64::from(block.meta.count);
        if !self.put(Item::Whole(ring, block)) {
            self.usage.not_written.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Waits until all is written, but no longer than `patience`, and as long once more.
    pub(in super::super) fn finish(&self, patience: Duration) {
        let (done, all) = sync_channel(1);
        let deadline = Instant::now() + patience;
        while !self.put(Item::Done(done.clone())) {
            if Instant::now() > deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // Too late is a disk that hangs: what it lacks is in the tail or lost with it.
        let _ = all.recv_timeout(patience);
    }

    fn put(&self, item: Item) -> bool {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let put = self.to.try_send(item).is_ok();
        if !put {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        put
    }
}

struct Thread {
    rings: [Files; RINGS],
    history: Weak<History>,
    /// As the handle's.
    left: Arc<AtomicBool>,
    usage: Arc<Usage>,
    /// Observations that were not written since the disk failed.
    failing: Option<u64>,
    scratch: Vec<u8>,
    _lock: File,
}

impl Thread {
    fn run(mut self, items: &Receiver<Item>, waiting: &AtomicUsize) {
        loop {
            let item = match items.recv_timeout(PAUSE) {
                Ok(item) => Some(item),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if item.is_some() {
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
            match item {
                Some(Item::Fresh(ring, fresh)) => self.fresh(ring, &fresh),
                Some(Item::Whole(ring, block)) => self.whole(ring, &block),
                // Whoever asked may have gone on.
                Some(Item::Done(done)) => drop(done.try_send(())),
                None => {}
            }
            if waiting.load(Ordering::Relaxed) == 0 {
                self.catch_up();
            }
        }
    }

    /// What was left to be written with its block is written now that the disk has time: on a quiet node the block is not whole for hours.
    fn catch_up(&self) {
        if self.left.swap(false, Ordering::Relaxed)
            && let Some(history) = self.history.upgrade()
        {
            (0..RINGS).for_each(|ring| history.seal(ring));
        }
    }

    /// Writes what has become whole in an earlier run's tail, which ends with that. Until then the tail has it.
    fn take_over(&mut self, ring: usize, unwritten: &Unwritten) {
        for block in &unwritten.whole {
            let written = self.rings[ring].put(block, &mut self.scratch);
            let failed = written.is_err();
            self.stored(ring, block, written);
            if failed {
                return;
            }
        }
        if !unwritten.whole.is_empty() {
            let written = self.rings[ring].renew_tail(&unwritten.rest, &mut self.scratch);
            self.note(written, 0);
            self.bound();
        }
    }

    fn fresh(&mut self, ring: usize, fresh: &Fresh) {
        let files = &mut self.rings[ring];
        let long = files.most / TAIL_SHARE;
        let was_long = files.tail_bytes > long;
        let written = files.put_fresh(fresh, &mut self.scratch);
        if !was_long
            && files.tail_bytes > long
            && let Some(history) = self.history.upgrade()
        {
            history.seal(ring);
        }
        // A tail that is not written is no loss yet: the block may be.
        self.note(written, 0);
        self.bound();
    }

    fn whole(&mut self, ring: usize, block: &Arc<Block>) {
        let written = self.rings[ring].put_whole(block, &mut self.scratch);
        self.stored(ring, block, written);
    }

    fn stored(&mut self, ring: usize, block: &Block, written: io::Result<Location>) {
        if let (Ok(location), Some(history)) = (&written, self.history.upgrade()) {
            history.stored(ring, block.meta.first_ordinal, location.clone());
        }
        self.note(written, u64::from(block.meta.count));
        self.bound();
    }

    /// Says once that the disk fails, and once that it does not any more.
    fn note<T>(&mut self, written: io::Result<T>, count: u64) {
        match (written, &mut self.failing) {
            (Ok(_), None) => {}
            (Ok(_), Some(missing)) => {
                // A tail may fit where a block does not.
                if count > 0 {
                    tracing::info!(
                        missing,
                        "the history is written to disk again; some of it is in memory only"
                    );
                    self.failing = None;
                }
            }
            (Err(e), failing) => {
                self.usage.not_written.fetch_add(count, Ordering::Relaxed);
                let folder = self.rings[0].folder.display();
                if failing.is_none() {
                    tracing::error!(
                        "cannot write the history to {folder}: {e}; it goes on in memory, and on disk once there is room"
                    );
                }
                *failing.get_or_insert(0) += count;
            }
        }
    }

    /// Removes the oldest segments, until the rest is within its bytes.
    fn bound(&mut self) {
        for files in &mut self.rings {
            while let Some(segment) = files.take_oldest() {
                if let Err(e) = fs::remove_file(&segment.path) {
                    tracing::warn!(file = %segment.path.display(), "cannot remove old history: {e}");
                }
                if let Some(history) = self.history.upgrade() {
                    history.removed(files.ring, segment.number);
                }
            }
        }
        let bytes = self.rings.iter().map(Files::bytes).sum();
        self.usage.bytes.store(bytes, Ordering::Relaxed);
    }
}
