//! What it costs to make one stream of many nodes': the merge alone, and a whole relay between real servers and a client.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures::{Stream, StreamExt as _, stream};
use netdrop::connect::{Connection, Dial, Target};
use netdrop::convert;
use netdrop::flow::Observation;
use netdrop::merge::uncoded::observer_client::ObserverClient;
use netdrop::merge::uncoded::observer_server::{Observer, ObserverServer};
use netdrop::merge::{
    Asked, Course, CourseLimits, Item, MergerLimits, PeerAddress, Plan, SessionConfig, Tempo, Wire, WireKind,
};
use netdrop::proto::observer as wire;
use netdrop::relay::{Relay, RelayConfig};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::packets;

/// Nodes, and flows of each in a second.
const NODES: u32 = 100;
const FLOWS: u32 = 1000;
const SECOND: i64 = 1_000_000_000;
/// When it happened; any time will do.
const WALL: i64 = 1_700_000_000 * SECOND;

/// Flows of one node, evenly over a second, none at the same time as another node's.
fn second(node: u32) -> Vec<Wire> {
    let mut flow = packets::flow("tcp");
    flow.node_name = Some(format!("node-{node}").into());
    let at = |n: u32| WALL + i64::from(n) * (SECOND / i64::from(FLOWS)) + i64::from(node);
    let told = |n: u32| {
        let mut flow = flow.clone();
        flow.time = jiff::Timestamp::from_nanosecond(at(n).into()).expect("a time");
        Wire::of(&convert::to_wire(&Observation::Flow(flow)))
    };
    (0..FLOWS).map(told).collect()
}

fn limits() -> CourseLimits {
    let hold = Duration::from_millis(900);
    let merger = MergerLimits { hold, slack: Duration::from_millis(50), most: 65_536 };
    CourseLimits {
        merger,
        quiet: Duration::from_millis(250),
        patience: Duration::from_secs(5),
        most_last: 262_144,
    }
}

/// A second of a hundred nodes, each of which tells a thousand flows in batches of ten, as they come; in order at the end.
#[divan::bench]
fn merge_course(bencher: Bencher<'_, '_>) {
    let nodes: Vec<_> = (0..NODES).map(second).collect();
    bencher.counter(ItemsCount::new(NODES * FLOWS)).bench(|| {
        let plan = Plan { follow: true, ..Plan::default() };
        let mut course = Course::new(plan, limits(), Duration::ZERO, WALL);
        (0..NODES).for_each(|node| course.join(Duration::ZERO, node));
        let (mut told, mut last) = (0_u32, i64::MIN);
        let mut count = |wire: Wire| {
            let time = wire.time.unwrap_or(0);
            assert!(time > last, "in order");
            (told, last) = (told + 1, time);
        };
        for chunk in 0..FLOWS / 10 {
            let now = Duration::from_millis(u64::from(chunk + 1) * 10);
            for (node, flows) in (0..).zip(&nodes) {
                let from = usize::try_from(chunk * 10).expect("a place");
                let read =
                    flows[from..from + 10].iter().map(|wire| Wire::read(wire.bytes.clone()).expect("a flow"));
                let items =
                    read.map(|wire| Item { time: wire.time, flow: wire.kind == WireKind::Flow, body: wire });
                course.items(now, node, items.collect());
            }
            course.step(now, |_, wire| count(wire));
        }
        (0..NODES).for_each(|node| course.leave(node));
        course.step(Duration::from_secs(3), |_, wire| count(wire));
        assert_eq!(told, NODES * FLOWS);
    });
}

/// A node that has these flows in its history.
struct Node(Arc<Vec<Wire>>);

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Observer for Node {
    type GetFlowsStream = Responses<Wire>;
    type GetAgentEventsStream = Responses<wire::GetAgentEventsResponse>;
    type GetDebugEventsStream = Responses<wire::GetDebugEventsResponse>;

    async fn get_flows(&self, _: Request<Asked>) -> Result<Response<Self::GetFlowsStream>, Status> {
        let flows = Arc::clone(&self.0);
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

fn threads(number: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(number).enable_all().build().expect("a runtime")
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
        let (nodes, relay, client) = (threads(1), threads(1), threads(1));
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
        while bed.all() < NODES * FLOWS {}
        bed
    }

    /// Asks for all that there is, and counts.
    fn all(&self) -> u32 {
        self.client.block_on(async {
            let request = wire::GetFlowsRequest { number: u64::MAX, ..wire::GetFlowsRequest::default() };
            let mut client = ObserverClient::new(self.connection.clone());
            let told = client.get_flows(Asked::from(request)).await.expect("a stream").into_inner();
            let flows = told.filter(|wire| {
                let flow = wire.as_ref().is_ok_and(|wire| wire.kind == WireKind::Flow);
                std::future::ready(flow)
            });
            u32::try_from(flows.count().await).expect("a count")
        })
    }
}

/// A hundred nodes of a thousand flows, through a relay of one thread to a client, in order.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn relay_all(bencher: Bencher<'_, '_>) {
    let bed = Bed::new();
    bencher.counter(ItemsCount::new(NODES * FLOWS)).bench(|| assert_eq!(black_box(bed.all()), NODES * FLOWS));
}
