//! Changing settings of a running agent: at SIGHUP, and when the file changes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::resolve::{Loaded, load};
use crate::agent::Outputs;
use crate::agent::systemd::Notifier;
use crate::clock::{Clocks as _, SystemClocks};

/// How often the file is looked at. A mounted ConfigMap is a chain of links that are put in the place of others, which no
/// watch on a file follows.
const LOOK: Duration = Duration::from_secs(5);

/// Settings that take effect at once; the others need a restart.
const LIVE: [&str; 14] = [
    "log-level",
    "log-rate",
    "export-file-path",
    "export-file-max-size-mb",
    "export-file-max-backups",
    "export-file-compress",
    "export-allowlist",
    "export-denylist",
    "export-fieldmask",
    "export-fieldaggregate",
    "export-aggregation-interval",
    "metrics",
    "flowLogs",
    "config",
];

/// Sets how much is told.
pub type SetLevel = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// What is needed to load settings again and to apply them.
pub struct Reloader {
    flags: ArgMatches,
    /// What the agent began with: settings that need a restart are still those.
    began: Loaded,
    now: Loaded,
    outputs: Outputs,
    set_level: SetLevel,
}

/// What a file is as long as it is not changed: device, inode, size, time.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

fn stamp(file: Option<&Path>) -> Stamp {
    let about = fs::metadata(file?).ok()?;
    Some((about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
}

impl Reloader {
    /// `now` is in effect.
    pub fn new(flags: ArgMatches, now: Loaded, outputs: Outputs, set_level: SetLevel) -> Self {
        Self { flags, began: now.clone(), now, outputs, set_level }
    }

    fn file(&self) -> Option<&Path> {
        self.now.args.config.as_deref()
    }

    /// Loads the settings again. With a mistake in them all stays as it is.
    pub fn reload(&mut self) {
        match load(&self.flags, &|name| std::env::var(name).ok()) {
            Ok(next) => self.apply(next),
            Err(mistaken) => {
                let problems = &mistaken.problems.0;
                for problem in problems {
                    tracing::error!("{problem}");
                }
                tracing::error!(mistakes = problems.len(), "the configuration stays as it was");
            }
        }
    }

    fn apply(&mut self, next: Loaded) {
        let live = self.live(&next);
        let later = self.later(&next);
        if !live.is_empty() {
            self.take(&next);
            tracing::info!(changed = live.join(", "), "the configuration is in effect");
        }
        if !later.is_empty() {
            tracing::warn!(changed = later.join(", "), "these take effect after a restart of the agent");
        } else if live.is_empty() {
            tracing::info!("all of the configuration is in effect already");
        }
        self.now = next;
    }

    /// What changes at once.
    fn live<'a>(&'a self, next: &Loaded) -> Vec<&'a str> {
        changed(&self.now, next).into_iter().filter(|key| LIVE.contains(key)).collect()
    }

    /// What waits for a restart: told each time, and no more once it is taken back.
    fn later<'a>(&'a self, next: &Loaded) -> Vec<&'a str> {
        changed(&self.began, next).into_iter().filter(|key| !LIVE.contains(key)).collect()
    }

    fn take(&self, next: &Loaded) {
        for problem in self.outputs.feeds.replace(next.feeds.clone()) {
            tracing::error!("{problem}");
        }
        if let Err(e) = self.outputs.metrics.replace(&next.metrics) {
            tracing::error!("the metrics stay as they were: {e}");
        }
        if let Err(e) = (self.set_level)(&next.args.log_level) {
            tracing::error!("the log level stays as it was: {e}");
        }
    }
}

/// Keys with another value.
fn changed<'a>(now: &'a Loaded, next: &Loaded) -> Vec<&'a str> {
    let settings = now.settings.iter().zip(&next.settings);
    let mut changed: Vec<&str> =
        settings.filter(|(a, b)| a.values != b.values).map(|(a, _)| a.key.as_str()).collect();
    for key in ["flowLogs", "metrics"] {
        let of = |loaded: &Loaded| loaded.lists.iter().find(|l| l.0 == key).map(|l| l.1.clone());
        if of(now) != of(next) && !changed.contains(&key) {
            changed.push(key);
        }
    }
    changed
}

/// Catches SIGHUP from here on, which would end the process: one that comes before [`watch`] runs is acted on there.
///
/// # Errors
///
/// Where it can't be caught.
pub fn hangups() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("SIGHUP can't be caught, so the settings couldn't be reloaded")
}

/// Reloads at SIGHUP, which also has the feeds' files opened anew, and when the file changes. For ever.
pub async fn watch(mut reloader: Reloader, mut hangup: Signal, systemd: Notifier) {
    let mut seen = stamp(reloader.file());
    let mut look = tokio::time::interval(LOOK);
    loop {
        let reopen = tokio::select! {
            _ = hangup.recv() => true,
            _ = look.tick() => {
                let there = stamp(reloader.file());
                // Between the removal of the old one and the new one there is none.
                if there == seen || there.is_none() {
                    continue;
                }
                false
            }
        };
        systemd.reloading(Duration::from_nanos(u64::try_from(SystemClocks.monotonic()).unwrap_or_default()));
        if reopen {
            reloader.outputs.feeds.reopen();
        }
        seen = stamp(reloader.file());
        reloader.reload();
        systemd.reloaded();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::agent::feed::Feeds;
    use crate::agent::metrics::Metrics;
    use crate::config::command;

    #[tokio::test]
    async fn what_changes_takes_effect_and_a_mistake_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (file, log) = (folder.path().join("agent.yaml"), folder.path().join("a.log"));
        let feed =
            |name: &str| format!("- name: {name}\n  filePath: {}\n", log.with_file_name(name).display());
        let write = |level: &str, feeds: &str| {
            fs::write(&file, format!("log-rate: 0\nlog-level: {level}\nflowLogs:\n{feeds}")).unwrap();
        };
        write("info", &feed("a"));
        let flags =
            command().try_get_matches_from(["agent", &format!("--config={}", file.display())]).unwrap();
        let now = load(&flags, &|_| None).unwrap();
        let outputs = Outputs {
            feeds: Feeds::start(now.feeds.clone()).unwrap(),
            metrics: Metrics::new(&now.metrics, 10).unwrap(),
            ..Outputs::default()
        };
        let levels = Arc::new(Mutex::new(Vec::new()));
        let here = Arc::clone(&levels);
        let set_level: SetLevel = Box::new(move |level| {
            here.lock().unwrap().push(level.to_owned());
            Ok(())
        });
        let mut reloader = Reloader::new(flags, now, outputs.clone(), set_level);
        let names = || outputs.feeds.reports().into_iter().map(|r| r.name).collect::<Vec<_>>();
        reloader.reload();
        assert_eq!(names(), ["a"]);
        write("debug", &format!("{}{}", feed("a"), feed("b")));
        reloader.reload();
        assert_eq!(names(), ["a", "b"]);
        write("debug", "- name: c\n");
        reloader.reload();
        assert_eq!(names(), ["a", "b"], "a mistake");
        write("debug", &feed("b"));
        reloader.reload();
        assert_eq!(names(), ["b"]);
        assert_eq!(*levels.lock().unwrap(), ["debug", "debug"]);
    }

    #[test]
    fn what_waits_for_a_restart_is_told_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.yaml");
        let write = |text: &str| fs::write(&file, text).unwrap();
        write("log-rate: 0\n");
        let flags =
            command().try_get_matches_from(["agent", &format!("--config={}", file.display())]).unwrap();
        let now = load(&flags, &|_| None).unwrap();
        let mut reloader = Reloader::new(flags.clone(), now, Outputs::default(), Box::new(|_: &str| Ok(())));
        for (text, live, later) in [
            ("log-rate: 1\nring-size: 8Mi\n", &["log-rate"][..], &["ring-size"][..]),
            ("log-rate: 1\nring-size: 8Mi\n", &[], &["ring-size"]),
            ("log-rate: 2\nring-size: 8Mi\n", &["log-rate"], &["ring-size"]),
            ("log-rate: 2\n", &[], &[]),
        ] {
            write(text);
            let next = load(&flags, &|_| None).unwrap();
            assert_eq!((&*reloader.live(&next), &*reloader.later(&next)), (live, later), "{text}");
            reloader.now = next;
        }
    }

    #[test]
    fn what_needs_a_restart_is_told_apart() {
        let loaded = |flags: &[&str]| {
            let typed = ["agent"].iter().chain(flags);
            load(&command().try_get_matches_from(typed).unwrap(), &|_| None).unwrap()
        };
        let (one, other) =
            (loaded(&["--log-rate=1", "--names=x"]), loaded(&["--log-rate=2", "--ring-size=8Mi"]));
        assert_eq!(changed(&one, &other), ["names", "log-rate", "ring-size"]);
        assert!(LIVE.contains(&"log-rate") && !LIVE.contains(&"ring-size"));
        assert_eq!(changed(&one, &one), [""; 0]);
    }
}
