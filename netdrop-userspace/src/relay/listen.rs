//! The relay's gRPC servers.

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;
use tonic_health::pb::health_server::{Health, HealthServer};

use super::peer_service::PeerService;
use super::service::RelayService;
use crate::connect::serve::incoming;
use crate::merge::uncoded::observer_server::ObserverServer;
use crate::proto::peer::peer_server::PeerServer;

/// Clients that say nothing are asked whether they live.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Requests are small: filters.
const MAX_REQUEST: usize = 4 * 1024 * 1024;
/// Streams of one connection.
const MAX_STREAMS: u32 = 128;

fn server() -> Server {
    Server::builder().http2_keepalive_interval(Some(KEEPALIVE)).max_concurrent_streams(MAX_STREAMS)
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the relay is gone: an end as well.
    drop(stopped.wait_for(|stop| *stop).await);
}

/// Flows, the peers that they come from, and health.
pub(super) async fn observer(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: RelayService,
    peers: PeerService,
    health: HealthServer<impl Health>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    server()
        .add_service(health)
        .add_service(ObserverServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .add_service(PeerServer::new(peers))
        .serve_with_incoming_shutdown(incoming(listener, tls), until(stopped))
        .await
        .context("the gRPC server failed")
}

/// Health alone.
pub(super) async fn health(
    listener: TcpListener,
    health: HealthServer<impl Health>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    server()
        .add_service(health)
        .serve_with_incoming_shutdown(incoming(listener, None), until(stopped))
        .await
        .context("the health server failed")
}
