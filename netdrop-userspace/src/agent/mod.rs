//! The agent: one source, an in-memory history, a server for many clients and a log feed.

pub mod feed;
mod history;
pub mod metrics;
mod outputs;
mod server;
mod service;
mod socket;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use crate::balance::Balance;
use crate::filter::Compiled;
use crate::flow::{LostEvents, Observation};
use crate::ledger::{Fate, Ledger};
use crate::source::Source;
use feed::FeedReport;

pub use history::{Batch, History, Reader};
pub use outputs::Outputs;
pub use socket::DEFAULT_SOCKET;

/// How often the sums are drawn for status and metrics.
const BALANCE_TICK: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Unix socket of the server.
    pub socket_path: PathBuf,
    /// Observations in the history.
    pub capacity: usize,
    /// What is kept and shown at all.
    pub filter: Compiled,
}

/// What became of the observations.
#[derive(Clone, Debug, Default)]
pub struct AgentTally {
    /// Packets: shown is what was kept in the history.
    pub flows: Ledger,
    /// What the log feeds told.
    pub feeds: Vec<FeedReport>,
}

/// Runs until `stop` comes true. The source ending by itself is an error: an agent that sees nothing must not look healthy.
pub async fn run<S: Source>(
    source: &mut S,
    config: AgentConfig,
    outputs: Outputs,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<AgentTally> {
    let history = Arc::new(History::new(config.capacity));
    let (stopping, stopped) = watch::channel(false);
    let (balance, balances) = watch::channel(Balance::default());
    let metrics = outputs.serve(&history, &stopped).await?;
    let socket = socket::bind(&config.socket_path)?;
    let server = tokio::spawn(server::serve(socket, Arc::clone(&history), balances, stopped));
    let mut tally = AgentTally::default();
    let mut keeper =
        Keeper { filter: &config.filter, history: &history, outputs: &outputs, tally: &mut tally.flows };
    let result = keeper.pump(source, &balance, stop).await;
    stopping.send_replace(true);
    let served = server.await.context("the server task failed");
    if let Some(metrics) = metrics {
        metrics.finish().await?;
    }
    socket::remove(&config.socket_path);
    tally.feeds = outputs.finish().await;
    result?;
    served??;
    Ok(tally)
}

/// What takes observations from the source.
struct Keeper<'a> {
    filter: &'a Compiled,
    history: &'a History,
    outputs: &'a Outputs,
    tally: &'a mut Ledger,
}

impl Keeper<'_> {
    async fn pump<S: Source>(
        &mut self,
        source: &mut S,
        balance: &watch::Sender<Balance>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let mut stop = pin!(stop);
        let mut batch = Vec::new();
        let mut tick = tokio::time::interval(BALANCE_TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = tick.tick() => self.draw_balance(source, balance)?,
                more = source.next(&mut batch) => {
                    anyhow::ensure!(more?, "capture has ended by itself");
                    self.keep(&mut batch);
                }
            }
        }
        if source.stop()? {
            // What was under way is still told, within the second that a clean stop may take.
            let deadline = tokio::time::Instant::now() + Duration::from_millis(500);
            while let Ok(more) = tokio::time::timeout_at(deadline, source.next(&mut batch)).await {
                if !more? {
                    break;
                }
                self.keep(&mut batch);
            }
        }
        self.draw_balance(source, balance)
    }

    fn draw_balance<S: Source>(&self, source: &S, balance: &watch::Sender<Balance>) -> anyhow::Result<()> {
        let live = source.tally()?;
        if let Some(live) = &live {
            balance.send_replace(Balance::new(live, self.tally));
        }
        let balance = balance.borrow();
        self.outputs.draw(live.as_ref().map(|live| (live, &*balance, &*self.tally)));
        Ok(())
    }

    fn keep(&mut self, batch: &mut Vec<Observation>) {
        let shared: Arc<[Arc<Observation>]> =
            batch.drain(..).filter_map(|o| self.kept(o)).map(Arc::new).collect();
        self.outputs.push(&shared);
        self.history.push(shared.to_vec());
    }

    fn kept(&mut self, observation: Observation) -> Option<Observation> {
        let Observation::Flow(flow) = &observation else {
            return Some(observation);
        };
        if self.filter.matches(flow) {
            self.tally.enter(flow, Fate::Shown);
            return Some(observation);
        }
        self.tally.enter(flow, Fate::Hidden);
        LostEvents::of_rest(flow).map(Observation::Lost)
    }
}

#[cfg(test)]
mod tests;
