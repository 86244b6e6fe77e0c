//! `observer.Observer` over many nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::connect::Connection;
use crate::merge::session::Told;
use crate::merge::uncoded::observer_server::Observer;
use crate::merge::{Asked, Crew, Peer, PeerState, Session, SessionConfig, Wire};
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{
    DropBalance, GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest,
    GetDebugEventsResponse, GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest, GetNodesResponse,
    Namespace, Node, ServerStatusRequest, ServerStatusResponse, Tls,
};
use crate::proto::relay::NodeState;

/// Batches of responses under way to one client; then it is the client that must read.
const IN_FLIGHT: usize = 4;
/// A node that takes longer to say how it is counts as one that is not there.
const ANSWER: Duration = Duration::from_secs(2);
/// Names of nodes out of reach that a status lists.
const NAMED: usize = 10;

/// Serves the flows of a crew.
pub(super) struct RelayService {
    crew: Arc<Crew>,
    session: SessionConfig,
    stopped: watch::Receiver<bool>,
}

impl RelayService {
    pub(super) fn new(crew: Arc<Crew>, session: SessionConfig, stopped: watch::Receiver<bool>) -> Self {
        Self { crew, session, stopped }
    }

    /// Asks all nodes at once; `None`: it can't be reached, or did not answer.
    async fn ask_all<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        call: impl Fn(ObserverClient<Connection>) -> F,
    ) -> Vec<(Arc<Peer>, Option<T>)> {
        let peers: Vec<_> = self.crew.roster().borrow().peers.values().cloned().collect();
        let calls = peers.into_iter().map(|peer| {
            let call = peer.connection().map(|c| call(ObserverClient::new(c)));
            async move {
                let answer = match call {
                    Some(call) => tokio::time::timeout(ANSWER, call).await.ok().and_then(Result::ok),
                    None => None,
                };
                (peer, answer.map(Response::into_inner))
            }
        });
        join_all(calls).await
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn one_by_one(told: Told) -> impl Stream<Item = Result<Wire, Status>> {
    let (wires, error) = match told {
        Ok(wires) => (wires, None),
        Err(status) => (Vec::new(), Some(Err(status))),
    };
    stream::iter(wires.into_iter().map(Ok).chain(error))
}

#[tonic::async_trait]
impl Observer for RelayService {
    type GetFlowsStream = Responses<Wire>;
    type GetAgentEventsStream = Responses<GetAgentEventsResponse>;
    type GetDebugEventsStream = Responses<GetDebugEventsResponse>;

    async fn get_flows(&self, request: Request<Asked>) -> Result<Response<Self::GetFlowsStream>, Status> {
        let asked = request.into_inner();
        if asked.request.first && asked.request.follow {
            return Err(Status::invalid_argument("first cannot be specified with follow"));
        }
        if !asked.request.follow && !self.crew.roster().borrow().known {
            return Err(Status::unavailable("the relay does not know its peers yet"));
        }
        let (to, from) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(Session::run(self.crew.roster(), asked, self.session.clone(), to));
        let mut stopped = self.stopped.clone();
        let end = async move { drop(stopped.wait_for(|stop| *stop).await) };
        let responses = ReceiverStream::new(from).take_until(Box::pin(end)).flat_map(one_by_one);
        Ok(Response::new(Box::pin(responses)))
    }

    async fn server_status(
        &self,
        _request: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        let answers =
            self.ask_all(|mut node| async move { node.server_status(ServerStatusRequest {}).await }).await;
        Ok(Response::new(sum(&answers)))
    }

    async fn get_nodes(
        &self,
        _request: Request<GetNodesRequest>,
    ) -> Result<Response<GetNodesResponse>, Status> {
        let answers =
            self.ask_all(|mut node| async move { node.server_status(ServerStatusRequest {}).await }).await;
        let nodes = answers.iter().map(|(peer, status)| node(peer, status.as_ref())).collect();
        Ok(Response::new(GetNodesResponse { nodes }))
    }

    async fn get_namespaces(
        &self,
        _request: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        let answers =
            self.ask_all(|mut node| async move { node.get_namespaces(GetNamespacesRequest {}).await }).await;
        let all: BTreeSet<_> = answers
            .into_iter()
            .filter_map(|(_, answer)| answer)
            .flat_map(|answer| answer.namespaces)
            .map(|n| (n.cluster, n.namespace))
            .collect();
        let namespaces =
            all.into_iter().map(|(cluster, namespace)| Namespace { cluster, namespace }).collect();
        Ok(Response::new(GetNamespacesResponse { namespaces }))
    }

    async fn get_agent_events(
        &self,
        _request: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        Err(Status::unimplemented("GetAgentEvents not yet implemented"))
    }

    async fn get_debug_events(
        &self,
        _request: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        Err(Status::unimplemented("GetDebugEvents not yet implemented"))
    }
}

/// The sums over nodes, as Hubble's relay makes them; and netdrop's own, by reason.
fn sum(answers: &[(Arc<Peer>, Option<ServerStatusResponse>)]) -> ServerStatusResponse {
    let mut all = ServerStatusResponse {
        version: concat!("netdrop-relay v", env!("CARGO_PKG_VERSION")).to_owned(),
        ..ServerStatusResponse::default()
    };
    let (mut connected, mut unavailable) = (0_u32, 0_u32);
    let mut drops: BTreeMap<&str, DropBalance> = BTreeMap::new();
    for (peer, status) in answers {
        let Some(status) = status else {
            unavailable += 1;
            if all.unavailable_nodes.len() < NAMED {
                all.unavailable_nodes.push(peer.shown().to_string());
            }
            continue;
        };
        connected += 1;
        all.num_flows = all.num_flows.saturating_add(status.num_flows);
        all.max_flows = all.max_flows.saturating_add(status.max_flows);
        all.seen_flows = all.seen_flows.saturating_add(status.seen_flows);
        all.uptime_ns = all.uptime_ns.max(status.uptime_ns);
        all.flows_rate += status.flows_rate;
        for row in &status.drops {
            let sum = drops.entry(&row.reason).or_default();
            sum.reason.clone_from(&row.reason);
            sum.drops = sum.drops.saturating_add(row.drops);
            sum.shown = sum.shown.saturating_add(row.shown);
            sum.aggregated = sum.aggregated.saturating_add(row.aggregated);
            sum.hidden = sum.hidden.saturating_add(row.hidden);
            sum.lost = sum.lost.saturating_add(row.lost);
        }
    }
    all.num_connected_nodes = Some(connected);
    all.num_unavailable_nodes = Some(unavailable);
    all.drops = drops.into_values().collect();
    // The sum over all reasons has no name and comes first; then the most frequent.
    all.drops.sort_by(|a, b| (!a.reason.is_empty()).cmp(&!b.reason.is_empty()).then(b.drops.cmp(&a.drops)));
    all
}

fn node(peer: &Peer, status: Option<&ServerStatusResponse>) -> Node {
    let state = match (&*peer.state.borrow(), status) {
        (PeerState::Up(_), Some(_)) => NodeState::NodeConnected,
        (PeerState::Up(_) | PeerState::Stalled(_), _) => NodeState::NodeError,
        (PeerState::Connecting | PeerState::Down(_), _) => NodeState::NodeUnavailable,
    };
    let status = status.cloned().unwrap_or_default();
    Node {
        name: peer.shown().to_string(),
        version: status.version,
        address: peer.address.address.clone(),
        state: state.into(),
        tls: Some(Tls {
            enabled: peer.tls,
            server_name: peer.address.server_name.clone().unwrap_or_default(),
        }),
        uptime_ns: status.uptime_ns,
        num_flows: status.num_flows,
        max_flows: status.max_flows,
        seen_flows: status.seen_flows,
    }
}
