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
    let news = news.lock().unwrap();
    assert!(news[0].contains("/dev/full") && news[0].contains("No space left"), "{news:?}");
}
