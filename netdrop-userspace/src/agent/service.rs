//! `observer.Observer`: Hubble's server semantics over the history.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::connection::end;
use super::encoded::Encoded;
use super::events::{self, AgentEvents, Window};
use super::history::{Counts, History, HistoryStatus};
use super::namespaces::Namespaces;
use super::query::Query;
use super::stream;
use crate::balance::{Balance, Row};
use crate::convert::time_to_wire;
use crate::proto::observer as wire;
use crate::proto::observer::{
    DropBalance, GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest,
    GetDebugEventsResponse, GetFlowsRequest, GetNamespacesRequest, GetNamespacesResponse, GetNodesRequest,
    GetNodesResponse, ServerStatusRequest, ServerStatusResponse,
};
use crate::proto::served::observer_server::Observer;

/// Events under way to one client; then it is the client that must read.
const IN_FLIGHT: usize = 64;

/// Serves one history.
pub(super) struct ObserverService {
    history: Arc<History>,
    namespaces: Arc<Namespaces>,
    events: Arc<AgentEvents>,
    node: Option<Arc<str>>,
    balance: watch::Receiver<Balance>,
    stopped: watch::Receiver<bool>,
}

impl ObserverService {
    pub(super) fn new(
        history: Arc<History>,
        namespaces: Arc<Namespaces>,
        (events, node): (Arc<AgentEvents>, Option<Arc<str>>),
        balance: watch::Receiver<Balance>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self { history, namespaces, events, node, balance, stopped }
    }

    /// The sums by reason; the first, without a name, over all.
    fn drops(&self) -> Vec<DropBalance> {
        let balance = self.balance.borrow();
        let wire = |reason: &str, row: &Row| DropBalance {
            reason: reason.to_owned(),
            drops: row.drops,
            shown: row.shown,
            aggregated: row.aggregated,
            hidden: row.hidden,
            lost: row.lost,
        };
        let total = wire("", &balance.total());
        std::iter::once(total).chain(balance.rows().iter().map(|(name, row)| wire(name, row))).collect()
    }
}

/// How far back one can look.
fn history_to_wire(status: &HistoryStatus) -> wire::History {
    let ring = |counts: &Counts| wire::Ring {
        observations: counts.len,
        oldest: counts.oldest.map(time_to_wire),
        bytes: counts.used as u64,
        max_bytes: counts.asked as u64,
    };
    wire::History {
        drops: Some(ring(&status.drops)),
        flows: Some(ring(&status.flows)),
        benign: Some(ring(&status.benign)),
        disk_bytes: status.disk.map_or(0, |disk| disk.bytes),
        not_on_disk: status.disk.map_or(0, |disk| disk.not_written + disk.lost),
    }
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Observer for ObserverService {
    type GetFlowsStream = Stream<Encoded>;
    type GetAgentEventsStream = Stream<GetAgentEventsResponse>;
    type GetDebugEventsStream = Stream<GetDebugEventsResponse>;

    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let query = Query::new(request.into_inner())?;
        let responses = stream::answer(&self.history, query, self.stopped.clone()).await;
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn server_status(
        &self,
        _request: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        let status = self.history.status();
        Ok(Response::new(ServerStatusResponse {
            num_flows: status.drops.len + status.flows.len,
            max_flows: status.drops.capacity() + status.flows.capacity(),
            seen_flows: status.seen,
            uptime_ns: u64::try_from(status.uptime.as_nanos()).unwrap_or(u64::MAX),
            version: concat!("netdrop v", env!("CARGO_PKG_VERSION")).to_owned(),
            flows_rate: status.rate,
            drops: self.drops(),
            history: Some(history_to_wire(&status)),
            ..ServerStatusResponse::default()
        }))
    }

    async fn get_namespaces(
        &self,
        _request: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        let namespaces = self.namespaces.list(Instant::now());
        Ok(Response::new(GetNamespacesResponse { namespaces }))
    }

    async fn get_nodes(
        &self,
        _request: Request<GetNodesRequest>,
    ) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("GetNodes not implemented"))
    }

    async fn get_agent_events(
        &self,
        request: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        let window = Window::new(request.get_ref())?;
        let (to, from) = mpsc::channel(IN_FLIGHT);
        let (events, node) = (Arc::clone(&self.events), self.node.clone());
        tokio::spawn(events::stream(events, node, window, to, self.stopped.clone()));
        Ok(Response::new(ReceiverStream::new(from)))
    }

    /// There are none: netdrop's BPF programs have no debug mode. A follower waits for ever, as for those of a quiet server.
    async fn get_debug_events(
        &self,
        request: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        let GetDebugEventsRequest { first, follow, .. } = request.into_inner();
        if first && follow {
            return Err(Status::invalid_argument("first cannot be specified with follow"));
        }
        let (to, from) = mpsc::channel(1);
        if follow {
            let mut stopped = self.stopped.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = to.closed() => {}
                    () = end(&mut stopped) => events::farewell(&to, true),
                }
            });
        }
        Ok(Response::new(ReceiverStream::new(from)))
    }
}
