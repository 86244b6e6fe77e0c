//! What servers say of themselves, asked all at once: their numbers, and the nodes and namespaces that they know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tonic::{Response, Status};

use super::crew::{Peer, PeerState};
use crate::connect::Connection;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{DropBalance, Namespace, Node, ServerStatusRequest, ServerStatusResponse, Tls};
use crate::proto::relay::NodeState;

/// Names of nodes out of reach that a status lists.
const NAMED: usize = 10;

/// What a peer is asked by.
pub type Client = ObserverClient<Connection>;

/// What a peer has said, or why it has said nothing.
pub type Answer<T> = (Arc<Peer>, Result<T, Status>);

/// Asks all of them at once. One that takes longer than `patience` counts as one that is not there.
pub async fn ask_all<T, F: Future<Output = Result<Response<T>, Status>>>(
    peers: impl IntoIterator<Item = Arc<Peer>>,
    patience: Duration,
    call: impl Fn(Client) -> F,
) -> Vec<Answer<T>> {
    let calls = peers.into_iter().map(|peer| {
        let call = peer.connection().map(|c| call(ObserverClient::new(c)));
        async move {
            let answer = match call {
                Some(call) => tokio::time::timeout(patience, call)
                    .await
                    .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))),
                None => Err(Status::unavailable("out of reach")),
            };
            (peer, answer.map(Response::into_inner))
        }
    });
    join_all(calls).await
}

/// How all of them are.
pub async fn statuses(
    peers: impl IntoIterator<Item = Arc<Peer>>,
    patience: Duration,
) -> Vec<Answer<ServerStatusResponse>> {
    ask_all(peers, patience, |mut c| async move { c.server_status(ServerStatusRequest {}).await }).await
}

/// The sums over nodes, as Hubble's relay makes them; and netdrop's own, by reason. A server that sums itself counts as its nodes.
pub fn sum(answers: &[Answer<ServerStatusResponse>], version: &str) -> ServerStatusResponse {
    let mut all = ServerStatusResponse { version: version.to_owned(), ..ServerStatusResponse::default() };
    let (mut connected, mut unavailable) = (0_u32, 0_u32);
    let mut names = Vec::new();
    let mut drops: BTreeMap<&str, DropBalance> = BTreeMap::new();
    for (peer, status) in answers {
        let Ok(status) = status else {
            unavailable = unavailable.saturating_add(1);
            names.push(peer.shown().to_string());
            continue;
        };
        connected = connected.saturating_add(status.num_connected_nodes.unwrap_or(1));
        unavailable = unavailable.saturating_add(status.num_unavailable_nodes.unwrap_or(0));
        names.extend_from_slice(&status.unavailable_nodes);
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
    names.truncate(NAMED);
    all.unavailable_nodes = names;
    all.num_connected_nodes = Some(connected);
    all.num_unavailable_nodes = Some(unavailable);
    all.drops = drops.into_values().collect();
    // The sum over all reasons has no name and comes first; then the most frequent.
    all.drops.sort_by(|a, b| (!a.reason.is_empty()).cmp(&!b.reason.is_empty()).then(b.drops.cmp(&a.drops)));
    all
}

/// A peer as a node of a list.
pub fn node((peer, status): &Answer<ServerStatusResponse>) -> Node {
    let state = match (&*peer.state.borrow(), status) {
        (PeerState::Up(_), Ok(_)) => NodeState::NodeConnected,
        (PeerState::Up(_) | PeerState::Stalled(_), _) => NodeState::NodeError,
        (PeerState::Connecting | PeerState::Down(_), _) => NodeState::NodeUnavailable,
    };
    let status = status.as_ref().ok().cloned().unwrap_or_default();
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

/// Each namespace once, in order.
pub fn namespaces(all: impl IntoIterator<Item = Namespace>) -> Vec<Namespace> {
    let all: BTreeSet<_> = all.into_iter().map(|n| (n.cluster, n.namespace)).collect();
    all.into_iter().map(|(cluster, namespace)| Namespace { cluster, namespace }).collect()
}
