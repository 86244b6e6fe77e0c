//! The relay: one server for the flows of all nodes, in order of time.

mod health;
#[cfg(test)]
mod hostile_tests;
mod listen;
mod metrics;
#[cfg(test)]
pub(crate) mod node;
pub mod peer_service;
pub mod peers;
#[cfg(test)]
mod replaced_tests;
mod service;
#[cfg(test)]
mod stock_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tls_tests;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::agent::tls::{Tls, TlsFiles};
use crate::connect::Dial;
use crate::merge::{Crew, Peers, SessionConfig, Tempo};

pub use peer_service::PeerService;

/// How to run.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Where clients ask.
    pub listen: SocketAddr,
    /// Where health is told alone and in the clear, for Kubernetes' probes.
    pub health: Option<SocketAddr>,
    /// Where metrics are told by HTTP.
    pub metrics: Option<SocketAddr>,
    /// `None`: in the clear.
    pub tls: Option<TlsFiles>,
    /// How to reach peers.
    pub dial: Dial,
    /// How often to look after them.
    pub tempo: Tempo,
    /// How calls go.
    pub session: SessionConfig,
}

/// A relay that listens.
pub struct Relay {
    config: RelayConfig,
    listener: TcpListener,
    health: Option<TcpListener>,
    metrics: Option<TcpListener>,
    tls: Option<Tls>,
}

impl Relay {
    /// Listens.
    pub async fn bind(config: RelayConfig) -> anyhow::Result<Self> {
        let tls = config.tls.clone().map(Tls::load).transpose()?;
        let listener = bind(config.listen).await?;
        let health = bind_some(config.health).await?;
        let metrics = bind_some(config.metrics).await?;
        Ok(Self { config, listener, health, metrics, tls })
    }

    /// Where clients ask.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Where health alone is told.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where metrics are told.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Clients are served over TLS.
    pub fn serves_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves the flows of those whom `list` names (`None`: not known yet), until `stopped` turns true.
    pub async fn run(
        self,
        list: watch::Receiver<Option<Peers>>,
        mut stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let peers = PeerService::new(list.clone(), stopped.clone());
        let tempo = self.config.tempo;
        let crew = Arc::new(Crew::start(list, self.config.dial, tempo));
        let (reporter, health) = tonic_health::server::health_reporter();
        let keeper = tokio::spawn(health::keep(Arc::clone(&crew), reporter.clone()));
        let (asked, tally) = (Arc::clone(&crew), Arc::clone(&self.config.session.tally));
        let service = service::RelayService::new(crew, self.config.session, tempo.patience, stopped.clone());
        let mut doors = JoinSet::new();
        if let Some(listener) = self.metrics {
            doors.spawn(tokio::spawn(metrics::serve(listener, asked, tally, stopped.clone())));
        }
        if let Some(listener) = self.health {
            let routes = listen::health_routes(health.clone());
            doors.spawn(listen::open(listener, None, &routes, reporter.clone(), stopped.clone()));
        }
        let routes = listen::routes(service, peers, health)?;
        doors.spawn(listen::open(self.listener, self.tls, &routes, reporter, stopped.clone()));
        let end = stopped.clone();
        let early = tokio::select! {
            // An error means that whoever runs the relay is gone: an end as well.
            _ = stopped.wait_for(|stop| *stop) => false,
            // The doors are told of the stop as this is, and may have ended before this has heard of it.
            _ = doors.join_next() => !*end.borrow() && end.has_changed().is_ok(),
        };
        keeper.abort();
        anyhow::ensure!(!early, "the relay's server has ended by itself");
        while doors.join_next().await.is_some() {}
        Ok(())
    }
}

async fn bind_some(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => Ok(Some(bind(address).await?)),
        None => Ok(None),
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
