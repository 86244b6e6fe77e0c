use std::time::{Duration, Instant};

use super::*;
use crate::proto::flow::FlowFilter;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::relay::NodeState;
use crate::relay::node::{LIMIT, TestNode, flow, now};
use crate::relay::tests::{patient, slowly};

const MS: i64 = 1_000_000;

fn nodes<const N: usize>() -> [TestNode; N] {
    std::array::from_fn(|i| TestNode::start(&format!("node{i}")))
}

fn servers(nodes: &[TestNode]) -> Servers {
    let mut servers = Servers::one(&nodes[0].address.to_string()).unwrap();
    servers.targets =
        nodes.iter().map(|n| crate::connect::Target::parse(&n.address.to_string()).unwrap()).collect();
    servers
}

/// What was told: flows by their summary, the rest apart.
struct Heard {
    source: MergedSource,
    flows: Vec<String>,
    times: Vec<i64>,
    /// State, names, message.
    news: Vec<(NodeState, Vec<String>, String)>,
}

impl Heard {
    fn of(nodes: &[TestNode], request: GetFlowsRequest) -> Self {
        Self::with(nodes, request, slowly(SessionConfig::new(hostname())), patient())
    }

    /// With nodes that stall: they are given up soon, and nothing waits for them in the meantime.
    fn wary(nodes: &[TestNode], request: GetFlowsRequest) -> Self {
        let tempo =
            Tempo { interval: Duration::from_millis(200), patience: Duration::from_secs(6), ..patient() };
        let config = SessionConfig { hold: LIMIT / 2, ..slowly(SessionConfig::new(hostname())) };
        Self::with(nodes, request, config, tempo)
    }

    fn with(nodes: &[TestNode], request: GetFlowsRequest, config: SessionConfig, tempo: Tempo) -> Self {
        let source = MergedSource::ask(&servers(nodes), request, config, tempo).unwrap();
        Self { source, flows: Vec::new(), times: Vec::new(), news: Vec::new() }
    }

    /// False at the end.
    async fn more(&mut self) -> anyhow::Result<bool> {
        let mut batch = Vec::new();
        let more = tokio::time::timeout(LIMIT, self.source.next(&mut batch)).await.expect("in time")?;
        for response in batch {
            match response.response_types {
                Some(ResponseTypes::Flow(flow)) => {
                    self.flows.push(flow.summary);
                    self.times.push(response.time.map_or(0, |t| t.seconds * 1000 * MS + i64::from(t.nanos)));
                }
                Some(ResponseTypes::NodeStatus(status)) => {
                    let state = status.state_change();
                    self.news.push((state, status.node_names, status.message));
                }
                other => panic!("{other:?}"),
            }
        }
        Ok(more)
    }

    async fn all(mut self) -> Self {
        while self.more().await.unwrap() {}
        self
    }

    async fn until(&mut self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            assert!(self.more().await.unwrap(), "it has ended: {:?} {:?}", self.flows, self.news);
        }
    }

    async fn until_flows(&mut self, number: usize) {
        self.until(|heard| heard.flows.len() >= number).await;
    }

    /// Until all of these have been asked.
    async fn until_asked(&mut self, nodes: &[TestNode]) {
        for node in nodes {
            self.until_state(NodeState::NodeConnected, node).await;
            node.asked(1).await;
        }
    }

    async fn until_state(&mut self, state: NodeState, node: &TestNode) -> String {
        let name = node.address.to_string();
        let told = |h: &Self| h.news.iter().rev().find(|(s, n, _)| *s == state && n.contains(&name)).cloned();
        self.until(|heard| told(heard).is_some()).await;
        told(self).unwrap().2
    }
}

fn last(number: u64) -> GetFlowsRequest {
    GetFlowsRequest { number, ..GetFlowsRequest::default() }
}

fn follow() -> GetFlowsRequest {
    GetFlowsRequest { follow: true, ..GetFlowsRequest::default() }
}

/// Flows of five nodes, in turn, a second apart; the last one ten seconds ago.
fn past(nodes: &[TestNode], number: i64) -> Vec<String> {
    let end = now() - 10_000 * MS;
    let all: Vec<_> = (0..number).map(|n| (end - (number - n) * 1000 * MS, format!("flow{n}"))).collect();
    for (i, (time, summary)) in all.iter().enumerate() {
        nodes[i % nodes.len()].see(*time, summary);
    }
    all.into_iter().map(|(_, summary)| summary).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_of_five_is_one() {
    let nodes = nodes::<5>();
    let all = past(&nodes, 100);
    let heard = Heard::of(&nodes, last(u64::MAX)).all().await;
    assert_eq!(heard.flows, all);
    let connected: Vec<_> = heard.news.iter().filter(|(s, ..)| *s == NodeState::NodeConnected).collect();
    assert_eq!(connected.iter().map(|(_, names, _)| names.len()).sum::<usize>(), 5, "{:?}", heard.news);
    assert_eq!(Heard::of(&nodes, last(7)).all().await.flows, all[93..], "seven of all, not of each");
    let first = GetFlowsRequest { first: true, ..last(3) };
    assert_eq!(Heard::of(&nodes, first).all().await.flows, all[..3]);
    let at = |nanos: i64| Some(prost_types::Timestamp { seconds: nanos / 1_000_000_000, nanos: 0 });
    let since = GetFlowsRequest { since: at(now() - 30_000 * MS), until: at(now() - 15_000 * MS), ..last(0) };
    let some = Heard::of(&nodes, since).all().await.flows;
    assert!((13..=16).contains(&some.len()), "{some:?}");
    assert!(all.windows(some.len()).any(|w| w == some), "a part of it, in order: {some:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_and_the_stalled_hold_nobody_back() {
    let mut nodes = nodes::<5>();
    let all = past(&nodes, 50);
    nodes[1].kill();
    nodes[3].stall(true);
    let began = Instant::now();
    let mut heard = Heard::wary(&nodes, last(12)).all().await;
    // Of those that live.
    let expected: Vec<_> = (0..50).filter(|n| n % 5 != 1 && n % 5 != 3).map(|n| all[n].clone()).collect();
    heard.flows.sort_by_key(|f| all.iter().position(|a| a == f));
    assert_eq!(heard.flows, expected[expected.len() - 12..]);
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
    let of = |node: &TestNode| {
        let name = node.address.to_string();
        heard.news.iter().filter(|(_, names, _)| names.contains(&name)).map(|(s, ..)| *s).collect::<Vec<_>>()
    };
    assert_eq!(of(&nodes[1]), [NodeState::NodeUnavailable], "{:?}", heard.news);
    // It did not answer the question whether it lives, or that for its flows: whichever showed first.
    let of_stalled = of(&nodes[3]);
    assert!(
        matches!(of_stalled[..], [NodeState::NodeError | NodeState::NodeUnavailable]),
        "{of_stalled:?} {:?}",
        heard.news
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nobody_there_it_is_an_error() {
    let mut nodes = nodes::<2>();
    nodes.iter_mut().for_each(TestNode::kill);
    let mut heard = Heard::of(&nodes, last(5));
    let error = loop {
        match heard.more().await {
            Ok(true) => {}
            Ok(false) => panic!("no error"),
            Err(e) => break e.to_string(),
        }
    };
    assert!(error.starts_with("none of the servers can be reached: cannot connect to 127."), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_nobody_takes_is_an_error() {
    let nodes = nodes::<2>();
    let wrong = FlowFilter { protocol: vec!["wrong".into()], ..FlowFilter::default() };
    let mut heard = Heard::of(&nodes, GetFlowsRequest { whitelist: vec![wrong], ..follow() });
    let error = loop {
        match heard.more().await {
            Ok(true) => {}
            Ok(false) => panic!("no error"),
            Err(e) => break e.to_string(),
        }
    };
    assert_eq!(error, "invalid protocol filter: unknown protocol: \"wrong\"");
}

/// New flows come in order, though one node is much more silent than the other, and none is held for longer than agreed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_flows_come_soon_and_in_order() {
    let nodes = nodes::<2>();
    past(&nodes, 10);
    let mut heard = Heard::of(&nodes, follow());
    heard.until_asked(&nodes).await;
    let mut lag = Duration::ZERO;
    let mut seen = Vec::new();
    for n in 0..12 {
        let (node, late) = if n % 4 == 3 { (&nodes[1], 200) } else { (&nodes[0], 0) };
        // What the second tells has happened a while ago.
        seen.push((now() - late * MS, n.to_string()));
        node.see(seen[n].0, &seen[n].1);
        let until = tokio::time::sleep(Duration::from_millis(250));
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                more = heard.more() => assert!(more.unwrap()),
            }
            lag =
                heard.times.last().map_or(lag, |t| lag.max(Duration::from_nanos((now() - t).unsigned_abs())));
        }
    }
    heard.until_flows(12).await;
    seen.sort();
    assert_eq!(heard.flows, seen.into_iter().map(|(_, s)| s).collect::<Vec<_>>());
    println!("the longest lag: {lag:?}");
    assert!(lag < LIMIT / 2, "{lag:?}");
}

/// Nothing is told twice and nothing is left out over a restart, and it is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_goes_on_where_it_was() {
    let mut nodes = nodes::<2>();
    past(&nodes, 10);
    let mut heard = Heard::of(&nodes, GetFlowsRequest { number: 2, ..follow() });
    heard.until_flows(2).await;
    assert_eq!(heard.flows, ["flow8", "flow9"]);
    heard.until_asked(&nodes).await;
    nodes[0].see(now(), "before");
    heard.until_flows(3).await;
    nodes[0].kill();
    heard.until_state(NodeState::NodeUnavailable, &nodes[0]).await;
    nodes[1].see(now(), "meanwhile");
    heard.until_flows(4).await;
    nodes[0].see(now(), "unheard");
    nodes[0].restart();
    heard.until(|h| h.news.iter().any(|(_, _, m)| m.starts_with("back after"))).await;
    heard.until_flows(5).await;
    nodes[0].see(now(), "after");
    heard.until_flows(6).await;
    assert_eq!(heard.flows[2..], ["before", "meanwhile", "unheard", "after"]);
    let resumed = nodes[0].requests().pop().unwrap();
    assert_eq!((resumed.number, resumed.follow, resumed.since.is_some()), (0, true, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stalls_is_not_waited_for_until_it_answers_again() {
    let nodes = nodes::<2>();
    let mut heard = Heard::wary(&nodes, follow());
    heard.until_asked(&nodes).await;
    nodes[1].stall(true);
    let why = heard.until_state(NodeState::NodeError, &nodes[1]).await;
    assert_eq!(why, "no answer for 6 s: not waited for");
    nodes[1].see(now(), "late");
    let before = Instant::now();
    nodes[0].see(now(), "in time");
    // With this one that stream is complete up to the first, and no other is waited for.
    nodes[0].see(now() + 100 * MS, "next");
    heard.until_flows(1).await;
    assert!(before.elapsed() < LIMIT / 4, "{:?}", before.elapsed());
    nodes[1].stall(false);
    heard.until(|h| h.news.iter().any(|(_, _, m)| m == "answers again")).await;
    heard.until_flows(2).await;
    assert_eq!(heard.flows, ["in time", "late"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_no_time_is_told() {
    let nodes = nodes::<2>();
    let mut odd = flow("node0", 5, "odd");
    odd.time = None;
    if let Some(ResponseTypes::Flow(flow)) = &mut odd.response_types {
        flow.time = None;
    }
    nodes[0].push(odd);
    nodes[1].see(7, "even");
    assert_eq!(Heard::of(&nodes, last(u64::MAX)).all().await.flows, ["even", "odd"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_each_stream_is_asked_less_and_less() {
    let nodes = nodes::<1>();
    nodes[0].be_brief();
    nodes[0].see(now(), "told at each time");
    let began = Instant::now();
    let mut heard =
        Heard::of(&nodes, GetFlowsRequest { number: 1, follow: true, ..GetFlowsRequest::default() });
    tokio::select! {
        () = heard.until(|_| false) => {}
        () = nodes[0].asked(4) => {}
    }
    // 250 ms, 500 ms and a second lie between these.
    assert!(began.elapsed() >= Duration::from_millis(1700), "{:?}", began.elapsed());
    assert!(heard.flows.len() <= 1, "{:?}", heard.flows);
}
