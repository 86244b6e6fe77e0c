//! What a whole relay costs: real servers as nodes, a relay of one thread, and a client, each on threads of its own.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::ItemsCount;
use futures::{Stream, StreamExt as _, stream};
use netdrop::connect::{Connection, Dial, Target};
use netdrop::merge::uncoded::observer_client::ObserverClient;
use netdrop::merge::uncoded::observer_server::{Observer, ObserverServer};
use netdrop::merge::{Asked, PeerAddress, SessionConfig, Tempo, Wire, WireKind};
use netdrop::proto::observer as wire;
use netdrop::relay::{Relay, RelayConfig};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::merge::{FLOWS, NODES, SECOND, second};

/// Flows that a node tells at once.
const BATCH: u32 = 10;
/// Name of the relay's thread.
const RELAY: &str = "relay";
/// Until all streams stand and what came meanwhile is told.
const WARM: Duration = Duration::from_secs(3);

/// A node that has these flows in its history.
struct Node(Arc<Vec<Wire>>);

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Observer for Node {
    type GetFlowsStream = Responses<Wire>;
    type GetAgentEventsStream = Responses<wire::GetAgentEventsResponse>;
    type GetDebugEventsStream = Responses<wire::GetDebugEventsResponse>;

    async fn get_flows(&self, asked: Request<Asked>) -> Result<Response<Self::GetFlowsStream>, Status> {
        let flows = Arc::clone(&self.0);
        if asked.get_ref().request.follow {
            return Ok(Response::new(Box::pin(live(flows[0].clone()))));
        }
        let all = (0..flows.len()).map(move |n| Ok(flows[n].clone()));
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
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_namespaces(
        &self,
        _: Request<wire::GetNamespacesRequest>,
    ) -> Result<Response<wire::GetNamespacesResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_agent_events(
        &self,
        _: Request<wire::GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_debug_events(
        &self,
        _: Request<wire::GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

/// The same flow again and again, ten every ten milliseconds, each at its own time.
fn live(flow: Wire) -> impl Stream<Item = Result<Wire, Status>> {
    let ticks = tokio::time::interval(Duration::from_secs(1) / (FLOWS / BATCH));
    let batches = stream::unfold(ticks, |mut ticks| async {
        ticks.tick().await;
        Some((now(), ticks))
    });
    batches.flat_map(move |now| {
        let flow = flow.clone();
        stream::iter((0..i64::from(BATCH)).map(move |n| Ok(at(&flow, now + n))))
    })
}

/// A message with another time: of a field that comes twice, the last one counts.
fn at(flow: &Wire, nanos: i64) -> Wire {
    let time = prost_types::Timestamp {
        seconds: nanos / SECOND,
        nanos: i32::try_from(nanos % SECOND).expect("a part of a second"),
    };
    let time = wire::GetFlowsResponse { time: Some(time), ..wire::GetFlowsResponse::default() };
    let bytes = [&flow.bytes[..], &time.encode_to_vec()].concat();
    Wire { kind: WireKind::Flow, time: Some(nanos), bytes: bytes.into() }
}

fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).expect("a time of this century")
}

fn threads(name: &str) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name(name).enable_all().build().expect("a runtime")
}

/// Time that the thread of this name has spent on a processor.
fn spent(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads").flatten();
    let named = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let nanos = |path: &std::path::Path| -> Option<u64> {
        std::fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    let all = tasks.map(|task| task.path()).filter(|path| named(path)).filter_map(|path| nanos(&path));
    Duration::from_nanos(all.sum())
}

/// Nodes as servers, a relay with one thread, and a connection to it.
struct Bed {
    _nodes: Runtime,
    _relay: Runtime,
    client: Runtime,
    connection: Connection,
    _stop: watch::Sender<bool>,
}

impl Bed {
    fn new() -> Self {
        let (nodes, relay, client) = (threads("nodes"), threads(RELAY), threads("client"));
        let peers: BTreeMap<Arc<str>, PeerAddress> = (0..NODES)
            .map(|node| {
                let listener = nodes.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
                let address = listener.local_addr().expect("an address").to_string();
                let service = ObserverServer::new(Node(Arc::new(second(node))));
                let server = tonic::transport::Server::builder().add_service(service);
                nodes.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
                (format!("node-{node}").into(), PeerAddress { address, server_name: None })
            })
            .collect();
        let config = RelayConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            health: None,
            metrics: None,
            tls: None,
            dial: Dial::default(),
            tempo: Tempo::default(),
            session: SessionConfig::new("relay".into()),
        };
        let bound = relay.block_on(Relay::bind(config)).expect("a relay");
        let target = Target::parse(&bound.address().expect("an address").to_string()).expect("an address");
        let (stop, stopped) = watch::channel(false);
        let (_, list) = watch::channel(Some(peers));
        relay.spawn(bound.run(list, stopped));
        let connection = client.block_on(Dial::default().connect(&target)).expect("a connection");
        let bed = Self { _nodes: nodes, _relay: relay, client, connection, _stop: stop };
        // Until all nodes are connected.
        while bed.all().0 < NODES * FLOWS {}
        bed
    }

    /// Asks for all that there is: how many came, and how many of these after a later one.
    fn all(&self) -> (u32, u32) {
        self.client.block_on(async {
            let request = wire::GetFlowsRequest { number: u64::MAX, ..wire::GetFlowsRequest::default() };
            let mut client = ObserverClient::new(self.connection.clone());
            let told = client.get_flows(Asked::from(request)).await.expect("a stream").into_inner();
            let mut told =
                told.filter_map(|wire| std::future::ready(wire.ok().as_ref().and_then(time_of_flow)));
            let (mut count, mut late, mut last) = (0, 0, i64::MIN);
            while let Some(time) = told.next().await {
                late += u32::from(time < last);
                (count, last) = (count + 1, last.max(time));
            }
            (count, late)
        })
    }
}

fn time_of_flow(wire: &Wire) -> Option<i64> {
    wire.time.filter(|_| wire.kind == WireKind::Flow)
}

/// What a client has seen of what happens now.
#[derive(Debug, Default)]
struct Seen {
    flows: u32,
    /// Earlier than the one before.
    late: u32,
    longest: Duration,
}

impl Bed {
    /// Follows: for a while to warm up, and then for so long; with what the relay has spent meanwhile.
    fn follow(&self, span: Duration) -> (Seen, Duration) {
        self.client.block_on(async {
            let request = wire::GetFlowsRequest { follow: true, ..wire::GetFlowsRequest::default() };
            let mut client = ObserverClient::new(self.connection.clone());
            let told = client.get_flows(Asked::from(request)).await.expect("a stream").into_inner();
            let mut told =
                told.filter_map(|wire| std::future::ready(wire.ok().as_ref().and_then(time_of_flow)));
            let began = Instant::now();
            while began.elapsed() < WARM {
                told.next().await.expect("it goes on");
            }
            let (mut seen, mut last) = (Seen::default(), i64::MIN);
            let (began, before) = (Instant::now(), spent(RELAY));
            while began.elapsed() < span {
                let time = told.next().await.expect("it goes on");
                let lag = Duration::from_nanos((now() - time).unsigned_abs());
                seen.flows += 1;
                seen.late += u32::from(time < last);
                seen.longest = seen.longest.max(lag);
                last = last.max(time);
            }
            (seen, spent(RELAY).saturating_sub(before))
        })
    }
}

/// A hundred nodes of a thousand flows, through a relay of one thread to a client, in order.
#[divan::bench(sample_count = 5, sample_size = 1)]
#[expect(clippy::print_stdout, reason = "a benchmark tells what it found")]
fn relay_all(bencher: Bencher<'_, '_>) {
    let bed = Bed::new();
    let (before, mut rounds) = (spent(RELAY), 0);
    bencher.counter(ItemsCount::new(NODES * FLOWS)).bench_local(|| {
        assert_eq!(black_box(bed.all()), (NODES * FLOWS, 0), "all, and in order");
        rounds += 1;
    });
    let each = spent(RELAY).saturating_sub(before) / rounds.max(1);
    println!("relay_all: {each:?} of the relay's thread for {} flows", NODES * FLOWS);
}

/// A hundred nodes, each of which tells a thousand flows a second as they happen, through a relay of one thread to a client.
#[divan::bench(sample_count = 1, sample_size = 1)]
#[expect(clippy::print_stdout, reason = "a benchmark tells what it found")]
fn relay_follow(bencher: Bencher<'_, '_>) {
    const SPAN: Duration = Duration::from_secs(5);
    let bed = Bed::new();
    bencher.bench(|| {
        let (seen, cpu) = bed.follow(SPAN);
        println!(
            "relay_follow: {:.0} flows/s, {:.0} % of a core, {} out of order, longest lag {:?}",
            f64::from(seen.flows) / SPAN.as_secs_f64(),
            cpu.as_secs_f64() / SPAN.as_secs_f64() * 100.0,
            seen.late,
            seen.longest
        );
    });
}
