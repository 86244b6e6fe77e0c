//! The HTTP port: `/metrics`, `/healthz`, `/readyz`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{About, Format, Health, Metrics};
use crate::agent::web;

/// How often series of pods that are gone are looked for.
const SWEEP: Duration = Duration::from_secs(15);
/// A client that does not take its answer must not hold up the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// The port, served.
pub struct Server {
    /// Where; with the port that was found where 0 was asked for.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Waits for the end, which `stopped` has asked for; not for clients.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        if let Ok(ended) = tokio::time::timeout(FAREWELL, &mut self.task).await {
            return ended.context("the metrics task failed");
        }
        self.task.abort();
        Ok(())
    }
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    about: About,
    stopped: watch::Receiver<bool>,
}

/// Serves until `stopped` turns true.
pub fn serve(
    listener: TcpListener,
    metrics: Metrics,
    about: About,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Server> {
    let address = listener.local_addr().context("the metrics port has no address")?;
    let shared = Shared { metrics, about, stopped };
    let (sweeper, end) = (shared.clone(), shared.stopped.clone());
    let router = Router::new()
        .route("/metrics", get(page))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(shared);
    let task = tokio::spawn(async move {
        tokio::select! {
            () = web::serve(listener, router, end) => {}
            () = sweep(sweeper) => {}
        }
    });
    Ok(Server { address, task })
}

async fn sweep(shared: Shared) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tick.tick().await;
        if let Some(names) = &shared.about.names {
            shared.metrics.forget_pods(names, Timestamp::now());
        }
    }
}

async fn page(State(shared): State<Shared>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let format = Format::of_accept(accept);
    let text = shared.metrics.page(&shared.about).write(format);
    ([(CONTENT_TYPE, format.content_type())], text)
}

/// Whether it makes sense to let the process go on.
async fn healthz(State(shared): State<Shared>) -> (StatusCode, String) {
    match shared.metrics.health() {
        Health::Dead(silent) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("capture has been silent for {} s\n", silent.as_secs()))
        }
        Health::Ready | Health::Waiting(_) => (StatusCode::OK, "ok\n".to_owned()),
    }
}

/// Whether drops are seen.
async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    let unready = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    if *shared.stopped.borrow() {
        return unready("stopping\n".to_owned());
    }
    match shared.metrics.health() {
        Health::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Health::Waiting(Duration::ZERO) => unready("capture has not begun\n".to_owned()),
        Health::Waiting(silent) | Health::Dead(silent) => {
            unready(format!("capture has been silent for {} s\n", silent.as_secs()))
        }
    }
}
