//! A node for tests: a real server of made-up flows, which can be killed, stopped from answering, and started again.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

use super::PeerService;
use crate::merge::Peers;
use crate::proto::flow::{Ethernet, Flow, Verdict};
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::observer_server::{Observer, ObserverServer};
use crate::proto::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetDebugEventsResponse,
    GetFlowsRequest, GetFlowsResponse, GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest,
    GetNodesResponse, Namespace, ServerStatusRequest, ServerStatusResponse,
};
use crate::proto::peer::peer_server::PeerServer;

/// What a node has to tell, whether it runs or not.
#[derive(Debug)]
struct Told {
    name: String,
    flows: watch::Sender<Vec<GetFlowsResponse>>,
    requests: Mutex<Vec<GetFlowsRequest>>,
    stalled: watch::Sender<bool>,
    /// It accepts a stream by its first response, as servers in Go do.
    lazy: AtomicBool,
    /// It ends each stream after what it has to tell at once.
    brief: AtomicBool,
}

/// A node.
pub(crate) struct TestNode {
    told: Arc<Told>,
    pub(crate) address: SocketAddr,
    peers: watch::Receiver<Option<Peers>>,
    runtime: Option<Runtime>,
}

/// A flow of this node; `Summary` says which.
pub(crate) fn flow(node: &str, nanos: i64, summary: &str) -> GetFlowsResponse {
    let time = Some(prost_types::Timestamp {
        seconds: nanos.div_euclid(1_000_000_000),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap(),
    });
    let flow = Flow {
        time,
        verdict: Verdict::Dropped.into(),
        node_name: node.to_owned(),
        summary: summary.to_owned(),
        ethernet: Some(Ethernet {
            source: "02:00:00:00:00:01".into(),
            destination: "02:00:00:00:00:02".into(),
        }),
        ..Flow::default()
    };
    GetFlowsResponse { node_name: node.to_owned(), time, response_types: Some(ResponseTypes::Flow(flow)) }
}

/// An address of the loopback device that no other test listens at: a port there stays free while nobody has it.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    // Of the process 13 bits, and 1024 addresses for it; beyond 127.0, where everybody is.
    Ipv4Addr::from(
        u32::from(Ipv4Addr::LOCALHOST) & 0xff00_0000 | 1 << 23 | (process & 0x1fff) << 10 | n & 0x3ff,
    )
}

/// This moment.
pub(crate) fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

fn nanos(response: &GetFlowsResponse) -> i64 {
    response.time.map_or(0, |t| t.seconds * 1_000_000_000 + i64::from(t.nanos))
}

impl TestNode {
    pub(crate) fn start(name: &str) -> Self {
        Self::with_peers(name, watch::channel(Some(Peers::new())).1)
    }

    /// One whose peer service tells of these.
    pub(crate) fn with_peers(name: &str, peers: watch::Receiver<Option<Peers>>) -> Self {
        let told = Arc::new(Told {
            name: name.to_owned(),
            flows: watch::Sender::new(Vec::new()),
            requests: Mutex::default(),
            stalled: watch::Sender::new(false),
            lazy: AtomicBool::default(),
            brief: AtomicBool::default(),
        });
        let mut node = Self { told, address: (own_address(), 0).into(), peers, runtime: None };
        node.restart();
        node
    }

    /// Listens again, where it did.
    pub(crate) fn restart(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let socket = {
            let _inside = runtime.enter();
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(self.address).unwrap();
            socket.listen(64).unwrap()
        };
        self.address = socket.local_addr().unwrap();
        let service = ObserverServer::new(TestObserver(Arc::clone(&self.told)));
        let peers = PeerServer::new(PeerService::new(self.peers.clone(), watch::channel(false).1));
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .add_service(peers)
                .serve_with_incoming(TcpListenerStream::new(socket)),
        );
        self.runtime = Some(runtime);
    }

    /// All its connections are cut at once; nobody listens any more when this returns.
    pub(crate) fn kill(&mut self) {
        let runtime = self.runtime.take().unwrap();
        std::thread::spawn(move || runtime.shutdown_timeout(LIMIT)).join().unwrap();
    }

    pub(crate) fn stall(&self, stalled: bool) {
        self.told.stalled.send_replace(stalled);
    }

    pub(crate) fn be_lazy(&self) {
        self.told.lazy.store(true, Ordering::Relaxed);
    }

    pub(crate) fn be_brief(&self) {
        self.told.brief.store(true, Ordering::Relaxed);
    }

    pub(crate) fn see(&self, nanos: i64, summary: &str) {
        self.told.flows.send_modify(|flows| flows.push(flow(&self.told.name, nanos, summary)));
    }

    pub(crate) fn push(&self, response: GetFlowsResponse) {
        self.told.flows.send_modify(|flows| flows.push(response));
    }

    /// Until it has been asked for flows so often: whatever it sees from then on, it tells.
    pub(crate) async fn asked(&self, times: usize) {
        let deadline = Instant::now() + LIMIT;
        while self.told.requests.lock().unwrap().len() < times {
            assert!(Instant::now() < deadline, "{} was not asked", self.told.name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn requests(&self) -> Vec<GetFlowsRequest> {
        self.told.requests.lock().unwrap().clone()
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct TestObserver(Arc<Told>);

impl TestObserver {
    async fn unless_stalled(&self) {
        drop(self.0.stalled.subscribe().wait_for(|stalled| !stalled).await);
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The part of the history that a request begins with, and where new flows begin.
fn history(flows: &[GetFlowsResponse], request: &GetFlowsRequest) -> Vec<GetFlowsResponse> {
    let number = usize::try_from(request.number).unwrap_or(usize::MAX);
    let mut chosen: Vec<_> = match &request.since {
        Some(since) => {
            let since = since.seconds * 1_000_000_000 + i64::from(since.nanos);
            flows.iter().filter(|f| nanos(f) >= since).cloned().collect()
        }
        None if request.first => flows.iter().take(number).cloned().collect(),
        None if request.follow && number == 0 => Vec::new(),
        None => flows[flows.len().saturating_sub(if number == 0 { usize::MAX } else { number })..].to_vec(),
    };
    if let Some(until) = &request.until {
        let until = until.seconds * 1_000_000_000 + i64::from(until.nanos);
        chosen.retain(|f| nanos(f) <= until);
    }
    if request.since.is_some() && number > 0 && !request.follow {
        chosen.truncate(number);
    }
    chosen
}

#[tonic::async_trait]
impl Observer for TestObserver {
    type GetFlowsStream = Responses<GetFlowsResponse>;
    type GetAgentEventsStream = Responses<GetAgentEventsResponse>;
    type GetDebugEventsStream = Responses<GetDebugEventsResponse>;

    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let request = request.into_inner();
        let told = Arc::clone(&self.0);
        let mut changes = told.flows.subscribe();
        let (first, mut next) = {
            let flows = changes.borrow_and_update();
            (history(&flows, &request), flows.len())
        };
        self.0.requests.lock().unwrap().push(request.clone());
        if request.whitelist.iter().any(|f| f.protocol == ["wrong"]) {
            return Err(Status::unknown("invalid protocol filter: unknown protocol: \"wrong\""));
        }
        if told.lazy.load(Ordering::Relaxed) {
            drop(told.flows.subscribe().wait_for(|flows| !flows.is_empty()).await);
        }
        let (to, from) = mpsc::channel(4);
        tokio::spawn(async move {
            let mut stalled = told.stalled.subscribe();
            let mut waiting = first;
            loop {
                for response in waiting.drain(..) {
                    drop(stalled.wait_for(|stalled| !stalled).await);
                    if to.send(Ok(response)).await.is_err() {
                        return;
                    }
                }
                drop(stalled.wait_for(|stalled| !stalled).await);
                if !request.follow || told.brief.load(Ordering::Relaxed) {
                    return;
                }
                tokio::select! {
                    _ = changes.changed() => {}
                    () = to.closed() => return,
                }
                let flows = changes.borrow_and_update();
                waiting = flows.get(next..).unwrap_or_default().to_vec();
                next = flows.len();
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(from))))
    }

    async fn server_status(
        &self,
        _: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        self.unless_stalled().await;
        let seen = self.0.flows.borrow().len() as u64;
        Ok(Response::new(ServerStatusResponse {
            num_flows: seen,
            max_flows: 4095,
            seen_flows: seen,
            uptime_ns: 100_000_000_000,
            version: "test v1.2.3".into(),
            ..ServerStatusResponse::default()
        }))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        let of = |namespace: &str| Namespace { cluster: "default".into(), namespace: namespace.into() };
        let namespaces = vec![of("everywhere"), of(&format!("of-{}", self.0.name))];
        Ok(Response::new(GetNamespacesResponse { namespaces }))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("GetNodes not implemented"))
    }

    async fn get_agent_events(
        &self,
        _: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_debug_events(
        &self,
        _: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// How long anything may take on a machine that does other things, too.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
