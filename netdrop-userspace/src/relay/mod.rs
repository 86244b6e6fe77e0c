//! The relay: one server for the flows of all nodes, in order of time.

mod health;
mod listen;
#[cfg(test)]
pub(crate) mod node;
pub mod peer_service;
pub mod peers;
mod service;
#[cfg(test)]
mod stock_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::connect::serve::bind;
use crate::connect::{Dial, Pem, tls};
use crate::merge::{Crew, Peers, SessionConfig, Tempo};

pub use peer_service::PeerService;

/// Streams of clients get this long to end by themselves: the whole must be over within a second.
const GRACE: Duration = Duration::from_millis(400);

/// TLS of what the relay serves.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The relay's certificate.
    pub identity: Pem,
    /// Authorities of clients; with any, clients must show a certificate.
    pub client_cas: Vec<PathBuf>,
}

/// How to run.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Where clients ask.
    pub listen: SocketAddr,
    /// Where health is told alone and in the clear, for Kubernetes' probes.
    pub health: Option<SocketAddr>,
    /// `None`: in the clear.
    pub tls: Option<ServerTls>,
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
    acceptor: Option<TlsAcceptor>,
}

impl Relay {
    /// Listens.
    pub async fn bind(config: RelayConfig) -> anyhow::Result<Self> {
        let acceptor = config.tls.as_ref().map(|t| tls::acceptor(&t.identity, &t.client_cas)).transpose()?;
        let listener = bind(config.listen).await?;
        let health = match config.health {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { config, listener, health, acceptor })
    }

    /// Where clients ask.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Where health alone is told.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Clients are served over TLS.
    pub fn serves_tls(&self) -> bool {
        self.acceptor.is_some()
    }

    /// Serves the flows of those whom `list` names (`None`: not known yet), until `stopped` turns true.
    pub async fn run(
        self,
        list: watch::Receiver<Option<Peers>>,
        mut stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let peers = PeerService::new(list.clone(), stopped.clone());
        let crew = Arc::new(Crew::start(list, self.config.dial, self.config.tempo));
        let (reporter, healthy) = tonic_health::server::health_reporter();
        let keeper = tokio::spawn(health::keep(Arc::clone(&crew), reporter));
        let service = service::RelayService::new(crew, self.config.session, stopped.clone());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(listen::observer(
            self.listener,
            self.acceptor,
            service,
            peers,
            healthy.clone(),
            stopped.clone(),
        ));
        if let Some(listener) = self.health {
            serving.spawn(listen::health(listener, healthy, stopped.clone()));
        }
        let first = tokio::select! {
            // An error means that whoever runs the relay is gone: an end as well.
            _ = stopped.wait_for(|stop| *stop) => None,
            ended = serving.join_next() => ended,
        };
        if let Some(ended) = first {
            ended.context("the relay's server failed")??;
        }
        let all = async { while serving.join_next().await.is_some() {} };
        // A client that does not read must not keep the relay.
        drop(tokio::time::timeout(GRACE, all).await);
        keeper.abort();
        Ok(())
    }
}
