//! Many who follow: each gets what it asked for, whatever the others do.

use proptest::prelude::*;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Endpoint;

use super::tests::{Agent, LATE, flow};
use super::tests_raw::connect;
use super::*;
use crate::convert::{filter_to_wire, filters_to_extension, from_wire};
use crate::filter::{Filters, FlowFilter};
use crate::flow::{LostEvents, LostSource, NodeState, NodeStatus};
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse};

fn filter() -> impl Strategy<Value = Option<FlowFilter>> {
    let reason = |name: &str| FlowFilter { reason: vec![name.into()], ..FlowFilter::default() };
    prop_oneof![
        Just(None),
        Just(Some(reason("ODD"))),
        Just(Some(reason("E*"))),
        Just(Some(FlowFilter { verdict: vec![1], ..FlowFilter::default() })),
        Just(Some(FlowFilter {
            experimental: Some(crate::filter::Experimental {
                cel_expression: vec!["_flow.verdict == Verdict.DROPPED".into()]
            }),
            ..FlowFilter::default()
        })),
    ]
}

/// One that follows.
#[derive(Clone, Debug)]
struct Follower {
    filter: Option<FlowFilter>,
    hide: bool,
    /// `--last`, or since when.
    last: u64,
    since: Option<i64>,
    masked: bool,
    /// It begins to read only at the end.
    lazy: bool,
    /// When it comes.
    after: usize,
}

impl Follower {
    fn filters(&self) -> Filters {
        let list: Vec<_> = self.filter.iter().cloned().collect();
        if self.hide { Filters { allow: vec![], deny: list } } else { Filters { allow: list, deny: vec![] } }
    }

    fn request(&self) -> GetFlowsRequest {
        let wire = |list: &[FlowFilter]| list.iter().map(filter_to_wire).collect();
        let filters = self.filters();
        let paths = vec!["time".to_owned(), "verdict".to_owned()];
        GetFlowsRequest {
            number: self.last,
            follow: true,
            since: self.since.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
            whitelist: wire(&filters.allow),
            blacklist: wire(&filters.deny),
            field_mask: self.masked.then_some(prost_types::FieldMask { paths }),
            extensions: filters_to_extension(&filters),
            ..GetFlowsRequest::default()
        }
    }

    /// Of all that was pushed, `before` of it when the follower came.
    fn expected(&self, all: &[Observation], before: usize) -> Vec<i64> {
        let filter = self.filters().compile().unwrap();
        let fits = |o: &&Observation| matches!(o, Observation::Flow(flow) if filter.matches(flow));
        let second = |o: &Observation| match o {
            Observation::Flow(flow) => flow.time.as_second(),
            _ => unreachable!("only flows were counted"),
        };
        let (old, new) = all.split_at(before);
        let old: Vec<_> = old.iter().filter(fits).map(second).collect();
        let skipped = match self.since {
            Some(since) => old.iter().filter(|second| **second < since).count(),
            None => old.len().saturating_sub(usize::try_from(self.last).unwrap()),
        };
        let since = self.since.unwrap_or(i64::MIN);
        let new = new.iter().filter(fits).map(second).filter(|second| *second >= since);
        old[skipped..].iter().copied().chain(new).collect()
    }
}

fn follower() -> impl Strategy<Value = Follower> {
    (
        filter(),
        any::<[bool; 3]>(),
        prop_oneof![Just(0u64), 1u64..600],
        prop::option::of(0i64..900),
        0usize..20,
    )
        .prop_map(|(filter, [hide, masked, lazy], last, since, after)| Follower {
            hide: hide && filter.is_some(),
            filter,
            last,
            since,
            masked,
            lazy,
            after,
        })
}

fn one(second: i64, kind: u8) -> Observation {
    let mut flow = flow(second);
    if kind < 80 {
        flow.verdict = crate::flow::Verdict::Forwarded;
    }
    Observation::Flow(flow)
}

/// The last of all: it is told to everybody.
fn last() -> Observation {
    Observation::Status(NodeStatus {
        time: Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000),
        reporter: None,
        state: NodeState::Gone,
        nodes: Vec::new(),
        message: "that was all".to_owned(),
    })
}

/// What it got up to the last, and how many it was told that it missed.
async fn all_of(
    mut responses: mpsc::Receiver<Result<Encoded, tonic::Status>>,
    total: Option<u64>,
) -> (Vec<i64>, u64) {
    let (mut got, mut lost, mut ended) = (Vec::new(), 0, false);
    let whole = |got: &Vec<i64>, lost: u64| total.is_none_or(|total| got.len() as u64 + lost >= total);
    while !ended || !whole(&got, lost) {
        let response = timeout(LATE, responses.recv()).await.expect("more comes").unwrap().unwrap();
        match from_wire(GetFlowsResponse::decode(&*response.encode_to_vec()).unwrap()).unwrap() {
            Observation::Flow(flow) => got.push(flow.time.as_second()),
            Observation::Lost(LostEvents {
                source: LostSource::HubbleRingBuffer,
                count,
                first,
                last,
                ..
            }) => {
                assert!(first <= last, "{first:?} {last:?}");
                lost += count;
            }
            Observation::Status(status) if status.message == "that was all" => ended = true,
            other => panic!("{other:?}"),
        }
    }
    (got, lost)
}

async fn follow_all(kinds: &[u8], batch: usize, followers: &[Follower]) {
    let history = Arc::new(History::new(HistorySize { drops: 64 << 20, flows: 64 << 20 }));
    let (_stop, stopped) = watch::channel(false);
    let all: Vec<_> = (0i64..).zip(kinds).map(|(second, kind)| one(second, *kind)).collect();
    let (mut tasks, mut lazy, mut pushed) = (Vec::new(), Vec::new(), 0);
    for (step, items) in
        all.chunks(batch).enumerate().map(|(n, items)| (n, Some(items))).chain([(usize::MAX, None)])
    {
        for (number, follower) in followers
            .iter()
            .enumerate()
            .filter(|(_, f)| f.after == step || (items.is_none() && f.after >= all.len().div_ceil(batch)))
        {
            let responses = answer(&history, Query::new(follower.request()).unwrap(), stopped.clone()).await;
            if follower.lazy {
                lazy.push((number, pushed, responses));
            } else {
                tasks.push((number, pushed, tokio::spawn(all_of(responses, None))));
            }
        }
        if let Some(items) = items {
            history.push(items.iter().cloned().map(Arc::new).collect());
            pushed += items.len();
        }
    }
    history.push(vec![Arc::new(last())]);
    tasks.extend(
        lazy.into_iter().map(|(n, pushed, responses)| (n, pushed, tokio::spawn(all_of(responses, None)))),
    );
    for (number, before, task) in tasks {
        let (got, lost) = task.await.unwrap();
        assert_eq!(lost, 0);
        assert_eq!(got, followers[number].expected(&all, before), "{:?}", followers[number]);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever they ask for and whenever they come: no gap and nothing twice, also between what was and what comes.
    #[test]
    fn followers_get_exactly_what_they_ask_for(
        kinds in proptest::collection::vec(any::<u8>(), 1..3000),
        batch in 1usize..400,
        followers in proptest::collection::vec(follower(), 1..12),
    ) {
        runtime().block_on(follow_all(&kinds, batch, &followers));
    }
}

/// Rings that turn over under a flood: who does not keep up is told to the observation what it missed.
#[test]
fn what_is_missed_is_counted_to_the_last() {
    runtime().block_on(async {
        let history = Arc::new(History::new(HistorySize { drops: 256 << 10, flows: 256 << 10 }));
        let (_stop, stopped) = watch::channel(false);
        let follow = || GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
        let (total, mut readers, mut lazy) = (60_000u64, Vec::new(), Vec::new());
        for number in 0..10 {
            let responses = answer(&history, Query::new(follow()).unwrap(), stopped.clone()).await;
            match number % 2 {
                0 => readers.push(tokio::spawn(all_of(responses, Some(total)))),
                _ => lazy.push(responses),
            }
        }
        let flood = Arc::clone(&history);
        let pushing = tokio::task::spawn_blocking(move || {
            for second in (0..i64::try_from(total).unwrap()).step_by(300) {
                flood.push((second..second + 300).map(|second| Arc::new(one(second, 200))).collect());
            }
            flood.push(vec![Arc::new(last())]);
        });
        pushing.await.unwrap();
        let lazy = lazy.into_iter().map(|responses| tokio::spawn(all_of(responses, Some(total))));
        let (lazy, mut missed): (Vec<_>, _) = (lazy.collect(), 0);
        for task in readers.into_iter().chain(lazy) {
            let (got, lost) = task.await.unwrap();
            assert_eq!(got.len() as u64 + lost, total);
            assert!(got.is_sorted_by(|a, b| a < b), "in order, nothing twice");
            missed = missed.max(lost);
        }
        assert!(missed > 0, "256 KiB do not hold {total}");
    });
}

/// A client of the agent's socket that has asked to follow.
async fn client(agent: &Agent) -> tonic::Streaming<GetFlowsResponse> {
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    // As gRPC has it in Go: what a client's library takes in by itself is not what it costs the server.
    let endpoint = Endpoint::from_static("http://localhost")
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    ObserverClient::new(connect(agent, endpoint).await).get_flows(follow).await.unwrap().into_inner()
}

/// Seconds of the flows, and how many are missing, until both make `total`.
async fn drain(mut stream: tonic::Streaming<GetFlowsResponse>, total: i64) -> (Vec<i64>, i64) {
    let (mut got, mut lost) = (Vec::new(), 0i64);
    while i64::try_from(got.len()).unwrap() + lost < total {
        let next = timeout(LATE, stream.message()).await.expect("more comes").unwrap().unwrap();
        match from_wire(next).unwrap() {
            Observation::Flow(flow) => got.push(flow.time.as_second()),
            Observation::Lost(event) => {
                assert_eq!(event.source, LostSource::HubbleRingBuffer);
                let (first, last) = (event.first.unwrap().as_second(), event.last.unwrap().as_second());
                assert!(0 <= first && first <= last && last < total, "{event:?}");
                lost += i64::try_from(event.count).unwrap();
            }
            Observation::Status(_) => {}
        }
    }
    (got, lost)
}

/// In a process of its own: what other tests take is not what followers cost.
#[test]
fn a_hundred_who_stand_still_cost_little_and_hold_up_nobody() {
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "agent::tests_follow::child_has_a_hundred_who_stand_still", "--ignored"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of a test"]
async fn child_has_a_hundred_who_stand_still() {
    const STALLED: usize = 100;
    const TOTAL: i64 = 20_000;
    let agent = Agent::with(64 << 10, Limits::default(), super::doors::Listen::default()).await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(client(&agent).await);
    }
    let mut healthy = client(&agent).await;
    let before = resident();
    let mut got = Vec::new();
    // Each hundred is waited for, so that the healthy one never falls behind, however slow the machine.
    for hundred in (0..TOTAL).step_by(100) {
        agent.push_seconds(hundred..hundred + 100).await;
        while got.last() != Some(&(hundred + 99)) {
            let next = timeout(LATE, healthy.message()).await.expect("it is not held up").unwrap().unwrap();
            let Some(Observation::Flow(flow)) = from_wire(next) else { panic!("it misses nothing") };
            got.push(flow.time.as_second());
        }
    }
    assert_eq!(got, (0..TOTAL).collect::<Vec<_>>());
    let grown = resident().saturating_sub(before);
    // The clients' own windows are in this process, too.
    println!("{STALLED} clients that stand still cost {} KiB each", (grown / STALLED) >> 10);
    assert!(grown < 80 << 20, "{STALLED} clients that stand still cost {grown} bytes");
    let reading = stalled.into_iter().map(|stream| tokio::spawn(drain(stream, TOTAL)));
    for task in reading.collect::<Vec<_>>() {
        let (got, lost) = task.await.unwrap();
        assert!(lost > 0, "64 KiB do not hold {TOTAL}");
        assert_eq!(i64::try_from(got.len()).unwrap() + lost, TOTAL);
        assert!(got.is_sorted_by(|a, b| a < b), "in order, nothing twice");
    }
}

/// Memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
