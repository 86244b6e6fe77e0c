//! The HTTP port: `/metrics` for Prometheus, `/healthz` and `/readyz` for probes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::health::is_serving;
use crate::agent::metrics::{Format, Number, Page, level, values};
use crate::agent::web;
use crate::merge::{Crew, PeerState, Tally};

/// A client that does not take its answer must not hold up the end.
const FAREWELL: Duration = Duration::from_millis(300);

#[derive(Clone)]
struct Shared {
    crew: Arc<Crew>,
    tally: Arc<Tally>,
    stopped: watch::Receiver<bool>,
}

/// Serves until `stopped` turns true.
pub(super) async fn serve(
    listener: TcpListener,
    crew: Arc<Crew>,
    tally: Arc<Tally>,
    stopped: watch::Receiver<bool>,
) {
    let (stop, mut end) = (stopped.clone(), stopped.clone());
    let router = Router::new()
        .route("/metrics", get(page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(Shared { crew, tally, stopped });
    let late = async move {
        // An error means that the relay is gone: an end as well.
        drop(end.wait_for(|stop| *stop).await);
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        () = web::serve(listener, router, stop) => {}
        () = late => {}
    }
}

async fn page(State(shared): State<Shared>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let format = Format::of_accept(accept);
    ([(CONTENT_TYPE, format.content_type())], build(&shared.crew, &shared.tally).write(format))
}

/// Whether there is anybody to ask.
async fn readyz(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if *shared.stopped.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if is_serving(&shared.crew) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no peer answers\n")
    }
}

fn build(crew: &Crew, tally: &Tally) -> Page {
    let mut page = Page::default();
    let mut states =
        BTreeMap::from([("connected", 0), ("connecting", 0), ("stalled", 0), ("unavailable", 0)]);
    for peer in crew.roster().borrow().peers.values() {
        let state = match &*peer.state.borrow() {
            PeerState::Up(_) => "connected",
            PeerState::Connecting => "connecting",
            PeerState::Stalled(_) => "stalled",
            PeerState::Down(_) => "unavailable",
        };
        *states.entry(state).or_insert(0) += 1;
    }
    let rows = states.into_iter().map(|(state, n)| (values([state]), level(n))).collect();
    page.add("netdrop_relay_peers", "Peers by state", &["state"], rows);
    let count = |counter: &std::sync::atomic::AtomicU64| Number::Count(counter.load(Relaxed));
    page.add_one("netdrop_relay_flows", "Flows told to clients", count(&tally.flows));
    page.add_one("netdrop_relay_late_flows", "Flows told after a later one", count(&tally.late));
    let lost =
        vec![(values(["nodes"]), count(&tally.lost_by_nodes)), (values(["relay"]), count(&tally.lost_here))];
    page.add("netdrop_relay_lost_flows", "Flows that clients did not get, by who lost them", &["by"], lost);
    page.add_one(
        "netdrop_relay_given_up",
        "Times that a node was not waited for any more",
        count(&tally.given_up),
    );
    // Ended first: one that ends meanwhile is no negative number.
    let ended = tally.ended.load(Relaxed);
    let begun = tally.begun.load(Relaxed);
    page.add_one("netdrop_relay_calls", "Calls for flows that have begun", Number::Count(begun));
    let open = usize::try_from(begun.saturating_sub(ended)).unwrap_or(usize::MAX);
    page.add_one("netdrop_relay_open_calls", "Calls for flows under way", level(open));
    page
}
