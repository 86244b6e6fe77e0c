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
        tls: None,
        dial: Dial::default(),
        tempo: Tempo::default(),
        session: SessionConfig::new("relay-1".into()),
    }
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

    fn server(&self) -> String {
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
    async fn connected(&self, number: u32) {
        let deadline = Instant::now() + LIMIT;
        while remote::status(&self.server()).await.map_or(0, |s| s.num_connected_nodes.unwrap_or(0)) < number
        {
            assert!(Instant::now() < deadline, "nodes are not connected");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn client(&self) -> ObserverClient<crate::connect::Connection> {
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

fn nodes<const N: usize>() -> [TestNode; N] {
    std::array::from_fn(|i| TestNode::start(&format!("node{i}")))
}

fn past(nodes: &[TestNode], number: usize) {
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
    all[0].see(now(), "a");
    until("flow", &seen("a")).await;
    all.push(third);
    relay.list.send_replace(Some(peers(&all)));
    until("arrival", &news(NodeState::NodeConnected, "node2")).await;
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
    relay.ended.await.unwrap().unwrap();
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
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

fn lines(out: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(out).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_reads_from_it() {
    let Some(hubble) = stock("hubble") else {
        return;
    };
    let mut nodes = nodes::<3>();
    past(&nodes, 60);
    nodes[2].kill();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let ask = async |args: &[&str]| {
        let args =
            args.iter().map(ToString::to_string).chain(["--server".to_owned(), relay.server()]).collect();
        run(hubble.clone(), args).await
    };
    let seen = ask(&["observe", "--last", "5", "--time-format", "RFC3339Nano"]).await;
    let shown = lines(&seen.stdout);
    let tails: Vec<_> = shown.iter().filter_map(|l| l.rsplit_once(' ').map(|(_, t)| t)).collect();
    assert_eq!(tails, ["(flow52)", "(flow54)", "(flow55)", "(flow57)", "(flow58)"]);
    let talk = String::from_utf8_lossy(&seen.stderr).into_owned();
    assert!(talk.contains("[relay-1]: 1 nodes are unavailable: node2"), "{talk}");
    let status = ask(&["status"]).await;
    assert_eq!(
        lines(&status.stdout),
        [
            &format!("Healthcheck (via {}): Ok", relay.address),
            "Current/Max Flows: 40/8,190 (0.49%)",
            "Flows/s: 0.40",
            "Connected Nodes: 2/3",
            "Unavailable Nodes: 1",
            "  - node2"
        ]
    );
    assert!(status.status.success());
}

/// Whoever passes flows on, Hubble's relay or netdrop's, a client is told the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubbles_relay_reads_from_the_same_nodes() {
    let (Some(hubble), Some(stock_relay)) = (stock("hubble"), stock("hubble-relay")) else {
        return;
    };
    let (list, known) = watch::channel(None);
    let nodes = [TestNode::with_peers("node0", known), TestNode::start("node1")];
    past(&nodes, 20);
    list.send_replace(Some(peers(&nodes)));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let talk = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(stock_relay)
        .args(["serve", "--disable-client-tls", "--disable-server-tls"])
        .args(["--health-listen-address", "127.0.0.1:0", "--gops=false", "--retry-timeout", "500ms"])
        .args(["--listen-address", &port.to_string(), "--peer-service", &nodes[0].address.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(talk.reopen().unwrap())
        .spawn()
        .unwrap();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let observe = async |server: String| {
        let args = ["observe", "--all", "-o", "json", "--server", &server].map(str::to_owned).to_vec();
        let out = run(hubble.clone(), args).await;
        lines(&out.stdout)
    };
    let ours = observe(relay.server()).await;
    let deadline = Instant::now() + LIMIT;
    let theirs = loop {
        let theirs = observe(port.to_string()).await;
        if theirs.len() >= 20 || Instant::now() > deadline {
            break theirs;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ours.len(), 20);
    assert_eq!(ours, theirs, "{}", std::fs::read_to_string(talk.path()).unwrap());
}

/// Each list in each format, and a status: the same bytes as the stock client prints.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_printed_as_the_stock_client_prints_them() {
    use clap::{Command as Clap, FromArgMatches as _, Subcommand as _};

    use crate::cli::list::List;
    use crate::cli::status_local::StatusArgs;

    let Some(hubble) = stock("hubble") else {
        return;
    };
    let mut nodes = nodes::<3>();
    past(&nodes, 30);
    nodes[1].kill();
    let relay = Running::start(config(), &nodes).await;
    relay.connected(2).await;
    let own = async |words: &[&str], server: &str| {
        let words = words.iter().copied().chain(["--server", server]).map(str::to_owned);
        let mut out = Vec::new();
        let done = if words.clone().next().is_some_and(|w| w == "list") {
            let command = List::augment_subcommands(Clap::new("list"));
            let what = List::from_arg_matches(&command.get_matches_from(words)).unwrap();
            crate::app::list(&what, &mut out).await
        } else {
            let command = <StatusArgs as clap::Args>::augment_args(Clap::new("status"));
            let args = StatusArgs::from_arg_matches(&command.get_matches_from(words)).unwrap();
            crate::app::status(&args, &mut out).await
        };
        let error = done.err().map(|e| format!("{e:#}\n")).unwrap_or_default();
        (String::from_utf8(out).unwrap(), error)
    };
    let relay_at = relay.server();
    let node_at = nodes[0].address.to_string();
    for (words, server) in [
        (&["list", "nodes"][..], &relay_at),
        (&["list", "nodes", "-o", "wide"], &relay_at),
        (&["list", "nodes", "-o", "json"], &relay_at),
        (&["list", "nodes"], &node_at),
        (&["list", "namespaces"], &relay_at),
        (&["list", "namespaces", "-o", "wide"], &node_at),
        (&["list", "namespaces", "-o", "json"], &relay_at),
        (&["status"], &relay_at),
        (&["status", "-o", "dict"], &relay_at),
        (&["status", "-o", "json"], &relay_at),
        (&["status", "-o", "table"], &relay_at),
        (&["status"], &node_at),
    ] {
        let args = words.iter().copied().chain(["--server", server]).map(str::to_owned).collect();
        let theirs = run(hubble.clone(), args).await;
        let theirs = (String::from_utf8(theirs.stdout).unwrap(), String::from_utf8(theirs.stderr).unwrap());
        assert_eq!(own(words, server).await, theirs, "{words:?} of {server}");
    }
}
