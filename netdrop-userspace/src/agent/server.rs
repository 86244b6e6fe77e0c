//! The gRPC server on its socket.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use super::history::History;
use super::service::ObserverService;
use crate::balance::Balance;
use crate::proto::served::observer_server::ObserverServer;

/// Name under which Hubble's clients ask for the server's health.
const HEALTH_NAME: &str = "hubble.server.Observer";
/// Clients that say nothing are asked whether they live.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Requests are small: filters.
const MAX_REQUEST: usize = 4 * 1024 * 1024;
/// Streams of one connection.
const MAX_STREAMS: u32 = 128;

/// Serves until `stopped` turns true. Being asked means that the programs are attached: the socket is opened after that.
pub(super) async fn serve(
    listener: UnixListener,
    history: Arc<History>,
    balance: watch::Receiver<Balance>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    for name in ["", HEALTH_NAME] {
        health.set_service_status(name, tonic_health::ServingStatus::Serving).await;
    }
    let observer = ObserverService::new(history, balance, stopped.clone());
    let mut end = stopped;
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(health_service)
        .add_service(ObserverServer::new(observer).max_decoding_message_size(MAX_REQUEST))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async move {
            // An error means that the agent is gone: an end as well.
            drop(end.wait_for(|stop| *stop).await);
        })
        .await
        .context("the gRPC server failed")
}
