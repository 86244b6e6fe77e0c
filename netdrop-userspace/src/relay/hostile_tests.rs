//! Peers that are none: garbage, silence, other protocols, messages that are no messages, times that can't be.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::node::{LIMIT, TestNode, flow, now, own_address};
use super::tests::{Running, config, slowly};
use super::*;
use crate::merge::uncoded::observer_server::{Observer, ObserverServer};
use crate::merge::{Asked, PeerAddress, Wire, WireKind};
use crate::proto::observer as wire;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::observer_client::ObserverClient;
use crate::source::remote;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((own_address(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Whatever connects is told this, and then listened to for ever, or cut.
async fn says(words: &'static [u8], cut: bool) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                drop(stream.write_all(words).await);
                let mut heard = [0; 1024];
                while !cut && stream.read(&mut heard).await.is_ok_and(|n| n > 0) {}
            });
        }
    });
    address
}

/// A node whose flows are these bytes.
struct Raw(Vec<Bytes>);

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Observer for Raw {
    type GetFlowsStream = Responses<Wire>;
    type GetAgentEventsStream = Responses<wire::GetAgentEventsResponse>;
    type GetDebugEventsStream = Responses<wire::GetDebugEventsResponse>;

    async fn get_flows(&self, _: Request<Asked>) -> Result<Response<Self::GetFlowsStream>, Status> {
        let wire = |bytes: &Bytes| Ok(Wire { kind: WireKind::Other, time: None, bytes: bytes.clone() });
        let all: Vec<_> = self.0.iter().map(wire).collect();
        Ok(Response::new(Box::pin(stream::iter(all))))
    }

    async fn server_status(
        &self,
        _: Request<wire::ServerStatusRequest>,
    ) -> Result<Response<wire::ServerStatusResponse>, Status> {
        Ok(Response::new(wire::ServerStatusResponse::default()))
    }

    async fn get_nodes(
        &self,
        _: Request<wire::GetNodesRequest>,
    ) -> Result<Response<wire::GetNodesResponse>, Status> {
        Err(Status::internal("no"))
    }

    async fn get_namespaces(
        &self,
        _: Request<wire::GetNamespacesRequest>,
    ) -> Result<Response<wire::GetNamespacesResponse>, Status> {
        Err(Status::internal("no"))
    }

    async fn get_agent_events(
        &self,
        _: Request<wire::GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        Err(Status::internal("no"))
    }

    async fn get_debug_events(
        &self,
        _: Request<wire::GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Err(Status::internal("no"))
    }
}

async fn raw(flows: Vec<Bytes>) -> SocketAddr {
    let (listener, address) = listen().await;
    let service = ObserverServer::new(Raw(flows));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn named(list: &[(&str, SocketAddr)]) -> Peers {
    let peer = |a: &SocketAddr| PeerAddress { address: a.to_string(), server_name: None };
    list.iter().map(|(name, a)| (Arc::from(*name), peer(a))).collect()
}

/// A relay over these, which takes nobody for slow that is only busy.
async fn over(list: &[(&str, SocketAddr)], patience: Duration) -> Running {
    let mut config = RelayConfig { session: slowly(config().session), ..config() };
    config.tempo.patience = patience;
    let relay = Running::start(config, &[]).await;
    relay.list.send_replace(Some(named(list)));
    relay
}

async fn all(relay: &Running, request: wire::GetFlowsRequest) -> Vec<wire::GetFlowsResponse> {
    let servers = crate::cli::server_flags::Servers::one(&relay.server()).unwrap();
    let mut client = ObserverClient::new(remote::connect(&servers).await.unwrap());
    let told = client.get_flows(request).await.unwrap().into_inner().map(Result::unwrap).collect();
    tokio::time::timeout(LIMIT, told).await.expect("it ends")
}

fn flows(told: &[wire::GetFlowsResponse]) -> Vec<&str> {
    let flow = |r: &'_ wire::GetFlowsResponse| matches!(r.response_types, Some(ResponseTypes::Flow(_)));
    told.iter()
        .filter(|r| flow(r))
        .map(|r| match &r.response_types {
            Some(ResponseTypes::Flow(flow)) => &*flow.summary,
            _ => "",
        })
        .collect()
}

fn everything() -> wire::GetFlowsRequest {
    wire::GetFlowsRequest { number: u64::MAX, ..wire::GetFlowsRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_server_is_a_node_out_of_reach() {
    let node = TestNode::start("good");
    node.see(now() - 2 * SECOND, "one");
    node.see(now() - SECOND, "two");
    let list = [
        ("good", node.address),
        ("silent", says(b"", false).await),
        ("cut", says(b"", true).await),
        ("web", says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false).await),
        (
            "noise",
            says(b"\x00\xff\x80\x01garbage\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe", false).await,
        ),
        // A frame of HTTP/2 that says of itself that it is 16 MiB.
        ("frame", says(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", false).await),
    ];
    let relay = over(&list, Duration::from_secs(1)).await;
    relay.connected(1).await;
    let status = remote::status(&relay.server()).await.unwrap();
    assert_eq!((status.num_connected_nodes, status.num_unavailable_nodes), (Some(1), Some(5)));
    assert_eq!(status.num_flows, 2);
    assert_eq!(flows(&all(&relay, everything()).await), ["one", "two"]);
    relay.stop.send_replace(true);
    tokio::time::timeout(LIMIT, relay.ended).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_none_cost_their_node_alone() {
    let node = TestNode::start("good");
    node.see(now() - SECOND, "kept");
    let one = Wire::of(&flow("odd", now() - 3 * SECOND, "before")).bytes;
    let large = Bytes::from(vec![0; crate::connect::MAX_RESPONSE + 1]);
    let list = [
        ("good", node.address),
        ("noise", raw(vec![one, Bytes::from_static(b"\xff\xff\xff")]).await),
        ("large", raw(vec![large]).await),
        ("empty", raw(vec![Bytes::new()]).await),
    ];
    let relay = over(&list, LIMIT).await;
    relay.connected(4).await;
    let told = all(&relay, everything()).await;
    assert_eq!(flows(&told), ["before", "kept"]);
    let news: Vec<_> = told
        .iter()
        .filter_map(|r| match &r.response_types {
            Some(ResponseTypes::NodeStatus(s)) if !s.message.is_empty() => Some((&s.node_names, &*s.message)),
            _ => None,
        })
        .collect();
    for name in ["noise", "large"] {
        assert!(news.iter().any(|(names, _)| names.iter().any(|n| n == name)), "{name}: {news:?}");
    }
}

/// Whatever time a flow has, it is told once; those of a right clock stay in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_that_can_not_be_disturb_nobody() {
    let nodes = [TestNode::start("good"), TestNode::start("odd")];
    let start = now() - 60 * SECOND;
    for n in 0..20 {
        nodes[0].see(start + n * SECOND, &format!("good{n}"));
    }
    let mut odd = Vec::new();
    for (n, time) in [0, 1, -5 * SECOND, now() + 3600 * SECOND, i64::MAX / 2].into_iter().enumerate() {
        nodes[1].see(time, &format!("odd{n}"));
        odd.push(format!("odd{n}"));
    }
    for (n, nanos) in [-1, 1_000_000_000, i32::MAX].into_iter().enumerate() {
        let mut message = flow("odd", start, &format!("none{n}"));
        message.time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos });
        if let Some(ResponseTypes::Flow(flow)) = &mut message.response_types {
            flow.time = message.time;
        }
        nodes[1].push(message);
        odd.push(format!("none{n}"));
    }
    let list = [("good", nodes[0].address), ("odd", nodes[1].address)];
    let relay = over(&list, LIMIT).await;
    relay.connected(2).await;
    let told = all(&relay, everything()).await;
    let (good, mut rest): (Vec<_>, Vec<_>) = flows(&told).into_iter().partition(|f| f.starts_with("good"));
    assert_eq!(good, (0..20).map(|n| format!("good{n}")).collect::<Vec<_>>());
    rest.sort_unstable();
    odd.sort_unstable();
    assert_eq!(rest, odd);
    let five = all(&relay, wire::GetFlowsRequest { number: 5, ..wire::GetFlowsRequest::default() }).await;
    assert_eq!(flows(&five).len(), 5);
}

/// By HTTP it says how its peers are and what went through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_of_peers_and_flows() {
    let mut nodes = [TestNode::start("node0"), TestNode::start("node1")];
    nodes[0].see(now() - SECOND, "one");
    nodes[1].kill();
    let at = SocketAddr::from((own_address(), 9966));
    let relay = Running::start(RelayConfig { metrics: Some(at), ..config() }, &nodes).await;
    let get = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    assert!(get("/healthz").await.starts_with("HTTP/1.1 200"));
    relay.connected(1).await;
    assert!(get("/readyz").await.starts_with("HTTP/1.1 200"));
    assert_eq!(flows(&all(&relay, everything()).await), ["one"]);
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        let text = get("/metrics").await;
        let all = [
            "netdrop_relay_peers{state=\"connected\"} 1.0",
            "netdrop_relay_peers{state=\"unavailable\"} 1.0",
            "netdrop_relay_flows_total 1",
            "netdrop_relay_lost_flows_total{by=\"relay\"} 0",
            "netdrop_relay_calls_total 1",
            "netdrop_relay_open_calls 0.0",
        ];
        let missing: Vec<_> = all.iter().filter(|line| !text.contains(*line)).collect();
        if missing.is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{missing:?} in {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    nodes[0].kill();
    while !get("/readyz").await.contains("no peer answers") {
        assert!(std::time::Instant::now() < deadline, "still ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
