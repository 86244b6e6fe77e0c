//! `observer.Observer`: Hubble's server semantics over the history.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::connection::end;
use super::events::{self, AgentEvents, Window};
use super::history::History;
use super::mask::Mask;
use super::namespaces::Namespaces;
use super::readers::{Readers, Start};
use super::request::affordable;
use crate::balance::{Balance, Row};
use crate::convert::{asks_for_benign, filter_from_wire, filters_from_extension, time_from_wire, to_wire};
use crate::explain;
use crate::filter::{Compiled, Filters};
use crate::flow::Observation;
use crate::proto::observer::observer_server::Observer;
use crate::proto::observer::{
    DropBalance, GetAgentEventsRequest, GetAgentEventsResponse, GetDebugEventsRequest,
    GetDebugEventsResponse, GetFlowsRequest, GetFlowsResponse, GetNamespacesRequest, GetNamespacesResponse,
    GetNodesRequest, GetNodesResponse, ServerStatusRequest, ServerStatusResponse,
};

/// Responses under way to one client; then it is the client that must read, and the history that runs on.
const IN_FLIGHT: usize = 64;

/// Serves one history.
pub(super) struct ObserverService {
    history: Arc<History>,
    namespaces: Arc<Namespaces>,
    events: Arc<AgentEvents>,
    balance: watch::Receiver<Balance>,
    stopped: watch::Receiver<bool>,
}

impl ObserverService {
    pub(super) fn new(
        history: Arc<History>,
        namespaces: Arc<Namespaces>,
        events: Arc<AgentEvents>,
        balance: watch::Receiver<Balance>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self { history, namespaces, events, balance, stopped }
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

type Stream<T> = ReceiverStream<Result<T, Status>>;

fn invalid(why: impl Into<String>) -> Status {
    Status::invalid_argument(why)
}

/// A checked request.
pub(super) struct Query {
    filter: Compiled,
    /// Asked for, or a filter names a reason.
    include_benign: bool,
    number: u64,
    first: bool,
    follow: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    mask: Mask,
}

impl Query {
    pub(super) fn new(request: GetFlowsRequest) -> Result<Self, Status> {
        if request.first && request.follow {
            return Err(invalid("first cannot be specified with follow"));
        }
        let list = |list: Vec<crate::proto::flow::FlowFilter>| {
            list.into_iter().map(filter_from_wire).collect::<Result<Vec<_>, _>>().map_err(invalid)
        };
        let filters = match filters_from_extension(request.extensions.as_ref()) {
            Some(filters) => filters.map_err(invalid)?,
            None => Filters { allow: list(request.whitelist)?, deny: list(request.blacklist)? },
        };
        affordable(&filters)?;
        let time = |name: &str, t: Option<prost_types::Timestamp>| {
            t.map(|t| time_from_wire(&t).ok_or_else(|| invalid(format!("invalid {name}: not a time"))))
                .transpose()
        };
        Ok(Self {
            include_benign: asks_for_benign(request.extensions.as_ref()) || explain::is_asked_for(&filters),
            filter: filters.compile().map_err(|e| invalid(e.to_string()))?,
            number: request.number,
            first: request.first,
            follow: request.follow,
            since: time("since", request.since)?,
            until: time("until", request.until)?,
            mask: Mask::new(request.field_mask.as_ref())?,
        })
    }

    fn matches(&self, o: &Observation) -> bool {
        matches!(o, Observation::Flow(f) if self.filter.matches(f))
    }

    fn reader(&self, history: &Arc<History>) -> Readers {
        let start = match (self.since, self.first, self.number) {
            (Some(since), ..) => Start::Time(since),
            (None, false, 0) if self.follow => Start::Newest,
            (None, true, _) | (None, false, 0) => Start::Oldest,
            (None, false, n) => Start::Last(n),
        };
        Readers::new(history, start, self.include_benign, |o| self.matches(o))
    }

    /// Most flows that are sent; following, or having rewound by their number, there is no limit.
    fn limit(&self) -> Option<u64> {
        let counts = !self.follow && self.number != 0 && (self.first || self.since.is_some());
        counts.then_some(self.number)
    }
}

/// Sends what a query asks for, until its end, its client's or the server's.
async fn stream(
    history: Arc<History>,
    query: Query,
    to: mpsc::Sender<Result<GetFlowsResponse, Status>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut reader = query.reader(&history);
    let mut left = query.limit();
    loop {
        let batch = reader.take();
        if batch.items.is_empty() && batch.missed.is_none() {
            if !query.follow {
                return;
            }
            tokio::select! {
                more = reader.wait() => if !more { return },
                // The client has gone.
                () = to.closed() => return,
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            continue;
        }
        let missed = batch.missed.map(Observation::Lost);
        for observation in missed.iter().chain(batch.items.iter().map(|o| &**o)) {
            if let Observation::Flow(flow) = observation {
                if query.until.is_some_and(|until| flow.time > until) && !query.follow {
                    return;
                }
                if !query.filter.matches(flow) {
                    if let Some(rest) = query.filter.undecided(flow)
                        && to.send(Ok(to_wire(&Observation::Lost(rest)))).await.is_err()
                    {
                        return;
                    }
                    continue;
                }
                match &mut left {
                    Some(0) => return,
                    Some(n) => *n -= 1,
                    None => {}
                }
            }
            if to.send(Ok(query.mask.apply(to_wire(observation)))).await.is_err() {
                return;
            }
        }
    }
}

#[tonic::async_trait]
impl Observer for ObserverService {
    type GetFlowsStream = Stream<GetFlowsResponse>;
    type GetAgentEventsStream = Stream<GetAgentEventsResponse>;
    type GetDebugEventsStream = Stream<GetDebugEventsResponse>;

    async fn get_flows(
        &self,
        request: Request<GetFlowsRequest>,
    ) -> Result<Response<Self::GetFlowsStream>, Status> {
        let query = Query::new(request.into_inner())?;
        let (to, from) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(stream(Arc::clone(&self.history), query, to, self.stopped.clone()));
        Ok(Response::new(ReceiverStream::new(from)))
    }

    async fn server_status(
        &self,
        _request: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        let status = self.history.status();
        Ok(Response::new(ServerStatusResponse {
            num_flows: status.len,
            max_flows: status.capacity,
            seen_flows: status.seen,
            uptime_ns: u64::try_from(status.uptime.as_nanos()).unwrap_or(u64::MAX),
            version: concat!("netdrop v", env!("CARGO_PKG_VERSION")).to_owned(),
            flows_rate: status.rate,
            drops: self.drops(),
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
        tokio::spawn(events::stream(Arc::clone(&self.events), window, to, self.stopped.clone()));
        Ok(Response::new(ReceiverStream::new(from)))
    }

    /// There are none: netdrop's BPF programs have no debug mode. A follower waits for ever, as for those of a quiet server.
    async fn get_debug_events(
        &self,
        request: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        let GetDebugEventsRequest { first, follow, .. } = request.into_inner();
        if first && follow {
            return Err(invalid("first cannot be specified with follow"));
        }
        let (to, from) = mpsc::channel(1);
        if follow {
            let mut stopped = self.stopped.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = to.closed() => {}
                    () = end(&mut stopped) => {}
                }
            });
        }
        Ok(Response::new(ReceiverStream::new(from)))
    }
}
