//! What an agent does with observations beside keeping them: log feeds and metrics.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::events::{AgentEvents, lost};
use super::feed::{Event, FeedReport, Feeds};
use super::history::{History, HistoryStatus};
use super::metrics::{self, About, HistoryLevel, Metrics};
use super::tls::Tls;
use crate::balance::Balance;
use crate::enrich::Names;
use crate::flow::Observation;
use crate::ledger::Ledger;
use crate::source::LiveTally;

/// Events that are handed to feeds before the next look.
const EVENTS: usize = 64;

/// The outputs of an agent; by default there are none. Clones share them.
#[derive(Clone, Default)]
pub struct Outputs {
    /// Log feeds.
    pub feeds: Feeds,
    /// Counters.
    pub metrics: Metrics,
    /// They are served somewhere; else nothing is counted.
    pub counts: bool,
    /// What happened to the agent and around it.
    pub events: Arc<AgentEvents>,
    /// For how much is known of names, and which pods are gone.
    pub names: Option<Names>,
}

impl Outputs {
    /// Takes a batch; waits for nobody.
    pub(super) fn push(&self, batch: &Arc<[Arc<Observation>]>) {
        if self.counts {
            self.metrics.observe(batch);
        }
        self.feeds.push(batch);
    }

    /// Capture lives, and has counted this.
    pub(super) fn draw(&self, sums: Option<(&LiveTally, &Balance, &Ledger)>) {
        if self.counts {
            self.metrics.draw(sums);
        }
    }

    /// Serves the port, where one was taken.
    pub(super) fn serve(
        &self,
        port: Option<TcpListener>,
        tls: Option<Tls>,
        history: &Arc<History>,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<Option<metrics::Server>> {
        let Some(port) = port else { return Ok(None) };
        let history = Arc::clone(history);
        let about = About {
            feeds: self.feeds.clone(),
            tls,
            events: Arc::clone(&self.events),
            names: self.names.clone(),
            history: Arc::new(move || level(&history)),
        };
        let server = metrics::serve(port, self.metrics.clone(), about, stopped.clone())?;
        tracing::info!(address = %server.address, "serving /metrics, /healthz and /readyz");
        Ok(Some(server))
    }

    /// Hands the agent's events to the feeds, for ever.
    pub(super) async fn tell_events(self, node: Option<Arc<str>>) {
        let node = node.unwrap_or_else(|| "".into());
        let mut news = self.events.news();
        let mut next = 0;
        // Ends with the events.
        while news.wait_for(|newest| *newest > next).await.is_ok() {
            let chunk = self.events.chunk(next, EVENTS);
            next = chunk.next;
            let missed = (chunk.lost > 0).then(|| (Timestamp::now(), Arc::new(lost(chunk.lost))));
            let told = chunk.items.into_iter().map(|item| (item.time, item.event));
            for (time, event) in missed.into_iter().chain(told) {
                self.feeds.tell(&Event { node: Arc::clone(&node), time, event });
            }
        }
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
