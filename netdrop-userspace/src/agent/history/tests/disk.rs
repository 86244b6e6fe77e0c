//! What is on disk outlives the agent, however it ended.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{History, HistoryDisk, HistorySize, Selection};
use super::{made, read, seconds};
use crate::flow::{Observation, Verdict};

/// Far beyond what a disk takes, on a machine that does other things, too.
pub(super) const LATE: Duration = Duration::from_mins(1);

pub(super) fn open(folder: &Path, bytes: u64) -> Arc<History> {
    let disk = HistoryDisk { folder: folder.to_owned(), bytes };
    // Another test's child may hold the lock for the moment between fork and exec.
    let deadline = Instant::now() + LATE;
    loop {
        match History::on_disk(HistorySize { drops: 256 << 10, flows: 256 << 10 }, &disk) {
            Ok(history) => return history,
            Err(e) if Instant::now() > deadline => panic!("{e:#}"),
            Err(_) => std::thread::yield_now(),
        }
    }
}

pub(super) fn all(history: &Arc<History>) -> Vec<i64> {
    let (kept, missed) = all_and_missed(history);
    assert_eq!(missed, 0);
    kept
}

pub(super) fn all_and_missed(history: &Arc<History>) -> (Vec<i64>, u64) {
    let (items, missed) = read(&mut history.reader(history.oldest(None), None), &Selection::default(), 64);
    (seconds(&items), missed.count)
}

pub(super) fn push(history: &History, seconds: std::ops::Range<i64>) {
    for second in seconds {
        let mut flow = made::full(second);
        flow.time = jiff::Timestamp::from_second(second).unwrap();
        flow.verdict = if second % 4 == 0 { Verdict::Forwarded } else { Verdict::Dropped };
        history.push(vec![Arc::new(Observation::Flow(flow))]);
        if second % 8 == 0 {
            history.finish_within(LATE);
        }
    }
    history.finish_within(LATE);
}

#[test]
fn a_restart_goes_on_where_the_last_run_ended() {
    let folder = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let history = open(folder.path(), 64 << 20);
        assert_eq!(all(&history), (0..run * 3000).collect::<Vec<_>>(), "before run {run}");
        push(&history, run * 3000..(run + 1) * 3000);
        assert_eq!(all(&history), (0..(run + 1) * 3000).collect::<Vec<_>>(), "also what memory let go");
        assert!(history.status().drops.used <= 256 << 10);
    }
    let history = open(folder.path(), 64 << 20);
    let last = |number| {
        let [from, end] = history.last(number, &Selection::default(), &|| true);
        seconds(&read(&mut history.reader(from, Some(end)), &Selection::default(), 64).0)
    };
    assert_eq!(last(5), [8995, 8996, 8997, 8998, 8999]);
    assert_eq!(last(8000), (1000..9000).collect::<Vec<_>>());
    let until = jiff::Timestamp::from_second(4010).unwrap();
    let since = jiff::Timestamp::from_second(4001).unwrap();
    let some = Selection::default().between(Some(since), Some(until));
    let mut reader = history.reader(history.oldest(Some(since)), None);
    assert_eq!(seconds(&read(&mut reader, &some, 3).0), (4001..=4010).collect::<Vec<_>>());
}

fn newest(folder: &Path, end: &str) -> std::path::PathBuf {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.retain(|p| p.file_name().unwrap().to_str().unwrap().ends_with(end));
    paths.pop().unwrap_or_else(|| panic!("no {end}"))
}

#[test]
fn a_torn_tail_is_cut_to_the_last_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path(), 64 << 20);
    push(&history, 0..50);
    drop(history);
    let tail = folder.path().join("drops.tail");
    let whole = fs::metadata(&tail).unwrap().len();
    for torn in [1, 7, 100] {
        let mut file = OpenOptions::new().append(true).open(&tail).unwrap();
        file.write_all(&vec![1; torn]).unwrap();
        drop(file);
        let history = open(folder.path(), 64 << 20);
        assert_eq!(all(&history), (0..50).collect::<Vec<_>>());
        assert_eq!(fs::metadata(&tail).unwrap().len(), whole, "cut where it was whole");
    }
    OpenOptions::new().write(true).open(&tail).unwrap().set_len(whole - 1).unwrap();
    let after = all_and_missed(&open(folder.path(), 64 << 20));
    assert_eq!(
        after,
        ((0..49).collect::<Vec<_>>(), 1),
        "the last is not whole, and was known at the last start"
    );
}

#[test]
fn a_torn_segment_is_cut_and_what_it_lacks_is_told_as_missed() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path(), 64 << 20);
    push(&history, 0..2000);
    let before = all(&history);
    drop(history);
    let segment = newest(folder.path(), ".seg");
    let len = fs::metadata(&segment).unwrap().len();
    OpenOptions::new().write(true).open(&segment).unwrap().set_len(len - 3).unwrap();
    for _ in 0..2 {
        let history = open(folder.path(), 64 << 20);
        let (after, missed) = all_and_missed(&history);
        assert!(after.len() < before.len() && after.iter().all(|s| before.contains(s)));
        assert_eq!(after.len() as u64 + missed, before.len() as u64, "what came after it tells how many");
        assert_eq!(history.status().disk.unwrap().lost, missed);
        assert!(fs::metadata(&segment).unwrap().len() < len - 3, "cut to whole frames");
    }
}

#[test]
fn the_disk_is_bounded_and_what_is_removed_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (limit, history) = (1 << 20, open(folder.path(), 1 << 20));
    for round in 0..10 {
        push(&history, round * 2000..(round + 1) * 2000);
        let size: u64 =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= limit + (64 << 10), "{size} after {round}");
    }
    let kept = all(&history);
    assert!(kept.len() < 20_000 && kept.last() == Some(&19_999), "{}", kept.len());
    drop(history);
    let again = all(&open(folder.path(), limit));
    assert!(again.last() == Some(&19_999));
}

#[test]
fn a_file_of_another_version_is_put_away() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = |name: &str| {
        let (path, bytes) =
            (folder.path().join(name), [&b"netdropH\x01\0\0\0\0\0\0\0"[..], &[7; 200]].concat());
        fs::write(&path, &bytes).unwrap();
        (path, bytes)
    };
    let files = ["drops-00000000000000000001.seg", "drops.tail"].map(foreign);
    for _ in 0..2 {
        push(&open(folder.path(), 64 << 20), 0..10);
    }
    for (path, bytes) in files {
        assert_eq!(fs::read(format!("{}.old", path.display())).unwrap(), bytes);
    }
    assert_eq!(all(&open(folder.path(), 64 << 20)).len(), 20);
}

/// Faster than the disk takes it, and then nothing more: an agent that is killed now has it all on disk.
#[test]
fn what_a_burst_left_behind_is_written_once_there_is_time() {
    let folder = tempfile::tempdir().unwrap();
    // No block is whole before the burst is over.
    let disk = HistoryDisk { folder: folder.path().to_owned(), bytes: 64 << 20 };
    let history = History::on_disk(HistorySize { drops: 16 << 20, flows: 1 << 20 }, &disk).unwrap();
    for second in 0..400 {
        let mut flow = made::full(second);
        flow.time = jiff::Timestamp::from_second(second).unwrap();
        history.push(vec![Arc::new(Observation::Flow(flow))]);
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            // The writer may put another file in a tail's place meanwhile.
            drop(fs::copy(file.path(), copy.path().join(file.file_name())));
        }
        let (kept, missed) = all_and_missed(&open(copy.path(), 64 << 20));
        if (kept.len(), missed) == (400, 0) {
            break;
        }
        assert!(Instant::now() < deadline, "{} are on disk, {missed} are known to be missing", kept.len());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn two_agents_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path(), 64 << 20);
    let disk = HistoryDisk { folder: folder.path().to_owned(), bytes: 1 << 20 };
    let e = History::on_disk(HistorySize { drops: 1 << 20, flows: 1 << 20 }, &disk).unwrap_err();
    assert!(format!("{e:#}").contains("another netdrop agent"), "{e:#}");
}

/// Run by the test below: goes on until it is killed, and says what it has handed over.
#[test]
#[ignore = "the child of a test"]
fn child_writes() {
    let folder = std::env::var_os("HISTORY_TEST_DIR").unwrap();
    let history = open(Path::new(&folder), 64 << 20);
    let mut written = i64::try_from(all(&history).len()).unwrap();
    loop {
        push(&history, written..written + 8);
        written += 8;
        println!("written {written}");
    }
}

#[test]
fn a_killed_agent_loses_nothing_that_was_written() {
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let mut written = 0;
    // Also one that goes on from what a killed one left, and is killed at once.
    for kill_at in [200, 3000, 0, 0, 3100, 0, 6000] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "agent::history::tests::disk::child_writes", "--ignored", "--nocapture"])
            .env("HISTORY_TEST_DIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            if let Some(count) = line.unwrap().strip_prefix("written ") {
                written = count.parse().unwrap();
                if written >= kill_at {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let history = open(folder.path(), 64 << 20);
        let got = all(&history);
        assert!(i64::try_from(got.len()).unwrap() >= written, "{} of {written}", got.len());
        assert_eq!(got, (0..i64::try_from(got.len()).unwrap()).collect::<Vec<_>>(), "whole and in order");
        assert_eq!(history.status().disk.unwrap().lost, 0);
    }
}

/// Run by the test below, with files that may have no more than 32 KiB, until it allows itself more.
#[test]
#[ignore = "the child of a test"]
fn child_has_no_room() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path(), 64 << 20);
    push(&history, 0..3000);
    assert!(history.status().disk.unwrap().not_written > 0, "32 KiB do not take 3000 flows");
    let (items, missed) = read(&mut history.reader(history.oldest(None), None), &Selection::default(), 64);
    assert_eq!(items.len() as u64 + missed.count, 3000, "each is there or told as missed");
    assert_eq!(seconds(&items).last(), Some(&2999), "it goes on in memory");
    drop(history);
    let history = open(folder.path(), 64 << 20);
    let (got, missed) = all_and_missed(&history);
    assert_eq!(
        got.len() as u64 + missed,
        3000,
        "also what never got to the disk is still told after a restart"
    );
    assert!(missed > 0 && history.status().disk.unwrap().lost == missed);
    push(&history, 3000..6000);
    let lost_before = history.status().disk.unwrap().lost;
    let not_written = || history.status().disk.unwrap().not_written;
    let missing = not_written() + lost_before;
    assert!(not_written() > 0);
    let hard = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, rustix::process::Rlimit { current: hard, maximum: hard }).unwrap();
    push(&history, 6000..9000);
    assert_eq!(not_written() + lost_before, missing, "and on disk, once there is room");
    drop(history);
    for _ in 0..2 {
        let history = open(folder.path(), 64 << 20);
        let (got, missed) = all_and_missed(&history);
        assert_eq!(got.last(), Some(&8999));
        assert_eq!(got.len() as u64 + missing, 9000, "all but what was said to be missing");
        assert_eq!((missed, history.status().disk.unwrap().lost), (missing, missing), "which is still said");
    }
}

#[test]
fn a_full_disk_is_survived_and_what_it_lacks_is_counted() {
    let status = Command::new("sh")
        // In units of 512 bytes; the signal of a file that is too large is ignored, so that the write fails.
        .args(["-c", "trap '' XFSZ; ulimit -S -f 64; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "agent::history::tests::disk::child_has_no_room", "--ignored"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the child failed: run it by hand");
}
