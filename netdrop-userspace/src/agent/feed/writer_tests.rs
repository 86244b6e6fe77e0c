//! What a feed writes, line by line, and what it says is missing.

use std::io;
use std::num::NonZeroU32;
use std::sync::Mutex;

use serde_json::Value;

use super::*;
use crate::agent::feed::Target;
use crate::filter::{Filters, FlowFilter};
use crate::flow::{DropReason, Tally, TallyKind, TrafficDirection, Verdict};

/// Keeps what is written; can be full.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(String, bool)>>);

impl Disk {
    fn fill(&self, full: bool) {
        self.0.lock().unwrap().1 = full;
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.0.lock().unwrap().0.clone();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

impl Out for Disk {
    fn write(&mut self, lines: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.0.push_str(lines);
        Ok(())
    }
}

fn spec() -> FeedSpec {
    FeedSpec::new("test", Target::Stdout)
}

fn writer(spec: &FeedSpec) -> (Writer, Disk, Arc<FeedCounts>) {
    let (disk, counts) = (Disk::default(), Arc::new(FeedCounts::default()));
    counts.active.store(true, Relaxed);
    counts.working.store(true, Relaxed);
    (Writer::new(spec, spec.compile().unwrap(), Box::new(disk.clone()), Arc::clone(&counts)), disk, counts)
}

fn flow(second: i64, reason: &str, direction: TrafficDirection, count: u64) -> Arc<Observation> {
    let mut flow = Flow::new(Timestamp::from_second(second).unwrap(), Verdict::Dropped);
    flow.reason = Some(DropReason { code: 3, subsystem: "CORE".into(), name: reason.into() });
    flow.direction = direction;
    flow.node_name = Some("n1".into());
    if count > 1 {
        flow.tally = Tally { kind: TallyKind::Flow, count, ..flow.tally };
    }
    Arc::new(Observation::Flow(flow))
}

fn one(second: i64) -> Arc<Observation> {
    flow(second, "NO_SOCKET", TrafficDirection::Unknown, 1)
}

fn lost(lines: &[Value]) -> u64 {
    let told = |v: &Value| v["lost_events"]["num_events_lost"].as_str().map(|n| n.parse::<u64>().unwrap());
    lines.iter().filter_map(told).sum()
}

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

#[test]
fn told_and_missing_make_all() {
    let spec = FeedSpec { rate: NonZeroU32::new(10), ..spec() };
    let start = Instant::now();
    let (mut writer, disk, counts) = writer(&spec);
    for second in 0..5000 {
        writer.write(&[flow(second, "X", TrafficDirection::Unknown, 3)]);
        if second % 1000 == 0 {
            writer.tick();
        }
    }
    writer.finish();
    let lines = disk.lines();
    let told = lines.iter().filter(|l| l["flow"].is_object()).count() as u64;
    // Ten seconds' worth at once, then ten a second.
    let most = 100 + 10 * (start.elapsed().as_secs() + 1);
    assert!((100..=most).contains(&told), "{told} of at most {most}");
    assert_eq!(told * 3 + lost(&lines), 15_000);
    assert_eq!(counts.told.load(Relaxed), told * 3);
    assert_eq!(counts.withheld.load(Relaxed), lost(&lines));
    assert_eq!(counts.lines.load(Relaxed), lines.len() as u64);
    let said = lines.iter().find(|l| l["lost_events"].is_object()).unwrap();
    assert_eq!(said["lost_events"]["source"], "OBSERVER_EVENTS_QUEUE");
    assert_eq!(said["node_name"], "n1");
    assert!(said["lost_events"]["first"].as_str() <= said["lost_events"]["last"].as_str());
}

#[test]
fn tokens_come_back_with_time() {
    let mut rate = Rate { per_second: 10.0, tokens: 0.0, filled: Instant::now() };
    rate.fill(rate.filled + Duration::from_millis(250));
    assert!((rate.tokens - 2.5).abs() < 1e-9);
    assert!(rate.take() && rate.take() && !rate.take());
    rate.fill(rate.filled + Duration::from_secs(1000));
    assert!((rate.tokens - 100.0).abs() < 1e-9);
}

#[test]
fn a_full_disk_is_counted_and_said_when_there_is_room_again() {
    let (mut writer, disk, counts) = writer(&spec());
    writer.write(&[one(1)]);
    disk.fill(true);
    writer.write(&[one(2), flow(3, "X", TrafficDirection::Unknown, 4)]);
    assert!(!counts.working.load(Relaxed));
    // Not even tried, until some time has passed.
    disk.fill(false);
    writer.write(&[one(4)]);
    writer.tick();
    assert_eq!(disk.lines().len(), 1);
    assert_eq!(counts.failed.load(Relaxed), 6);
    writer.retry = Some(Instant::now());
    writer.write(&[one(5)]);
    writer.tick();
    let lines = disk.lines();
    assert_eq!(lines.iter().filter(|l| l["flow"].is_object()).count(), 2);
    assert_eq!(lost(&lines), 6);
    assert!(counts.working.load(Relaxed));
    assert_eq!(counts.told.load(Relaxed) + counts.failed.load(Relaxed), 8);
}

#[test]
fn a_line_that_said_what_is_missing_and_was_lost_itself_is_said_again() {
    let (mut writer, disk, counts) = writer(&spec());
    disk.fill(true);
    writer.write(&[one(1)]);
    writer.retry = Some(Instant::now());
    writer.tick();
    disk.fill(false);
    writer.finish();
    assert_eq!(lost(&disk.lines()), 1);
    assert_eq!(counts.failed.load(Relaxed), 1);
}

#[test]
fn a_filter_hides_flows_but_no_rest() {
    let allow = vec![FlowFilter { reason: vec!["WANTED".into()], ..FlowFilter::default() }];
    // Which pods a rest came from is not known.
    let deny = vec![FlowFilter { source_pod: vec!["noise/".into()], ..FlowFilter::default() }];
    let spec = FeedSpec { filters: Filters { allow, deny }, ..spec() };
    let (mut writer, disk, counts) = writer(&spec);
    let mut rest = rest_of(70);
    rest.reason = Some(DropReason { code: 3, subsystem: "CORE".into(), name: "WANTED".into() });
    writer.write(&[
        flow(1, "WANTED", TrafficDirection::Unknown, 1),
        flow(2, "OTHER", TrafficDirection::Unknown, 5),
        Arc::new(Observation::Flow(rest)),
    ]);
    writer.finish();
    let lines = disk.lines();
    assert_eq!((lines.len(), lost(&lines)), (2, 70));
    assert_eq!((counts.told.load(Relaxed), counts.hidden.load(Relaxed)), (1, 5));
}

#[test]
fn lines_are_those_of_the_server_or_masked() {
    let (mut whole, disk, _) = writer(&spec());
    whole.write(&[one(1)]);
    // As a client gets it from the server, with all that tells who says so.
    let mut served = String::new();
    crate::wire::json::write(&crate::convert::to_wire(&one(1)), &mut served).unwrap();
    assert_eq!(disk.lines(), [serde_json::from_str::<Value>(&served).unwrap()]);
    assert_eq!(disk.lines()[0]["flow"]["emitter"]["name"], "netdrop");

    let field_mask = paths(&["time", "verdict", "extensions.kernel_reason"]);
    let (mut masked, disk, _) = writer(&FeedSpec { field_mask, ..spec() });
    masked.write(&[one(1)]);
    let extensions = serde_json::json!({
        "@type": "type.googleapis.com/google.protobuf.Struct",
        "value": {"kernel_reason": "NO_SOCKET"},
    });
    let time = "1970-01-01T00:00:01Z";
    assert_eq!(
        disk.lines(),
        [serde_json::json!({
            "flow": {"time": time, "verdict": "DROPPED", "extensions": extensions},
            "time": time,
        })]
    );
}

#[test]
fn alike_flows_become_one_line_with_counts_by_direction() {
    use TrafficDirection::{Egress, Ingress, Unknown};
    let field_aggregate = paths(&["verdict", "node_name", "extensions.kernel_reason"]);
    let spec = FeedSpec { field_aggregate, interval: Duration::from_hours(1), ..spec() };
    let (mut writer, disk, counts) = writer(&spec);
    writer.write(&[
        flow(7, "A", Ingress, 1),
        flow(8, "B", Unknown, 10),
        flow(9, "A", Egress, 3),
        flow(10, "A", Ingress, 1),
        Arc::new(Observation::Lost(LostEvents::of_rest(&rest_of(5)))),
    ]);
    assert_eq!(disk.lines().len(), 1, "loss does not wait");
    writer.finish();
    let lines = disk.lines();
    let about = |l: &Value| {
        (
            l["time"].as_str().unwrap().to_owned(),
            l["flow"]["extensions"]["value"]["kernel_reason"].as_str().unwrap().to_owned(),
            l["flow"]["aggregate"].to_string(),
        )
    };
    assert_eq!(
        lines[1..].iter().map(about).collect::<Vec<_>>(),
        [
            (
                "1970-01-01T00:00:07Z".into(),
                "A".into(),
                r#"{"egress_flow_count":3,"ingress_flow_count":2}"#.into()
            ),
            ("1970-01-01T00:00:08Z".into(), "B".into(), r#"{"unknown_direction_flow_count":10}"#.into()),
        ]
    );
    assert_eq!(lines[1]["node_name"], "n1");
    assert_eq!(counts.told.load(Relaxed), 15);
}

fn rest_of(count: u64) -> Flow {
    let mut rest = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
    rest.tally = Tally { kind: TallyKind::Rest, count, ..rest.tally };
    rest
}

#[test]
fn more_than_is_put_together_at_once_is_written_before_the_time() {
    let spec = FeedSpec { field_aggregate: paths(&["time"]), interval: Duration::from_hours(1), ..spec() };
    let (mut writer, disk, counts) = writer(&spec);
    for second in 0..20_000 {
        writer.write(&[one(second)]);
    }
    assert_eq!(disk.lines().len(), 16_384);
    writer.finish();
    assert_eq!(disk.lines().len(), 20_000);
    assert_eq!(counts.told.load(Relaxed), 20_000);
}

#[test]
fn after_its_end_a_feed_is_silent() {
    let spec = FeedSpec { end: Some(Timestamp::now() - jiff::SignedDuration::from_secs(1)), ..spec() };
    let (mut writer, disk, counts) = writer(&spec);
    writer.write(&[one(1)]);
    writer.finish();
    assert_eq!(disk.lines().len(), 0);
    assert!(!counts.active.load(Relaxed));
}

#[test]
fn wrong_fields_are_named() {
    let wrong = FeedSpec { field_mask: paths(&["time", "nope"]), ..spec() };
    assert!(wrong.compile().unwrap_err().to_string().contains("nope"));
}
