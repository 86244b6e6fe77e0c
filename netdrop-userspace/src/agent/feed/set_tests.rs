//! Feeds as they run: threads, files, changes.

use std::fs;
use std::io::{self, Read as _};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;
use crate::agent::feed::FileSpec;
use crate::agent::feed::file::Out;
use crate::flow::{Flow, Verdict};

fn batch(seconds: std::ops::Range<i64>) -> Arc<[Arc<Observation>]> {
    let flow = |s| Flow::new(Timestamp::from_second(s).unwrap(), Verdict::Dropped);
    seconds.map(|s| Arc::new(Observation::Flow(flow(s)))).collect()
}

fn to_file(name: &str, path: &Path) -> FeedSpec {
    FeedSpec::new(name, Target::File(FileSpec::new(path)))
}

/// Far beyond what a feed takes, on a machine that does other things, too.
const LATE: Duration = Duration::from_mins(1);

/// Waits for what another thread does.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + LATE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Seconds of the flows in a file, and how many are said to be missing.
fn told(text: &str) -> (Vec<i64>, u64) {
    let (mut seconds, mut lost) = (Vec::new(), 0);
    for line in text.lines() {
        let v: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(n) = v["lost_events"]["num_events_lost"].as_str() {
            lost += n.parse::<u64>().unwrap();
        } else {
            let time: Timestamp = v["flow"]["time"].as_str().unwrap().parse().unwrap();
            seconds.push(time.as_second());
        }
    }
    (seconds, lost)
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// A place that takes nothing until the test lets it.
struct Stuck(Receiver<()>);

impl Out for Stuck {
    fn write(&mut self, _: &str) -> io::Result<()> {
        // Until the test ends.
        let _ = self.0.recv();
        Err(io::Error::other("the test is over"))
    }
}

#[tokio::test]
async fn a_log_that_is_stuck_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.log");
    let feeds = Feeds::start(vec![to_file("file", &path)]).unwrap();
    let (_end, stuck) = sync_channel(1);
    let (handle, _) =
        Handle::start_to(FeedSpec::new("stuck", Target::Stdout), Box::new(Stuck(stuck)), None).unwrap();
    feeds.lock().feeds.push(handle);
    for second in 0..10_000 {
        feeds.push(&batch(second..second + 1));
        // The other one is given the time that it needs, so that nothing overflows there.
        if second % 50 == 0 {
            until("lines", || i64::try_from(lines(&path)).unwrap() >= second);
        }
    }
    let overflow = feeds.reports()[1].counts.overflow.load(Relaxed);
    assert!((9_900..10_000).contains(&overflow), "{overflow}");
    until("the other one's last lines", || lines(&path) == 10_000);
    let start = Instant::now();
    let reports = feeds.finish_within(LATE / 6).await;
    assert!(start.elapsed() < LATE);
    assert_eq!(reports.iter().map(|r| r.ended).collect::<Vec<_>>(), [true, false]);
    assert_eq!(told(&fs::read_to_string(&path).unwrap()), ((0..10_000).collect(), 0));
}

#[tokio::test]
async fn every_drop_is_told_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.log");
    let spec = FeedSpec { rate: NonZeroU32::new(10), ..to_file("file", &path) };
    let feeds = Feeds::start(vec![spec]).unwrap();
    for _ in 0..1000 {
        feeds.push(&batch(0..10));
    }
    let report = feeds.finish_within(LATE).await.remove(0);
    let c = &report.counts;
    let [shown, withheld, overflow] = [&c.told, &c.withheld, &c.overflow].map(|n| n.load(Relaxed));
    assert!(report.ended);
    assert_eq!(shown + withheld + overflow, 10_000);
    let (seconds, lost) = told(&fs::read_to_string(&path).unwrap());
    assert_eq!((seconds.len() as u64, lost), (shown, withheld + overflow));
}

/// All lines of a folder, whether compressed or not.
fn all_lines(folder: &Path) -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let mut file = fs::File::open(&path).unwrap();
        if path.extension().is_some_and(|e| e == "gz") {
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
    }
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn files_are_rotated_and_compressed_and_no_line_is_lost_or_torn() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileSpec {
        max_bytes: 20_000,
        max_backups: 0,
        compress: true,
        ..FileSpec::new(folder.path().join("d.log"))
    };
    let feeds = Feeds::start(vec![FeedSpec::new("f", Target::File(file))]).unwrap();
    let pushed = 3_000;
    for second in (0..pushed).step_by(10) {
        feeds.push(&batch(second..second + 10));
        let report = feeds.reports().remove(0);
        until("room", || report.counts.queued.load(Relaxed) < 32);
    }
    assert!(feeds.finish_within(LATE).await.remove(0).ended);
    let names = || -> Vec<String> {
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    };
    until("compression", || names().iter().filter(|n| *n != "d.log").all(|n| n.ends_with(".log.gz")));
    assert!(names().len() > 5, "{:?}", names());
    for entry in fs::read_dir(folder.path()).unwrap() {
        assert!(entry.unwrap().metadata().unwrap().len() <= 20_000);
    }
    let (mut seconds, lost) = told(&all_lines(folder.path()).join("\n"));
    seconds.sort_unstable();
    assert_eq!((seconds, lost), ((0..pushed).collect(), 0));
}

#[tokio::test]
async fn a_file_moved_away_is_made_anew_at_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("d.log"), folder.path().join("moved"));
    let feeds = Feeds::start(vec![to_file("f", &path)]).unwrap();
    feeds.push(&batch(0..3));
    until("lines", || lines(&path) == 3);
    fs::rename(&path, &moved).unwrap();
    feeds.reopen();
    // The thread sees it with the next batch or second.
    feeds.push(&batch(3..4));
    until("the line", || lines(&moved) + lines(&path) == 4);
    until("the new file", || {
        feeds.push(&batch(9..10));
        lines(&path) > 0
    });
    assert!(lines(&moved) <= 4);
}

#[tokio::test]
async fn feeds_come_change_and_go_and_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let feeds = Feeds::start(vec![to_file("stays", &path("s")), to_file("changes", &path("c"))]).unwrap();
    feeds.push(&batch(0..5));
    let other = FeedSpec {
        target: Target::File(FileSpec { max_backups: 1, ..FileSpec::new(path("c")) }),
        ..to_file("changes", &path("c"))
    };
    assert_eq!(
        feeds.replace(vec![to_file("stays", &path("s")), other.clone(), to_file("new", &path("n"))]),
        Vec::<String>::new()
    );
    feeds.push(&batch(5..10));
    feeds.replace(vec![other]);
    feeds.push(&batch(10..15));
    let changes = feeds.changes();
    assert_eq!((changes.added, changes.updated, changes.removed), (1, 1, 2));
    assert!(feeds.finish_within(LATE).await.iter().all(|r| r.ended));
    // One that was removed at once may not have made its file yet.
    let seconds = |name: &str| told(&fs::read_to_string(path(name)).unwrap_or_default()).0;
    assert_eq!(seconds("c"), (0..15).collect::<Vec<_>>());
    // Those that were removed end in their own time.
    until("the last lines", || seconds("s").len() == 10 && seconds("n").len() == 5);
}

#[test]
fn what_cannot_be_written_is_said_at_the_start() {
    let wrong = to_file("f", Path::new("/proc/nothing/d.log"));
    let e = format!("{:#}", Feeds::start(vec![wrong]).err().unwrap());
    assert!(e.contains("\"f\"") && e.contains("/proc/nothing/d.log"), "{e}");
}
