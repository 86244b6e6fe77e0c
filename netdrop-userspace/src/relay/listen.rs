//! The relay's gRPC services, at its doors.

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use super::peer_service::PeerService;
use super::service::RelayService;
use crate::agent::doors::{Door, Socket};
use crate::agent::reflection;
use crate::agent::server::serve;
use crate::agent::tls::Tls;
use crate::agent::{Limits, MAX_REQUEST};
use crate::merge::uncoded::observer_server::ObserverServer;
use crate::proto::peer::peer_server::PeerServer;

/// Flows, the peers that they come from, and health.
pub(super) fn routes(
    service: RelayService,
    peers: PeerService,
    health: HealthServer<impl Health>,
) -> anyhow::Result<Routes> {
    let mut routes = Routes::builder();
    routes.add_service(health);
    routes.add_service(ObserverServer::new(service).max_decoding_message_size(MAX_REQUEST));
    routes.add_service(PeerServer::new(peers));
    reflection::add(&mut routes)?;
    Ok(routes.routes().prepare())
}

/// Health alone.
pub(super) fn health_routes(health: HealthServer<impl Health>) -> Routes {
    let mut routes = Routes::builder();
    routes.add_service(health);
    routes.routes().prepare()
}

/// Opens a door.
pub(super) fn open(
    listener: TcpListener,
    tls: Option<Tls>,
    routes: &Routes,
    health: tonic_health::server::HealthReporter,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> JoinHandle<()> {
    let name = listener.local_addr().map_or_else(|_| "TCP".to_owned(), |a| a.to_string());
    let door = Door { name, tls, socket: Socket::Tcp(listener) };
    serve(vec![door], routes, health, Limits::default(), stopped)
}
