//! What comes, dealt out to all who follow.
//!
//! One thread takes what was pushed, asks all filters at once ([`Index`]) and encodes a response once for all who get it. Whoever asks for the
//! same belongs to one group, which gets one list. Each follower has a queue of bounded bytes. One whose queue is full is taken off, and
//! told the place in the rings where it has to go on: it reads there by itself, at its own pace, and comes back once it is at the end. So a
//! client that stands still costs its queue and nothing more, and what it misses is known exactly, by its ordinals.
//!
//! Capture hands over what it has and never waits. If the thread does not keep up, what waits is let go, and it reads on in the rings itself.
//!
//! Locks are taken in this order: groups, rings, backlog.

mod backlog;
mod feed;
mod groups;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::reader::Position;
use super::select::Selection;
use super::{History, Inner};

pub(super) use backlog::{BATCH, Backlog, Batch};
pub(in super::super) use feed::{Fed, Feed, Item, Wanted};

use backlog::Work;
use groups::Groups;

/// A place in all rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the observation that comes there.
    pub(super) seq: u64,
    pub(super) position: Position,
}

/// All that follow one history.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) backlog: Backlog,
    groups: Mutex<Groups>,
    /// Whether the thread is there; it comes with the first who follows.
    started: Mutex<bool>,
}

impl Live {
    /// A panic elsewhere leaves the lists whole.
    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds up whoever deals out.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Drop + '_ {
        self.groups()
    }

    fn start(self: &Arc<Self>, history: Weak<History>) -> io::Result<()> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !*started {
            let live = Arc::clone(self);
            std::thread::Builder::new().name("netdrop-follow".into()).spawn(move || live.run(&history))?;
            *started = true;
        }
        Ok(())
    }

    fn run(&self, history: &Weak<History>) {
        while let Some(work) = self.backlog.take() {
            match work {
                Work::Batch(batch) => {
                    let mut groups = self.groups();
                    // Else it is of a time when somebody else followed.
                    if groups.next().seq == batch.start.seq {
                        groups.deal(&batch.items);
                        self.rest_if_nobody(&groups);
                    }
                }
                Work::Overrun => match history.upgrade() {
                    Some(history) => self.catch_up(&history),
                    None => return,
                },
            }
        }
    }

    fn rest_if_nobody(&self, groups: &Groups) {
        if groups.is_empty() {
            self.backlog.rest();
        }
    }

    /// Deals out what is in the rings already.
    fn catch_up(&self, history: &Arc<History>) {
        let all = Selection::default().with_benign(true);
        let (mut reader, start, end) = {
            let mut groups = self.groups();
            let end = {
                let inner = history.lock();
                // What comes next comes after the end.
                self.backlog.restart(!groups.is_empty());
                inner.place()
            };
            groups.take_off_later();
            let start = groups.next();
            (history.reader(start.position, Some(end.position)), start, end)
        };
        loop {
            let mut groups = self.groups();
            if groups.is_empty() {
                self.backlog.rest();
                return;
            }
            if groups.next().seq != start.seq {
                // All left, and others came.
                return;
            }
            let chunk = reader.step(&all, BATCH);
            groups.deal_chunk(&chunk, reader.position());
            if chunk.at_end {
                groups.go_on_from(end);
                return self.rest_if_nobody(&groups);
            }
        }
    }

    /// Takes off a follower. Where it has to go on, if it was not taken off before.
    fn leave(&self, id: u64) -> Option<Position> {
        let mut groups = self.groups();
        let position = groups.leave(id);
        self.rest_if_nobody(&groups);
        position
    }
}

impl Inner {
    pub(super) fn place(&self) -> Place {
        Place { seq: self.next_seq, position: self.position() }
    }
}

impl History {
    /// Deals out what comes from now on to one more follower. The position is where that begins; what is before is for the follower
    /// to read.
    pub(in super::super) fn follow(self: &Arc<Self>, wanted: Wanted) -> io::Result<(Feed, Position)> {
        self.live.start(Arc::downgrade(self))?;
        let mut groups = self.live.groups();
        let place = {
            let inner = self.lock();
            if groups.is_empty() {
                self.live.backlog.restart(true);
            }
            inner.place()
        };
        Ok((groups.join(wanted, place, &self.live), place.position))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.live.backlog.close();
    }
}
