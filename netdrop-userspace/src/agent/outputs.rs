//! What an agent does with observations beside keeping them: log feeds and metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::events::AgentEvents;
use super::feed::{FeedReport, Feeds};
use super::history::{History, HistoryStatus};
use super::metrics::{self, About, HistoryLevel, Metrics};
use crate::balance::Balance;
use crate::enrich::Names;
use crate::flow::Observation;
use crate::ledger::Ledger;
use crate::source::LiveTally;

/// The outputs of an agent; by default there are none. Clones share them.
#[derive(Clone, Default)]
pub struct Outputs {
    /// Log feeds.
    pub feeds: Feeds,
    /// Counters.
    pub metrics: Metrics,
    /// Where to serve them; `None`: nowhere, and nothing is counted.
    pub address: Option<SocketAddr>,
    /// What happened to the agent and around it.
    pub events: Arc<AgentEvents>,
    /// For how much is known of names, and which pods are gone.
    pub names: Option<Names>,
}

impl Outputs {
    /// Takes a batch; waits for nobody.
    pub(super) fn push(&self, batch: &Arc<[Arc<Observation>]>) {
        if self.address.is_some() {
            self.metrics.observe(batch);
        }
        self.feeds.push(batch);
    }

    /// Capture lives, and has counted this.
    pub(super) fn draw(&self, sums: Option<(&LiveTally, &Balance, &Ledger)>) {
        if self.address.is_some() {
            self.metrics.draw(sums);
        }
    }

    /// Opens the port, where one is asked for.
    pub(super) async fn serve(
        &self,
        history: &Arc<History>,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<Option<metrics::Server>> {
        let Some(address) = self.address else { return Ok(None) };
        let history = Arc::clone(history);
        let about = About {
            feeds: self.feeds.clone(),
            events: Arc::clone(&self.events),
            names: self.names.clone(),
            history: Arc::new(move || level(&history)),
        };
        let server = metrics::serve(address, self.metrics.clone(), about, stopped.clone()).await?;
        tracing::info!(address = %server.address, "serving /metrics, /healthz and /readyz");
        Ok(Some(server))
    }

    /// Ends the feeds.
    pub(super) async fn finish(&self) -> Vec<FeedReport> {
        self.feeds.finish().await
    }
}

fn level(history: &Arc<History>) -> HistoryLevel {
    let HistoryStatus { drops, flows, .. } = history.status();
    let oldest = [drops.oldest, flows.oldest].into_iter().flatten().min();
    let span = oldest.and_then(|at| Duration::try_from(Timestamp::now().duration_since(at)).ok());
    HistoryLevel {
        len: drops.len + flows.len,
        capacity: drops.capacity() + flows.capacity(),
        span: span.unwrap_or_default(),
    }
}
