//! Damage costs what it hits, and what it cost is told.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::super::{History, HistoryDisk, HistorySize, Selection};
use super::disk::{all, all_and_missed, open, push};
use super::{read, seconds};

const ROOM: u64 = 64 << 20;

fn path_of(folder: &Path, ending: &str) -> std::path::PathBuf {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.into_iter().find(|path| path.to_str().unwrap().ends_with(ending)).unwrap()
}

/// What is read of a copy of a folder in which one bit of a file is another.
fn with_flipped(folder: &Path, file: &str, at: usize) -> (tempfile::TempDir, Arc<History>) {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let path = path_of(copy.path(), file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(&path, bytes).unwrap();
    let history = open(copy.path(), ROOM);
    (copy, history)
}

/// A history in memory of so many bytes that none of a test's blocks becomes whole.
fn open_large(folder: &Path) -> Arc<History> {
    let disk = HistoryDisk { folder: folder.to_owned(), bytes: ROOM };
    History::on_disk(HistorySize { drops: 64 << 20, flows: 64 << 20 }, &disk).unwrap()
}

#[test]
fn a_flipped_bit_in_the_tail_costs_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let history = open_large(folder.path());
    // Every fourth second is no drop.
    for second in 0..40 {
        push(&history, second..second + 1);
    }
    let whole = all(&history);
    drop(history);
    let len = usize::try_from(fs::metadata(folder.path().join("drops.tail")).unwrap().len()).unwrap();
    // The last record's beginning alone says that it was there.
    let before_last = len - len / 30 * 2;
    let (mut kept_all, mut cost_one) = (0, 0);
    for at in (0..before_last).step_by(131) {
        let (_copy, history) = with_flipped(folder.path(), "drops.tail", at);
        let (kept, missed) = all_and_missed(&history);
        assert!(kept.iter().all(|second| whole.contains(second)) && kept.is_sorted(), "{at}: {kept:?}");
        assert_eq!(kept.len() as u64 + missed, 40, "{at}: {kept:?}");
        assert_eq!(history.status().disk.unwrap().lost, missed);
        assert!(missed <= 1, "{at}: {missed} are missing");
        kept_all += u32::from(missed == 0);
        cost_one += u32::from(missed == 1);
    }
    // What the file says of itself is there twice.
    assert!((1..=2).contains(&kept_all) && cost_one > 15, "{kept_all} {cost_one}");
}

#[test]
fn a_flipped_bit_in_a_blocks_numbers_is_no_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path(), ROOM);
    push(&history, 0..1200);
    drop(history);
    let bytes = fs::read(path_of(folder.path(), ".seg")).unwrap();
    let marker: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"\xff\xfend\xff\x00\xfeb")).collect();
    assert!(marker.len() > 3, "{} blocks", marker.len());
    let until = jiff::Timestamp::from_second(1150).unwrap();
    let since = jiff::Timestamp::from_second(1100).unwrap();
    let late = Selection::default().between(Some(since), Some(until));
    for at in (marker[1]..marker[1] + 130).step_by(6) {
        let (_copy, history) = with_flipped(folder.path(), ".seg", at);
        let (kept, missed) = all_and_missed(&history);
        assert_eq!(kept.len() as u64 + missed, 1200, "{at}");
        assert!(missed > 0 && kept.is_sorted(), "{at}");
        let mut reader = history.reader(history.oldest(Some(since)), None);
        let (items, missed) = read(&mut reader, &late, 64);
        assert_eq!((seconds(&items), missed.count), ((1100..=1150).collect(), 0), "{at}");
        // The damage lies between what is known to be before and after it.
        let missed = read(&mut history.reader(history.oldest(None), None), &Selection::default(), 64).1;
        let (first, last) = (missed.first.unwrap().as_second(), missed.last.unwrap().as_second());
        let lost: Vec<_> = (0..1200).filter(|second| !kept.contains(second)).collect();
        assert!(
            first <= lost[0] && lost.last().is_some_and(|lost| *lost <= last),
            "{first} to {last}: {lost:?}"
        );
    }
}

/// What was lost before all that is known has no time of its own: that of what came after it is no beginning.
#[test]
fn a_loss_at_the_very_beginning_has_no_first() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path(), ROOM);
    push(&history, 0..1200);
    drop(history);
    // In the first frame, behind what the file says of itself.
    let (_copy, history) = with_flipped(folder.path(), ".seg", 96 + 40);
    let mut reader = history.reader(history.oldest(None), None);
    let (items, missed) = read(&mut reader, &Selection::default(), 64);
    let kept = seconds(&items);
    assert!(missed.count > 0 && missed.count + kept.len() as u64 == 1200, "{missed:?}");
    assert_eq!(missed.first, None);
    let last = missed.last.unwrap().as_second();
    assert!((0..1200).filter(|second| !kept.contains(second)).all(|lost| lost <= last), "{last}");
}

#[test]
fn bytes_that_look_like_a_frame_are_none_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let history = open_large(folder.path());
    push(&history, 0..30);
    drop(history);
    let tail = folder.path().join("drops.tail");
    let bytes = fs::read(&tail).unwrap();
    // Damage in the first record, and after the last a copy of them all, as a file system may leave it.
    let mut doubled = [&bytes[..], &bytes[96..]].concat();
    doubled[100] ^= 1;
    fs::write(&tail, doubled).unwrap();
    let history = open(folder.path(), ROOM);
    let (kept, missed) = all_and_missed(&history);
    assert_eq!((kept.len(), missed), (29, 1), "{kept:?}");
    assert!(kept.is_sorted_by(|a, b| a < b));
}

/// A tail that was written with larger blocks is more than one of today's.
#[test]
fn a_tail_that_has_become_whole_blocks_is_written_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let history = open_large(folder.path());
    push(&history, 0..600);
    drop(history);
    for run in 0..3 {
        let history = open(folder.path(), ROOM);
        let end = 600 + run * 500;
        assert_eq!(all(&history), (0..end).collect::<Vec<_>>(), "run {run}");
        push(&history, end..end + 500);
        assert_eq!(history.status().disk.unwrap().not_written, 0);
    }
}
