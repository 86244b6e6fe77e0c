//! The real server and the real client, over a unix socket; only the drops are made up.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::doors::Listen;
use super::systemd::Inherited;
use super::*;
use crate::convert::{ask_for_benign, filter_to_wire, filters_to_extension, from_wire};
use crate::filter::{Filters, FlowFilter};
use crate::flow::{DropReason, Flow, LostSource, Verdict};
use crate::proto::observer::GetFlowsRequest;
use crate::source::remote::{self, RemoteSource};
use crate::source::wire::WireSource as _;

/// Far beyond all that is waited for.
pub(super) const LATE: Duration = Duration::from_mins(2);

/// Observations that a test pushes.
struct Pushed(mpsc::Receiver<Observation>);

impl Source for Pushed {
    async fn next(&mut self, batch: &mut Vec<Observation>) -> anyhow::Result<bool> {
        batch.extend(self.0.recv().await);
        Ok(!batch.is_empty())
    }
}

pub(super) struct Agent {
    pub(super) push: mpsc::Sender<Observation>,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) ended: tokio::task::JoinHandle<anyhow::Result<AgentTally>>,
    pub(super) socket: PathBuf,
    /// Its TCP port, and its certificates.
    pub(super) port: Option<SocketAddr>,
    pub(super) tls: Option<tls::Tls>,
    _folder: tempfile::TempDir,
}

impl Agent {
    fn server(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    async fn start(bytes: usize) -> Self {
        Self::with(bytes, Limits::default(), Listen::default()).await
    }

    /// Starts one, with a socket of its own.
    pub(super) async fn with(bytes: usize, limits: Limits, mut listen: Listen) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/a.sock");
        let (push, pushed) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        listen.socket_path.clone_from(&socket);
        let doors = Doors::take(&listen, Inherited::default()).unwrap();
        let port = doors.ports().first().copied();
        let tls = doors.all.last().and_then(|door| door.tls.clone());
        let config = AgentConfig {
            doors,
            limits,
            systemd: Notifier::default(),
            history: HistorySize { drops: bytes, flows: bytes },
            history_disk: None,
            node_name: Some("node-1".into()),
            peers: crate::relay::peers::Source::fixed(crate::merge::Peers::new()),
            filter: Compiled::default(),
        };
        let ended = tokio::spawn(async move {
            run(&mut Pushed(pushed), config, Outputs::default(), async { drop(stopped.await) }).await
        });
        let agent = Self { push, stop, ended, socket, port, tls, _folder: folder };
        agent.until_seen(0).await;
        agent
    }

    /// Waits until the server answers and has seen so many.
    pub(super) async fn until_seen(&self, seen: u64) {
        let deadline = Instant::now() + LATE;
        while !remote::status(&self.server()).await.is_ok_and(|s| s.seen_flows >= seen) {
            assert!(Instant::now() < deadline, "the server has not seen {seen} flows");
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn push_seconds(&self, seconds: std::ops::Range<i64>) {
        for second in seconds {
            self.push.send(Observation::Flow(flow(second))).await.unwrap();
        }
    }

    async fn ask(&self, request: GetFlowsRequest) -> Vec<Observation> {
        let mut source = RemoteSource::connect(&self.server(), request).await.unwrap();
        let mut all = Vec::new();
        while next(&mut source, &mut all).await.unwrap() {}
        all
    }
}

pub(super) fn flow(second: i64) -> Flow {
    let mut f = Flow::new(Timestamp::from_second(second).unwrap(), Verdict::Dropped);
    let name = if second % 2 == 0 { "EVEN" } else { "ODD" };
    f.reason = Some(DropReason { code: 1, subsystem: "CORE".into(), name: name.into() });
    f
}

fn seconds(observations: &[Observation]) -> Vec<i64> {
    observations
        .iter()
        .filter_map(|o| match o {
            Observation::Flow(f) => Some(f.time.as_second()),
            _ => None,
        })
        .collect()
}

fn at(second: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: second, nanos: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_selected_as_hubble_does() {
    let agent = Agent::start(1 << 20).await;
    agent.push_seconds(0..10).await;
    agent.until_seen(10).await;
    let ask = |request| agent.ask(request);
    let number = |number, first| GetFlowsRequest { number, first, ..GetFlowsRequest::default() };
    assert_eq!(seconds(&ask(number(3, false)).await), [7, 8, 9]);
    assert_eq!(seconds(&ask(number(3, true)).await), [0, 1, 2]);
    assert_eq!(seconds(&ask(number(u64::MAX, false)).await).len(), 10);
    let since = GetFlowsRequest { since: Some(at(4)), until: Some(at(6)), ..GetFlowsRequest::default() };
    assert_eq!(seconds(&ask(since).await), [4, 5, 6]);
    let capped = GetFlowsRequest { since: Some(at(4)), number: 2, ..GetFlowsRequest::default() };
    assert_eq!(seconds(&ask(capped).await), [4, 5]);
    drop(agent.stop);
    assert_eq!(agent.ended.await.unwrap().unwrap().flows.total().shown, 10);
    assert!(!agent.socket.exists(), "the socket is removed at the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn netdrops_own_filters_are_applied_by_the_server() {
    let agent = Agent::start(1 << 20).await;
    agent.push_seconds(0..10).await;
    agent.until_seen(10).await;
    let filters = Filters {
        allow: vec![FlowFilter { reason: vec!["EVEN".into()], ..FlowFilter::default() }],
        deny: vec![],
    };
    let request = GetFlowsRequest {
        number: 2,
        whitelist: filters.allow.iter().map(filter_to_wire).collect(),
        extensions: filters_to_extension(&filters),
        ..GetFlowsRequest::default()
    };
    assert_eq!(
        seconds(&agent.ask(request).await),
        [6, 8],
        "the last two that match, not those of the last two"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn benign_drops_are_for_those_who_ask() {
    let agent = Agent::start(1 << 20).await;
    for second in 0..10 {
        let mut flow = flow(second);
        flow.benign = second % 2 == 1;
        agent.push.send(Observation::Flow(flow)).await.unwrap();
    }
    agent.until_seen(5).await;
    let last = |extensions, filters: &Filters| GetFlowsRequest {
        number: 4,
        whitelist: filters.allow.iter().map(filter_to_wire).collect(),
        extensions,
        ..GetFlowsRequest::default()
    };
    let none = Filters::default();
    assert_eq!(seconds(&agent.ask(last(None, &none)).await), [2, 4, 6, 8], "of a client that does not know");
    // The last pushed is the last kept, but in a ring of its own, which is not counted: it may be a moment later.
    let asked = last(ask_for_benign(None, true), &none);
    let deadline = Instant::now() + LATE;
    let mut all = agent.ask(asked.clone()).await;
    while seconds(&all).last() != Some(&9) && Instant::now() < deadline {
        all = agent.ask(asked.clone()).await;
    }
    assert_eq!(seconds(&all), [6, 7, 8, 9]);
    assert!(matches!(&all[1], Observation::Flow(f) if f.benign), "the wire says so: {all:?}");
    let odd = Filters {
        allow: vec![FlowFilter { reason: vec!["ODD".into()], ..FlowFilter::default() }],
        deny: vec![],
    };
    let named = last(filters_to_extension(&odd), &odd);
    assert_eq!(seconds(&agent.ask(named).await), [3, 5, 7, 9], "a named reason is asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_see_what_comes_and_end_with_the_agent() {
    let agent = Agent::start(1 << 20).await;
    agent.push_seconds(0..2).await;
    agent.until_seen(2).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut source = RemoteSource::connect(&agent.server(), follow).await.unwrap();
    agent.push_seconds(2..5).await;
    let mut all = Vec::new();
    while seconds(&all).len() < 3 {
        assert!(next(&mut source, &mut all).await.unwrap());
    }
    assert_eq!(seconds(&all), [2, 3, 4]);
    drop(agent.stop);
    let end = next(&mut source, &mut all).await.unwrap_err().to_string();
    assert_eq!(end, "rpc error: code = Unavailable desc = the agent stops");
    agent.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_told_what_it_missed() {
    let agent = Agent::start(64 << 10).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut source = RemoteSource::connect(&agent.server(), follow).await.unwrap();
    let total = 60_000;
    agent.push_seconds(0..total).await;
    let total = u64::try_from(total).unwrap();
    agent.until_seen(total).await;
    let lost = |all: &[Observation]| -> u64 {
        let lost = |o: &Observation| match o {
            Observation::Lost(l) if l.source == LostSource::HubbleRingBuffer => l.count,
            _ => 0,
        };
        all.iter().map(lost).sum()
    };
    // Each is told or told as missed: the last of them, too.
    let mut all = Vec::new();
    while (seconds(&all).len() as u64) + lost(&all) < total {
        assert!(next(&mut source, &mut all).await.unwrap(), "it goes on");
    }
    assert!(lost(&all) > 0, "64 KiB can't hold {total}");
    assert_eq!(seconds(&all).len() as u64 + lost(&all), total);
    drop(agent.stop);
    while next(&mut source, &mut all).await.unwrap_or(false) {}
    assert_eq!(seconds(&all).len() as u64 + lost(&all), total, "nothing twice");
    assert!(seconds(&all).is_sorted_by(|a, b| a < b), "in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_sense_are_refused() {
    let agent = Agent::start(64 << 10).await;
    let ask = |request| {
        let server = agent.server();
        async move {
            let mut all = Vec::new();
            match RemoteSource::connect(&server, request).await {
                Ok(mut source) => next(&mut source, &mut all).await.unwrap_err().to_string(),
                Err(e) => e.to_string(),
            }
        }
    };
    let both = GetFlowsRequest { first: true, follow: true, ..GetFlowsRequest::default() };
    assert!(ask(both).await.contains("first cannot be specified with follow"));
    let filter = FlowFilter { protocol: vec!["foo".into()], ..FlowFilter::default() };
    let wrong = GetFlowsRequest { whitelist: vec![filter_to_wire(&filter)], ..GetFlowsRequest::default() };
    assert!(ask(wrong).await.contains("invalid protocol filter: unknown protocol: \"foo\""));
    let never = GetFlowsRequest {
        since: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 }),
        ..GetFlowsRequest::default()
    };
    assert!(ask(never).await.contains("invalid since"));
}

/// What a server sent next, as observations.
async fn next(source: &mut RemoteSource, all: &mut Vec<Observation>) -> anyhow::Result<bool> {
    let mut batch = Vec::new();
    let more = source.next(&mut batch).await?;
    all.extend(batch.into_iter().filter_map(from_wire));
    Ok(more)
}
