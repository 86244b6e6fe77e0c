//! The port as a client sees it, and the sums that it tells.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::*;
use crate::agent::feed::Feeds;
use crate::balance::Row;
use crate::flow::{LostEvents, Verdict};
use tokio::sync::watch;

fn lines_of(text: &str) -> Vec<&str> {
    text.lines().collect()
}

fn page(metrics: &Metrics) -> String {
    metrics.page(&about(Some(Names::default()))).write(Format::OpenMetrics)
}

fn about(names: Option<Names>) -> About {
    let events = Arc::new(AgentEvents::default());
    events.started(Timestamp::UNIX_EPOCH);
    About { feeds: Feeds::default(), names, tls: None, events, history: Arc::new(HistoryLevel::default) }
}

#[test]
fn every_fate_of_every_reason_has_its_line() {
    let row = Row { drops: 10, shown: 1, aggregated: 2, hidden: 3, lost: 4, other: 0 };
    let total = Row { lost: 9, drops: 15, ..row };
    let metrics = Metrics::default();
    let rows = vec![("NO_SOCKET".into(), row), ("IP_RPFILTER".into(), row)];
    metrics.lock().drawn = Drawn::of_balance(Balance::of_rows(total, rows));
    let text = page(&metrics);
    for line in [
        "netdrop_drops_total{kernel_reason=\"NO_SOCKET\",reason=\"DROP_REASON_UNKNOWN\",fate=\"shown\"} 1",
        "netdrop_drops_total{kernel_reason=\"NO_SOCKET\",reason=\"DROP_REASON_UNKNOWN\",fate=\"aggregated\"} 2",
        "netdrop_drops_total{kernel_reason=\"IP_RPFILTER\",reason=\"INVALID_SOURCE_IP\",fate=\"hidden\"} 3",
        "netdrop_drops_total{kernel_reason=\"IP_RPFILTER\",reason=\"INVALID_SOURCE_IP\",fate=\"lost\"} 4",
        "netdrop_drops_total{kernel_reason=\"unknown\",reason=\"DROP_REASON_UNKNOWN\",fate=\"lost\"} 1",
        "netdrop_drops_elsewhere_total 0",
        "# EOF",
    ] {
        assert!(lines_of(&text).contains(&line), "{line} in:\n{text}");
    }
}

fn lost(source: LostSource, count: u64) -> Arc<Observation> {
    let time = Timestamp::UNIX_EPOCH;
    let lost = LostEvents { source, count, cpu: None, time, first: None, last: None, node_name: None };
    Arc::new(Observation::Lost(lost))
}

#[test]
fn loss_is_counted_by_its_source() {
    let metrics = Metrics::new(&MetricSpec::parse_list("drop dns").unwrap(), 10).unwrap();
    metrics.observe(&[
        lost(LostSource::HubbleRingBuffer, 5),
        lost(LostSource::PerfEventRingBuffer, 3),
        lost(LostSource::PerfEventRingBuffer, 4),
        Arc::new(Observation::Flow(Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped))),
    ]);
    let text = page(&metrics);
    for line in [
        "hubble_lost_events_total{source=\"hubble_ring_buffer\"} 5",
        "hubble_lost_events_total{source=\"perf_event_ring_buffer\"} 7",
        "hubble_lost_events_total{source=\"observer_events_queue\"} 0",
        "hubble_drop_total{reason=\"DROP_REASON_UNKNOWN\",protocol=\"Unknown flow\"} 1",
    ] {
        assert!(lines_of(&text).contains(&line), "{line} in:\n{text}");
    }
}

#[test]
fn a_metric_that_stays_goes_on_and_another_begins_anew() {
    let specs = |list| MetricSpec::parse_list(list).unwrap();
    let metrics = Metrics::new(&specs("drop flow"), 10).unwrap();
    let flow = Arc::new(Observation::Flow(Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped)));
    metrics.observe(std::slice::from_ref(&flow));
    metrics.replace(&specs("flow:sourceContext=ip drop")).unwrap();
    metrics.observe(&[flow]);
    let text = page(&metrics);
    assert!(text.contains("hubble_drop_total{reason=\"DROP_REASON_UNKNOWN\",protocol=\"Unknown flow\"} 2"));
    assert!(text.contains("verdict=\"DROPPED\",source=\"\"} 1"), "{text}");
}

/// Status and body of a plain request.
fn get(address: SocketAddr, path: &str, accept: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_tells_metrics_and_health() {
    let metrics = Metrics::new(&MetricSpec::parse_list("drop").unwrap(), 10).unwrap();
    let about = about(None);
    let (stop, stopped) = watch::channel(false);
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(port, metrics.clone(), about, stopped).unwrap();
    let address = server.address;
    let ask = |path: &'static str, accept: &'static str| {
        tokio::task::spawn_blocking(move || get(address, path, accept))
    };
    let (status, body) = ask("/readyz", "").await.unwrap();
    assert!(status == 503 && body.contains("capture has not begun"), "{body}");
    assert_eq!(ask("/healthz", "").await.unwrap().0, 200);
    metrics.draw(None);
    assert_eq!(ask("/readyz", "").await.unwrap().0, 200);
    let (status, open) = ask("/metrics", "application/openmetrics-text;version=1.0.0").await.unwrap();
    assert!(status == 200 && open.contains("openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.trim_end().ends_with("# EOF"), "{open}");
    let (_, text) = ask("/metrics", "*/*").await.unwrap();
    assert!(text.contains("text/plain; version=0.0.4") && !text.contains("# EOF"), "{text}");
    assert_eq!(ask("/nothing", "").await.unwrap().0, 404);
    // Silence is noticed: first not ready, then not healthy.
    for (silent, ready, healthy) in [(6, 503, 200), (100, 503, 503)] {
        metrics.lock().heard = Instant::now().checked_sub(Duration::from_secs(silent));
        assert_eq!(ask("/readyz", "").await.unwrap().0, ready);
        assert_eq!(ask("/healthz", "").await.unwrap().0, healthy);
    }
    // A client that reads nothing does not hold up the end.
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    stop.send_replace(true);
    let start = Instant::now();
    server.finish().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
}
