use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;

use super::node::{LIMIT, TestNode, now};
use super::*;
use crate::cli::server_flags::Servers;
use crate::merge::PeerAddress;
use crate::proto::flow::FlowFilter;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse};
use crate::proto::relay::NodeState;
use crate::source::remote;

const MS: i64 = 1_000_000;

/// A relay under test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) ended: JoinHandle<anyhow::Result<()>>,
    pub(crate) list: watch::Sender<Option<Peers>>,
}

pub(crate) fn config() -> RelayConfig {
    RelayConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        health: None,
        metrics: None,
        tls: None,
        dial: Dial::default(),
        tempo: patient(),
        session: slowly(SessionConfig::new("relay-1".into())),
    }
}

/// Takes nobody for stalled because this machine is busy.
pub(crate) fn patient() -> Tempo {
    let interval = Duration::from_millis(500);
    Tempo {
        interval,
        patience: LIMIT,
        pauses: (Duration::from_millis(50), Duration::from_secs(1)),
        ..Tempo::default()
    }
}

/// Holds for so long that order does not hang on how busy this machine is.
pub(crate) fn slowly(config: SessionConfig) -> SessionConfig {
    let span = Duration::from_secs(4);
    SessionConfig { hold: span, patience: LIMIT, quiet: Duration::from_secs(2), ..config }
}

pub(crate) fn peers(nodes: &[TestNode]) -> Peers {
    let named = |(i, node): (usize, &TestNode)| {
        let address = PeerAddress { address: node.address.to_string(), server_name: None };
        (Arc::from(format!("node{i}")), address)
    };
    nodes.iter().enumerate().map(named).collect()
}

impl Running {
    pub(crate) async fn start(config: RelayConfig, nodes: &[TestNode]) -> Self {
        let relay = Relay::bind(config).await.unwrap();
        let address = relay.address().unwrap();
        let (stop, stopped) = watch::channel(false);
        let (list, known) = watch::channel(Some(peers(nodes)));
        let ended = tokio::spawn(relay.run(known, stopped));
        Self { address, stop, ended, list }
    }

    pub(crate) fn server(&self) -> String {
        self.address.to_string()
    }

    async fn healthy(&self) {
        let deadline = Instant::now() + LIMIT;
        while remote::status(&self.server()).await.is_err() {
            assert!(Instant::now() < deadline, "the relay is not healthy");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Until all of these are connected.
    pub(crate) async fn connected(&self, number: u32) {
        let deadline = Instant::now() + LIMIT;
        while remote::status(&self.server()).await.map_or(0, |s| s.num_connected_nodes.unwrap_or(0)) < number
        {
            assert!(Instant::now() < deadline, "nodes are not connected");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn client(&self) -> ObserverClient<crate::connect::Connection> {
        let servers = Servers::one(&self.server()).unwrap();
        ObserverClient::new(remote::connect(&servers).await.unwrap())
    }
}

fn summary(response: &GetFlowsResponse) -> Option<&str> {
    match response.response_types.as_ref()? {
        ResponseTypes::Flow(flow) => Some(&flow.summary),
        _ => None,
    }
}

pub(crate) fn nodes<const N: usize>() -> [TestNode; N] {
    std::array::from_fn(|i| TestNode::start(&format!("node{i}")))
}

pub(crate) fn past(nodes: &[TestNode], number: usize) {
    let mut time = now() - 100_000 * MS;
    for n in 0..number {
        nodes[n % nodes.len()].see(time, &format!("flow{n}"));
        time += 50 * MS;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_as_soon_as_a_node_answers() {
    let mut nodes = nodes::<1>();
    nodes[0].kill();
    let relay = Running::start(config(), &nodes).await;
    let e = remote::status(&relay.server()).await.unwrap_err().to_string();
    assert_eq!(e, "not healthy");
    nodes[0].restart();
    relay.healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_nodes_and_namespaces_are_of_all() {
    let mut nodes = nodes::<3>();
    past(&nodes, 30);
    nodes[2].kill();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let status = remote::status(&relay.server()).await.unwrap();
    assert_eq!((status.num_flows, status.max_flows, status.seen_flows), (20, 2 * 4095, 20));
    assert_eq!((status.num_connected_nodes, status.num_unavailable_nodes), (Some(2), Some(1)));
    assert_eq!(status.unavailable_nodes, ["node2"]);
    let mut client = relay.client().await;
    let list = client.get_nodes(crate::proto::observer::GetNodesRequest {}).await.unwrap().into_inner().nodes;
    let shown: Vec<_> = list.iter().map(|n| (&*n.name, n.state(), n.num_flows)).collect();
    assert_eq!(
        shown,
        [
            ("node0", NodeState::NodeConnected, 10),
            ("node1", NodeState::NodeConnected, 10),
            ("node2", NodeState::NodeUnavailable, 0)
        ]
    );
    let request = crate::proto::observer::GetNamespacesRequest {};
    let list = client.get_namespaces(request).await.unwrap().into_inner().namespaces;
    let names: Vec<_> = list.iter().map(|n| &*n.namespace).collect();
    assert_eq!(names, ["everywhere", "of-node0", "of-node1"]);
    let events = client.get_agent_events(crate::proto::observer::GetAgentEventsRequest::default()).await;
    assert_eq!(events.unwrap_err().message(), "GetAgentEvents not yet implemented");
}

/// What a client asks reaches every node as it is; what goes back is what the nodes said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_flows_go_through_unchanged() {
    let nodes = nodes::<2>();
    past(&nodes, 10);
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let filter = FlowFilter { source_pod: vec!["a/".into()], ..FlowFilter::default() };
    let own = crate::filter::FlowFilter {
        reason: vec!["NO_SOCKET".into()],
        ..crate::filter::FlowFilter::default()
    };
    let own = crate::filter::Filters { allow: vec![own], deny: Vec::new() };
    let request = GetFlowsRequest {
        number: 4,
        whitelist: vec![filter.clone()],
        blacklist: vec![FlowFilter { source_fqdn: vec!["*.cluster.local".into()], ..filter }],
        extensions: crate::convert::filters_to_extension(&own),
        ..GetFlowsRequest::default()
    };
    let mut client = relay.client().await;
    let told: Vec<_> =
        client.get_flows(request.clone()).await.unwrap().into_inner().map(Result::unwrap).collect().await;
    let flows: Vec<_> = told.iter().filter_map(summary).collect();
    assert_eq!(flows, ["flow6", "flow7", "flow8", "flow9"]);
    for node in &nodes {
        assert_eq!(node.requests(), std::slice::from_ref(&request));
    }
    // Without its time in the mask, the nodes are asked for it, and the client does not see it.
    let mask =
        |paths: &[&str]| prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() };
    let masked = GetFlowsRequest { field_mask: Some(mask(&["Summary"])), ..request };
    let told: Vec<_> =
        client.get_flows(masked).await.unwrap().into_inner().map(Result::unwrap).collect().await;
    assert_eq!(nodes[0].requests()[1].field_mask, Some(mask(&["Summary", "time"])));
    let flows: Vec<_> = told.iter().filter(|r| summary(r).is_some()).collect();
    assert!(flows.len() == 4 && flows.iter().all(|r| r.time.is_none()), "{flows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_come_and_go_without_the_client_noticing_more_than_that() {
    let mut all = Vec::from(nodes::<3>());
    let third = all.pop().unwrap();
    let relay = Running::start(config(), &all).await;
    relay.connected(2).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut told = relay.client().await.get_flows(follow).await.unwrap().into_inner();
    let mut until = async |what: &str, fits: &dyn Fn(&GetFlowsResponse) -> bool| loop {
        let next = tokio::time::timeout(LIMIT, told.message()).await;
        let response = next.unwrap_or_else(|_| panic!("no {what}")).unwrap().expect("it goes on");
        if fits(&response) {
            return response;
        }
    };
    let news = |state: NodeState, name: &'static str| {
        move |r: &GetFlowsResponse| match &r.response_types {
            Some(ResponseTypes::NodeStatus(s)) => {
                s.state_change() == state && s.node_names.iter().any(|n| n == name)
            }
            _ => false,
        }
    };
    let seen = |text: &'static str| move |r: &GetFlowsResponse| summary(r) == Some(text);
    let first = until("connection", &news(NodeState::NodeConnected, "node0")).await;
    assert_eq!(first.node_name, "relay-1");
    all[0].asked(1).await;
    all[1].asked(1).await;
    all[0].see(now(), "a");
    until("flow", &seen("a")).await;
    all.push(third);
    relay.list.send_replace(Some(peers(&all)));
    until("arrival", &news(NodeState::NodeConnected, "node2")).await;
    all[2].asked(1).await;
    all[2].see(now(), "b");
    until("flow of the new", &seen("b")).await;
    let gone = all.pop().unwrap();
    relay.list.send_replace(Some(peers(&all)));
    until("departure", &news(NodeState::NodeGone, "node2")).await;
    all[1].see(now(), "c");
    until("flow of the old", &seen("c")).await;
    drop(gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_within_a_second_though_clients_follow() {
    let nodes = nodes::<2>();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let mut told = relay.client().await.get_flows(follow).await.unwrap().into_inner();
    assert!(told.message().await.unwrap().is_some());
    let before = Instant::now();
    relay.stop.send_replace(true);
    while let Ok(Some(_)) = told.message().await {}
    let told = before.elapsed();
    relay.ended.await.unwrap().unwrap();
    let ended = before.elapsed();
    println!("the stream ended after {told:?}, the relay after {ended:?}");
    // It takes half a second at most; this machine may do other things, too.
    assert!(ended < LIMIT / 6, "the stream after {told:?}, the relay after {ended:?}");
}

/// A program of Hubble's, where the tests of the cluster have built it.
pub(crate) fn stock(program: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from);
    let folder = std::env::var_os("NETDROP_CLUSTER_BIN")
        .map_or_else(|| home().join(".cache/netdrop/cluster"), PathBuf::from);
    let path = folder.join(program);
    if !path.is_file() {
        println!(
            "SKIPPED: no {}; `cargo xtask cluster up` builds it, NETDROP_CLUSTER_BIN names its folder",
            path.display()
        );
    }
    path.is_file().then_some(path)
}

pub(crate) async fn run(program: PathBuf, args: Vec<String>) -> Output {
    let run = move || Command::new(program).args(args).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}
