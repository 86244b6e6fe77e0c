//! Feeds in trouble: files that are moved, made anew and rotated while lines come; paths that are no files; events of the agent.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::*;
use crate::filter::EventTypeFilter;
use crate::flow::{Observation, Verdict};
use crate::proto::flow::agent_event::Notification;
use crate::proto::flow::{AgentEvent, AgentEventType, ServiceDeleteNotification};

/// Far beyond what a feed takes, on a machine that does other things, too.
const LATE: Duration = Duration::from_mins(1);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + LATE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn batch(seconds: std::ops::Range<i64>) -> Arc<[Arc<Observation>]> {
    let flow = |s| Flow::new(Timestamp::from_second(s).unwrap(), Verdict::Dropped);
    seconds.map(|s| Arc::new(Observation::Flow(flow(s)))).collect()
}

fn to_file(path: &Path) -> FeedSpec {
    FeedSpec::new("f", Target::File(FileSpec::new(path)))
}

/// How often each second was told, in all files of a folder; every line must be whole.
fn told(folder: &Path) -> BTreeMap<i64, u32> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let (path, mut text) = (entry.unwrap().path(), String::new());
        let mut file = fs::File::open(&path).unwrap();
        if path.extension().is_some_and(|e| e == "gz") {
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
        assert!(text.is_empty() || text.ends_with('\n'), "{path:?}");
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line.get("lost_events").is_none(), "{line}");
            let time: Timestamp = line["flow"]["time"].as_str().unwrap().parse().unwrap();
            *all.entry(time.as_second()).or_default() += 1;
        }
    }
    all
}

/// While lines come, the file is rotated and compressed by its size, somebody else moves it away all the time, and each time it is to be made
/// anew: every line is in one of the files, and in one alone.
#[tokio::test]
async fn no_line_is_lost_or_doubled_while_the_file_is_moved_and_made_anew() {
    const FLOWS: i64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.log");
    let file = FileSpec { max_bytes: 30_000, max_backups: 0, compress: true, ..FileSpec::new(&path) };
    let feeds = Feeds::start(vec![FeedSpec::new("f", Target::File(file))]).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let storm = {
        let (feeds, over, path) = (feeds.clone(), Arc::clone(&over), path.clone());
        std::thread::spawn(move || {
            let mut moved = 0;
            while !over.load(Relaxed) {
                if fs::rename(&path, path.with_file_name(format!("moved-{moved}"))).is_ok() {
                    moved += 1;
                }
                feeds.reopen();
                std::thread::sleep(Duration::from_millis(1));
            }
            moved
        })
    };
    for second in (0..FLOWS).step_by(20) {
        feeds.push(&batch(second..second + 20));
        let report = feeds.reports().remove(0);
        until("room", || report.counts.queued.load(Relaxed) < 32);
    }
    let report = feeds.reports().remove(0);
    until("the last line", || report.counts.told.load(Relaxed) == FLOWS.cast_unsigned());
    over.store(true, Relaxed);
    let moved = storm.join().unwrap();
    feeds.finish_within(LATE).await;
    until("compression", || {
        fs::read_dir(folder.path()).unwrap().all(|e| {
            let name = e.unwrap().file_name().into_string().unwrap();
            name == "d.log" || name.starts_with("moved-") || name.ends_with(".log.gz")
        })
    });
    assert!(moved > 3, "{moved}");
    let all = told(folder.path());
    assert_eq!(all.len(), usize::try_from(FLOWS).unwrap());
    assert!(all.values().all(|n| *n == 1), "{:?}", all.iter().find(|(_, n)| **n != 1));
}

#[tokio::test]
async fn a_link_leads_to_its_file_and_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (link, real) = (folder.path().join("link.log"), folder.path().join("real.log"));
    symlink(&real, &link).unwrap();
    let feeds = Feeds::start(vec![to_file(&link)]).unwrap();
    feeds.push(&batch(0..5));
    feeds.finish_within(LATE).await;
    assert_eq!(fs::read_to_string(&real).unwrap().lines().count(), 5);
    let wrong = [folder.path().to_owned(), real.join("x.log")].map(|path| to_file(&path));
    let wrong = wrong.into_iter().zip(["a", "b"]).map(|(f, name)| FeedSpec { name: name.into(), ..f });
    let e = Feeds::start(wrong.collect()).err().unwrap().to_string();
    assert!(e.starts_with("2 things are in the way:"), "{e}");
    assert!(e.contains("Is a directory") && e.contains("File exists") && e.contains("\"b\""), "{e}");
}

/// Nobody reads from a pipe: the feed waits in its thread, and nobody else does. Then somebody does, and goes.
#[tokio::test]
async fn a_pipe_without_a_reader_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let feeds = Feeds::start(vec![to_file(&pipe)]).unwrap();
    let report = feeds.reports().remove(0);
    for second in 0..1000 {
        feeds.push(&batch(second..second + 1));
    }
    let overflow = report.counts.overflow.load(Relaxed);
    assert!((900..1000).contains(&overflow), "{overflow}");
    let mut reader = fs::File::open(&pipe).unwrap();
    let mut heard = [0; 1];
    reader.read_exact(&mut heard).unwrap();
    until("what it held", || report.counts.told.load(Relaxed) + overflow == 1000);
    drop(reader);
    feeds.push(&batch(0..1));
    until("a broken pipe", || report.counts.failed.load(Relaxed) == 1);
    let start = Instant::now();
    feeds.finish_within(LATE).await;
    assert!(start.elapsed() < LATE);
}

fn event(id: u32) -> Event {
    let notification = Notification::ServiceDelete(ServiceDeleteNotification { id });
    Event {
        node: "n1".into(),
        time: Timestamp::from_second(5).unwrap(),
        event: Arc::new(AgentEvent {
            r#type: AgentEventType::ServiceDeleted.into(),
            notification: Some(notification),
        }),
    }
}

#[tokio::test]
async fn events_of_the_agent_are_lines_of_hubbles_exporter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.log");
    let feeds = Feeds::start(vec![FeedSpec { rate: NonZeroU32::new(1), ..to_file(&path) }]).unwrap();
    for id in 0..50 {
        feeds.tell(&event(id));
        let report = feeds.reports().remove(0);
        until("room", || report.counts.queued.load(Relaxed) < 32);
    }
    let report = feeds.finish_within(LATE).await.remove(0);
    let [told, missed] = [&report.counts.events, &report.counts.events_missed].map(|n| n.load(Relaxed));
    assert_eq!(told + missed, 50);
    assert!(told >= 10 && missed > 0, "{told} {missed}");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().nth(1).unwrap(),
        r#"{"agent_event":{"type":"SERVICE_DELETED","service_delete":{"id":1}},"node_name":"n1","time":"1970-01-01T00:00:05Z"}"#
    );
    // What is missing is said in the feed, and nothing else is in it.
    let said: u64 = text
        .lines()
        .filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let said = line["agent_event"]["unknown"]["notification"].as_str()?.to_owned();
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            said["num_events_lost"].as_str()?.parse::<u64>().ok()
        })
        .sum();
    assert_eq!(said, missed);
}

#[test]
fn a_filter_of_flows_fits_no_event() {
    let tells = |allow: Vec<FlowFilter>, deny: Vec<FlowFilter>| tells_events(&Filters { allow, deny });
    let kind = |kind| EventTypeFilter { kind, match_sub_type: false, sub_type: 0 };
    let events = || FlowFilter { event_type: vec![kind(1), kind(130)], ..FlowFilter::default() };
    let pods = || FlowFilter { source_pod: vec!["a".into()], ..FlowFilter::default() };
    let both = FlowFilter { source_pod: vec!["a".into()], ..events() };
    assert!(tells(vec![], vec![]) && tells(vec![], vec![pods()]));
    assert!(tells(vec![pods(), events()], vec![]));
    assert!(
        !tells(vec![pods()], vec![]) && !tells(vec![both.clone()], vec![]) && !tells(vec![], vec![events()])
    );
    assert!(tells(vec![], vec![both]));
}
