//! All feeds of an agent, which may come, go and change while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;

use super::thread::{Ended, FeedCounts, Handle};
use super::{Event, FeedSpec, Target};
use crate::agent::problems::Problems;
use crate::flow::Observation;

/// What is not taken by then at the end is left behind.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long a start waits to learn whether a feed can be written; a slow disk is no reason not to capture.
const OPENING: Duration = Duration::from_secs(2);

/// Handle on all feeds; clones share them.
#[derive(Clone, Default)]
pub struct Feeds(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    feeds: Vec<Handle>,
    changes: Changes,
}

/// How often feeds were added, changed and removed, and when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub added: u64,
    /// With other settings.
    pub updated: u64,
    /// Gone.
    pub removed: u64,
    /// The last time.
    pub last: Option<Timestamp>,
}

/// One feed's state.
#[derive(Clone, Debug)]
pub struct FeedReport {
    /// Its name.
    pub name: String,
    /// What became of its drops.
    pub counts: Arc<FeedCounts>,
    /// `false`: it did not end in time, so its last lines may not have been taken.
    pub ended: bool,
}

impl Feeds {
    /// Starts all; those that can't be written are what is wrong.
    pub fn start(specs: Vec<FeedSpec>) -> Result<Self, Problems> {
        let feeds = Self::default();
        let mut opening = Vec::new();
        let mut problems = Problems::default();
        for spec in specs {
            let (name, target) = (spec.name.clone(), describe(&spec.target));
            let started =
                Handle::start(spec, None).with_context(|| format!("cannot start the feed {name:?}"));
            if let Some((handle, opened)) = problems.check(started) {
                feeds.lock().feeds.push(handle);
                opening.push((name, target, opened));
            }
        }
        let deadline = Instant::now() + OPENING;
        for (name, target, opened) in opening {
            let Ok(result) = opened.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                tracing::warn!(feed = name, "{target} is slow to open; lines wait for it");
                continue;
            };
            problems.check(result.with_context(|| {
                format!(
                    "cannot write the feed {name:?} to {target}: choose another file, or give this user the right to write there"
                )
            }));
        }
        problems.none().map(|()| feeds)
    }

    /// A panic elsewhere leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a batch to every feed; never waits for one.
    pub fn push(&self, batch: &Arc<[Arc<Observation>]>) {
        for feed in &self.lock().feeds {
            feed.push(batch);
        }
    }

    /// Hands an event of the agent to every feed; never waits for one.
    pub fn tell(&self, event: &Event) {
        for feed in &self.lock().feeds {
            feed.tell(event);
        }
    }

    /// Has all files opened anew: whoever moved them away wants new ones.
    pub fn reopen(&self) {
        self.lock().feeds.iter().for_each(Handle::reopen);
    }

    /// Makes these the feeds, in place of those there are. One that stays as it is goes on undisturbed; one that changes begins
    /// with the first batch that its predecessor did not get. Gives what went wrong.
    pub fn replace(&self, specs: Vec<FeedSpec>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut all = self.lock();
        let mut before = std::mem::take(&mut all.feeds);
        let mut changes = all.changes;
        for spec in specs {
            if let Some(at) = before.iter().position(|f| f.spec == spec) {
                all.feeds.push(before.swap_remove(at));
                continue;
            }
            let same = |f: &Handle| f.spec.name == spec.name || f.spec.target == spec.target;
            let after = before.iter().position(same).map(|at| before.swap_remove(at).end().0);
            *(if after.is_some() { &mut changes.updated } else { &mut changes.added }) += 1;
            match start(spec, after) {
                Ok(handle) => all.feeds.push(handle),
                Err(problem) => problems.push(problem),
            }
        }
        changes.removed += before.len() as u64;
        if changes != all.changes {
            all.changes = Changes { last: Some(Timestamp::now()), ..changes };
        }
        problems
    }

    /// State of each.
    pub fn reports(&self) -> Vec<FeedReport> {
        let report = |f: &Handle| FeedReport {
            name: f.spec.name.clone(),
            counts: Arc::clone(&f.counts),
            ended: false,
        };
        self.lock().feeds.iter().map(report).collect()
    }

    /// How they have changed since the start.
    pub fn changes(&self) -> Changes {
        self.lock().changes
    }

    /// Ends all; what they write is theirs to be taken within half a second.
    pub async fn finish(&self) -> Vec<FeedReport> {
        self.finish_within(FAREWELL).await
    }

    pub(super) async fn finish_within(&self, patience: Duration) -> Vec<FeedReport> {
        let ending: Vec<_> = self.lock().feeds.drain(..).map(|f| (f.spec.name.clone(), f.end())).collect();
        let deadline = Instant::now() + patience;
        let wait = move || {
            let report = |(name, (ended, counts)): (String, (Ended, _))| {
                let ended = ended.within(deadline.saturating_duration_since(Instant::now()));
                FeedReport { name, counts, ended }
            };
            ending.into_iter().map(report).collect()
        };
        tokio::task::spawn_blocking(wait).await.unwrap_or_default()
    }
}

/// Starts one while the agent runs: whether it can be written is told by its own thread.
fn start(spec: FeedSpec, after: Option<Ended>) -> Result<Handle, String> {
    let (name, target) = (spec.name.clone(), describe(&spec.target));
    let (handle, opened) = Handle::start(spec, after).map_err(|e| format!("feed {name:?}: {e}"))?;
    let watch = move || {
        if let Ok(Err(e)) = opened.recv() {
            tracing::warn!(feed = name, "cannot write to {target}: {e}; it is tried again");
        }
    };
    // Only the telling would be missing.
    drop(std::thread::Builder::new().name("netdrop-feed-open".into()).spawn(watch));
    Ok(handle)
}

fn describe(target: &Target) -> String {
    match target {
        Target::Stdout => "stdout".to_owned(),
        Target::File(file) => file.path.display().to_string(),
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
