//! The gRPC server: its services, at all of its doors.

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::connection;
use super::doors::Door;
use super::limits::{Limits, MAX_REQUEST};
use super::service::ObserverService;
use crate::proto::peer::peer_server::PeerServer;
use crate::proto::served::observer_server::ObserverServer;
use crate::relay::PeerService;

/// Names under which clients ask for the server's health: Hubble's, and that of the whole server.
const HEALTH_NAMES: [&str; 2] = ["hubble.server.Observer", ""];

/// Everything that the agent answers.
pub(super) async fn services(
    observer: ObserverService,
    peers: PeerService,
) -> anyhow::Result<(Routes, HealthReporter)> {
    let (health, health_service) = health().await;
    let mut routes = Routes::builder();
    routes.add_service(health_service);
    routes.add_service(ObserverServer::new(observer).max_decoding_message_size(MAX_REQUEST));
    routes.add_service(PeerServer::new(peers));
    super::reflection::add(&mut routes)?;
    Ok((routes.routes().prepare(), health))
}

/// Health of a server that is well: it is asked only once it serves.
async fn health() -> (
    HealthReporter,
    tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
) {
    let (health, service) = tonic_health::server::health_reporter();
    say_health(&health, ServingStatus::Serving).await;
    (health, service)
}

async fn say_health(health: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        health.set_service_status(name, status).await;
    }
}

/// Serves at all doors until `stopped` turns true. Being asked means that the programs are attached: the doors are opened after
/// that.
pub(crate) fn serve(
    doors: Vec<Door>,
    routes: &Routes,
    health: HealthReporter,
    limits: Limits,
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let mut open = JoinSet::new();
    for door in doors {
        if let Some(tls) = &door.tls {
            let (tls, mut stopped) = (tls.clone(), stopped.clone());
            open.spawn(async move {
                tokio::select! {
                    () = tls.follow() => {}
                    () = connection::end(&mut stopped) => {}
                }
            });
        }
        open.spawn(connection::serve(door, routes.clone(), limits, stopped.clone()));
    }
    let mut end = stopped;
    open.spawn(async move {
        connection::end(&mut end).await;
        say_health(&health, ServingStatus::NotServing).await;
    });
    tokio::spawn(async move { while open.join_next().await.is_some() {} })
}
