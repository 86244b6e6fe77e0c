//! `observer.Observer` over many nodes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, future, stream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::merge::session::Told;
use crate::merge::uncoded::observer_server::Observer;
use crate::merge::{Asked, Crew, Peer, Session, SessionConfig, Wire, census};
use crate::proto::observer::{
    GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest, GetDebugEventsResponse,
    GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest, GetNodesResponse, ServerStatusRequest,
    ServerStatusResponse,
};

/// Batches of responses under way to one client; then it is the client that must read.
const IN_FLIGHT: usize = 4;
/// In whose name sums are told.
const VERSION: &str = concat!("netdrop-relay v", env!("CARGO_PKG_VERSION"));

/// Serves the flows of a crew.
pub(super) struct RelayService {
    crew: Arc<Crew>,
    session: SessionConfig,
    /// A node that takes longer to say how it is counts as one that is not there.
    patience: Duration,
    stopped: watch::Receiver<bool>,
}

impl RelayService {
    pub(super) fn new(
        crew: Arc<Crew>,
        session: SessionConfig,
        patience: Duration,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self { crew, session, patience, stopped }
    }

    /// All nodes as they are known now.
    fn peers(&self) -> Vec<Arc<Peer>> {
        self.crew.roster().borrow().peers.values().cloned().collect()
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
        let follow = asked.request.follow;
        let (to, from) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(Session::run(self.crew.roster(), asked, self.session.clone(), to));
        let mut stopped = self.stopped.clone();
        let end = async move { drop(stopped.wait_for(|stop| *stop).await) };
        let responses = ReceiverStream::new(from).take_until(Box::pin(end)).flat_map(one_by_one);
        // Who follows has not come to an end of his own.
        let stopped = self.stopped.clone();
        let farewell = stream::once(async move {
            (follow && *stopped.borrow()).then(|| Err(Status::unavailable("the relay stops")))
        });
        Ok(Response::new(Box::pin(responses.chain(farewell.filter_map(future::ready)))))
    }

    async fn server_status(
        &self,
        _request: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        let answers = census::statuses(self.peers(), self.patience).await;
        Ok(Response::new(census::sum(&answers, VERSION)))
    }

    async fn get_nodes(
        &self,
        _request: Request<GetNodesRequest>,
    ) -> Result<Response<GetNodesResponse>, Status> {
        let answers = census::statuses(self.peers(), self.patience).await;
        let nodes = answers.iter().map(census::node).collect();
        Ok(Response::new(GetNodesResponse { nodes }))
    }

    async fn get_namespaces(
        &self,
        _request: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        let call = |mut c: census::Client| async move { c.get_namespaces(GetNamespacesRequest {}).await };
        let answers = census::ask_all(self.peers(), self.patience, call).await;
        let told = answers.into_iter().filter_map(|(_, answer)| answer.ok());
        let namespaces = census::namespaces(told.flat_map(|answer| answer.namespaces));
        Ok(Response::new(GetNamespacesResponse { namespaces }))
    }

    /// Events are one agent's, and asked of it: Hubble's relay refuses them in these words, which clients know.
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
