use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::source::file::FileSource;
use crate::source::wire::WireSource as _;

fn response(n: u32) -> GetFlowsResponse {
    let line = format!("{{\"flow\":{{\"uuid\":\"flow {n}\",\"node_name\":\"worker-{}\"}}}}", n % 7);
    json::read(&line, json::Unknown::Refuse).unwrap()
}

async fn lines(file: &Path) -> usize {
    let mut source = FileSource::open(file, |t| panic!("{t:?}")).unwrap();
    let mut batch = Vec::new();
    while source.next(&mut batch).await.unwrap() {}
    batch.len()
}

fn recorded(config: &RecordConfig, count: u32) -> Written {
    let news = |n| assert!(matches!(n, News::Earlier(..)), "{n}");
    let mut recorder = Recorder::start(config.clone(), news).unwrap();
    for n in 0..count {
        WireSink::write(&mut recorder, &response(n)).unwrap();
    }
    recorder.close().unwrap()
}

#[tokio::test]
async fn what_is_recorded_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["flows.json", "flows.json.gz", "flows.json.zst"] {
        let file = folder.path().join(name);
        let config = RecordConfig { file: file.clone(), ..RecordConfig::default() };
        let written = recorded(&config, 30_000);
        assert_eq!((written.lines, written.files, written.lost), (30_000, 1, 0));
        assert_eq!(written.bytes, fs::metadata(&file).unwrap().len());
        assert_eq!(lines(&file).await, 30_000, "{name}");
    }
}

#[tokio::test]
async fn files_stay_small_and_few() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flows.json");
    fs::write(folder.path().join("flows-notes.json"), "mine").unwrap();
    let config = RecordConfig {
        file: file.clone(),
        max_size: Some(200_000),
        max_files: Some(3),
        ..RecordConfig::default()
    };
    let written = recorded(&config, 30_000);
    assert!(written.files > 5, "{written:?}");
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    let mut all = 0;
    for name in names.iter().filter(|n| !n.ends_with("flows-notes.json")) {
        assert!(fs::metadata(name).unwrap().len() <= 200_000);
        all += lines(name).await;
    }
    assert!(all < 30_000);
    // A later run puts the file of the earlier one away.
    recorded(&RecordConfig { max_files: None, ..config }, 10);
    assert_eq!(lines(&file).await, 10);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
}

/// Also where a file holds less than what is handed to the writer at once.
#[tokio::test]
async fn the_smallest_files_are_no_larger_than_asked() {
    for (name, least) in [("flows.json", 20), ("flows.json.gz", 2), ("flows.json.zst", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let config = RecordConfig { file, max_size: Some(4096), ..RecordConfig::default() };
        let written = recorded(&config, 3000);
        assert_eq!((written.lines, written.lost), (3000, 0));
        assert!(written.files >= least, "{name}: {written:?}");
        let mut all = 0;
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            assert!(fs::metadata(&path).unwrap().len() <= 4096, "{}", path.display());
            all += lines(&path).await;
        }
        assert_eq!(all, 3000, "{name}");
    }
}

#[test]
fn an_earlier_file_is_said_to_have_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d.json");
    fs::write(&file, "{}\n").unwrap();
    let (send, said) = std::sync::mpsc::sync_channel(4);
    let config = RecordConfig { file: file.clone(), ..RecordConfig::default() };
    let recorder = Recorder::start(config, move |n| send.send(n).unwrap()).unwrap();
    recorder.close().unwrap();
    let Ok(News::Earlier(name, away)) = said.recv() else { panic!("nothing was said") };
    assert_eq!((name, fs::read_to_string(away).unwrap()), (file, "{}\n".to_owned()));
}

#[test]
fn a_full_disk_is_said_and_what_is_missing_is_counted() {
    let news = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&news);
    let config = RecordConfig { file: "/dev/full".into(), ..RecordConfig::default() };
    let mut recorder = Recorder::start(config, move |n| told.lock().unwrap().push(n.to_string())).unwrap();
    for n in 0..10 {
        WireSink::write(&mut recorder, &response(n)).unwrap();
    }
    let written = recorder.close().unwrap();
    assert_eq!((written.lines, written.lost), (0, 10));
    assert!(written.why.is_some_and(|why| why.contains("No space left")));
    let news = news.lock().unwrap();
    assert!(news[0].contains("/dev/full") && news[0].contains("No space left"), "{news:?}");
}

fn files_of(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_file_is_put_away() {
    const AGE: Duration = Duration::from_millis(100);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flows.json");
    let config = RecordConfig { file: file.clone(), max_age: Some(AGE), ..RecordConfig::default() };
    let mut recorder = Recorder::start(config, |n| panic!("{n}")).unwrap();
    for n in 0..3_usize {
        let began = std::time::Instant::now();
        WireSink::write(&mut recorder, &response(0)).unwrap();
        WireSink::flush(&mut recorder).unwrap();
        while files_of(folder.path()).len() < n + 2 {
            assert!(began.elapsed() < Duration::from_mins(1), "file {n} is not put away");
            std::thread::sleep(Duration::from_millis(5));
        }
        // However old the empty file is, what it begins with is young.
        assert!(began.elapsed() >= AGE, "{:?}", began.elapsed());
    }
    let written = recorder.close().unwrap();
    assert_eq!((written.lines, written.files, written.removed), (3, 4, 0));
    for path in files_of(folder.path()) {
        assert_eq!(lines(&path).await, usize::from(path != file), "{}", path.display());
    }
}

/// Run by the test below, with files that may have no more than 128 KiB, until it allows itself more.
#[tokio::test]
#[ignore = "the child of a test"]
async fn child_has_no_room() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let folder = tempfile::tempdir().unwrap();
    let (file, most) = (folder.path().join("flows.json"), Some(200 * 1024));
    let news = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&news);
    let config = RecordConfig { file: file.clone(), max_size: most, ..RecordConfig::default() };
    let mut recorder = Recorder::start(config, move |n| told.lock().unwrap().push(n.to_string())).unwrap();
    let is_told = |what: &str| news.lock().unwrap().iter().any(|line| line.contains(what));
    let mut taken: u64 = 0;
    for (what, more) in [("cannot write", false), ("can be written again", true)] {
        let limits = getrlimit(Resource::Fsize);
        if more {
            setrlimit(Resource::Fsize, Rlimit { current: limits.maximum, ..limits }).unwrap();
        }
        let began = std::time::Instant::now();
        while !is_told(what) {
            assert!(began.elapsed() < Duration::from_mins(1), "{what:?} is not said");
            for n in 0..500 {
                WireSink::write(&mut recorder, &response(n)).unwrap();
                taken += 1;
            }
        }
    }
    let written = recorder.close().unwrap();
    assert_eq!(written.lines - written.gaps + written.lost, taken, "{written:?}");
    assert!(written.lost > 0 && written.gaps == 1, "{written:?}");
    assert!(written.why.as_ref().is_some_and(|why| why.contains("File too large")), "{written:?}");
    let mut there = 0;
    for path in files_of(folder.path()) {
        assert!(fs::metadata(&path).unwrap().len() <= most.unwrap());
        there += lines(&path).await;
    }
    assert_eq!(there as u64, written.lines, "{written}");
    assert!(written.to_string().contains("lines recorded (1 of them says"), "{written}");
}

#[test]
fn a_file_that_can_be_written_again_says_what_it_lacks() {
    let status = std::process::Command::new("sh")
        // In units of 512 bytes; the signal of a file that is too large is ignored, so that the write fails.
        .args(["-c", "trap '' XFSZ; ulimit -S -f 256; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "record::tests::child_has_no_room", "--ignored"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the child failed: run it by hand");
}

#[test]
fn a_sum_is_said_in_words() {
    let mut written = Written { lines: 1, files: 1, bytes: 90, ..Written::default() };
    assert_eq!(written.to_string(), "1 line recorded in 1 file of 90 bytes");
    written = Written { lines: 70, gaps: 2, files: 5, removed: 3, ..written };
    assert_eq!(
        written.to_string(),
        "70 lines recorded (2 of them say that others are missing there) in 5 files of 90 bytes, the 3 oldest of which were removed"
    );
}
