//! The agent: one source, an in-memory history, a server for many clients and a log feed.

mod encoded;
mod feed;
mod feeder;
mod history;
mod metrics;
mod query;
mod server;
mod service;
mod socket;
mod stream;

use std::io::Write;
use std::net::SocketAddr;
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
use feeder::Feeder;

pub use encoded::Encoded;
pub use feed::{Feed, FeedTally};
pub use history::{
    Chunk, Counts, DiskStatus, History, HistoryDisk, HistorySize, HistoryStatus, Missed, Position, Reader,
    Selection,
};
pub use query::Query;
pub use socket::DEFAULT_SOCKET;

/// How often the sums are drawn for status and metrics.
const BALANCE_TICK: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Unix socket of the server.
    pub socket_path: PathBuf,
    /// How much the history keeps.
    pub history: HistorySize,
    /// Where it is kept on disk; `None`: in memory only.
    pub history_disk: Option<HistoryDisk>,
    /// Where to serve metrics; `None`: nowhere.
    pub metrics_address: Option<SocketAddr>,
    /// Lines a second on stdout; 0: no feed.
    pub log_rate: u32,
    /// What is kept and shown at all.
    pub filter: Compiled,
}

/// What became of the observations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentTally {
    /// Packets: shown is what was kept in the history.
    pub flows: Ledger,
    /// Lines of the feed; `None`: nobody took its last ones.
    pub feed: Option<FeedTally>,
}

/// Runs until `stop` comes true. The source ending by itself is an error: an agent that sees nothing must not look healthy.
pub async fn run<S: Source>(
    source: &mut S,
    config: AgentConfig,
    feed_to: impl Write + Send + 'static,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<AgentTally> {
    let history = match &config.history_disk {
        Some(disk) => History::on_disk(config.history, disk)?,
        None => Arc::new(History::new(config.history)),
    };
    let (stopping, stopped) = watch::channel(false);
    let (balance, balances) = watch::channel(Balance::default());
    let metrics = match config.metrics_address {
        Some(address) => Some(metrics::serve(address, balances.clone(), stopped.clone()).await?),
        None => None,
    };
    let socket = socket::bind(&config.socket_path)?;
    let server = tokio::spawn(server::serve(socket, Arc::clone(&history), balances, stopped));
    let mut feed = Feeder::start(feed_to, config.log_rate).context("cannot start the log feed")?;
    let mut tally = AgentTally::default();
    let mut keeper =
        Keeper { filter: &config.filter, history: &history, feed: &mut feed, tally: &mut tally.flows };
    let result = keeper.pump(source, &balance, stop).await;
    stopping.send_replace(true);
    let served = server.await.context("the server task failed");
    if let Some(metrics) = metrics {
        metrics.await.context("the metrics task failed")??;
    }
    socket::remove(&config.socket_path);
    history.finish();
    let fed = feed.finish().await;
    result?;
    tally.feed = fed.context("cannot write the log feed")?;
    served??;
    Ok(tally)
}

/// What takes observations from the source.
struct Keeper<'a> {
    filter: &'a Compiled,
    history: &'a History,
    feed: &'a mut Feeder,
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
                    self.keep(&mut batch)?;
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
                self.keep(&mut batch)?;
            }
        }
        self.draw_balance(source, balance)
    }

    fn draw_balance<S: Source>(&self, source: &S, balance: &watch::Sender<Balance>) -> anyhow::Result<()> {
        if let Some(live) = source.tally()? {
            balance.send_replace(Balance::new(&live, self.tally));
        }
        Ok(())
    }

    fn keep(&mut self, batch: &mut Vec<Observation>) -> anyhow::Result<()> {
        let shared: Vec<Arc<Observation>> =
            batch.drain(..).filter_map(|o| self.kept(o)).map(Arc::new).collect();
        self.feed.push(&shared).context("cannot write the log feed")?;
        self.history.push(shared);
        Ok(())
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
