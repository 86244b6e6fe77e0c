//! The agent: one source, an in-memory history, a server for many clients and a log feed.

mod arrivals;
mod authority;
mod call;
mod connection;
pub mod doors;
mod encoded;
mod events;
pub mod feed;
mod history;
mod limits;
mod mask;
pub mod metrics;
mod namespaces;
mod outputs;
mod places;
pub mod problems;
mod query;
pub(crate) mod reflection;
mod request;
pub(crate) mod server;
mod service;
mod socket;
mod stream;
pub mod systemd;
pub mod tls;
mod validity;
pub(crate) mod web;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::balance::Balance;
use crate::filter::Compiled;
use crate::flow::Observation;
use crate::ledger::{Fate, Ledger};
use crate::relay::{PeerService, peers};
use crate::source::Source;
use doors::{Door, Doors};
use feed::FeedReport;
use namespaces::Namespaces;
use service::ObserverService;
use systemd::Notifier;

pub use encoded::Encoded;
pub use events::AgentEvents;
pub(crate) use history::take_folder;
pub use history::{
    Chunk, Counts, DiskStatus, History, HistoryDisk, HistorySize, HistoryStatus, Missed, Position, Reader,
    Selection,
};
pub use limits::Limits;
pub(crate) use limits::MAX_REQUEST;
pub use outputs::Outputs;
pub use query::Query;
pub use request::examine;
pub use socket::DEFAULT_SOCKET;
pub use stream::answer;

/// How often the sums are drawn for status and metrics.
const BALANCE_TICK: Duration = Duration::from_secs(1);
/// A source that tells nothing for so long after a stop has lost what was under way.
const DRAIN: Duration = Duration::from_secs(2);

/// How to run.
#[derive(Debug)]
pub struct AgentConfig {
    /// Where the server is reached.
    pub doors: Doors,
    /// What its clients may take.
    pub limits: Limits,
    /// systemd, if it wants to know how the agent is.
    pub systemd: Notifier,
    /// How much the history keeps.
    pub history: HistorySize,
    /// Where it is kept on disk; `None`: in memory only.
    pub history_disk: Option<HistoryDisk>,
    /// This node's name, where it has one.
    pub node_name: Option<Arc<str>>,
    /// This agent and those of other nodes, as its peer service tells.
    pub peers: peers::Source,
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
    let history = match &config.history_disk {
        Some(disk) => History::on_disk(config.history, disk)?,
        None => Arc::new(History::new(config.history)),
    };
    let (stopping, stopped) = watch::channel(false);
    let (balance, balances) = watch::channel(Balance::default());
    let Doors { all: doors, file, metrics: port } = config.doors;
    let tls = doors.iter().find_map(|door| door.tls.clone());
    let metrics = outputs.serve(port, tls, &history, &stopped)?;
    let namespaces = Arc::new(Namespaces::new(Instant::now()));
    let observer = ObserverService::new(
        Arc::clone(&history),
        Arc::clone(&namespaces),
        (Arc::clone(&outputs.events), config.node_name.clone()),
        balances,
        stopped.clone(),
    );
    let peers = PeerService::new(config.peers.peers.clone(), stopped.clone());
    let (routes, health) = server::services(observer, peers).await?;
    doors.iter().for_each(Door::announce);
    let telling = tokio::spawn(outputs.clone().tell_events(config.node_name.clone()));
    let server = server::serve(doors, &routes, health, config.limits, stopped);
    outputs.events.started(Timestamp::now());
    config.systemd.ready();
    let mut tally = AgentTally::default();
    let mut keeper = Keeper {
        filter: &config.filter,
        history: &history,
        namespaces: &namespaces,
        outputs: &outputs,
        tally: &mut tally.flows,
        server: &server,
        systemd: &config.systemd,
    };
    let result = keeper.pump(source, &balance, stop).await;
    config.systemd.stopping();
    telling.abort();
    stopping.send_replace(true);
    let served = server.await.context("the server task failed");
    if let Some(metrics) = metrics {
        metrics.finish().await?;
    }
    drop(file);
    history.finish();
    tally.feeds = outputs.finish().await;
    result?;
    served?;
    Ok(tally)
}

/// What takes observations from the source.
struct Keeper<'a> {
    filter: &'a Compiled,
    history: &'a History,
    namespaces: &'a Namespaces,
    outputs: &'a Outputs,
    tally: &'a mut Ledger,
    server: &'a JoinHandle<()>,
    systemd: &'a Notifier,
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
        let every = self.systemd.interval().map_or(BALANCE_TICK, |watchdog| watchdog.min(BALANCE_TICK));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = tick.tick() => {
                    self.draw_balance(source, balance)?;
                    self.report(balance)?;
                }
                more = source.next(&mut batch) => {
                    anyhow::ensure!(more?, "capture has ended by itself");
                    self.keep(&mut batch);
                }
            }
        }
        if source.stop()? {
            // What was under way is still told, and ends by itself: within the second that a clean stop may take, unless the
            // machine is busy.
            while let Ok(more) = tokio::time::timeout(DRAIN, source.next(&mut batch)).await {
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

    /// Says that capture, its counters and the server are alive: whoever gets here has just had to do with all three.
    fn report(&self, balance: &watch::Sender<Balance>) -> anyhow::Result<()> {
        anyhow::ensure!(!self.server.is_finished(), "the gRPC server has ended by itself");
        self.systemd.alive();
        self.systemd.status(|| balance.borrow().in_a_line());
        Ok(())
    }

    fn keep(&mut self, batch: &mut Vec<Observation>) {
        let shared: Arc<[Arc<Observation>]> =
            batch.drain(..).filter_map(|o| self.kept(o)).map(Arc::new).collect();
        self.outputs.push(&shared);
        let flows = shared.iter().filter_map(|o| match &**o {
            Observation::Flow(flow) => Some(flow),
            _ => None,
        });
        self.namespaces.see(flows, Instant::now());
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
        let undecided = self.filter.undecided(flow);
        self.tally.enter(flow, if undecided.is_some() { Fate::Undecided } else { Fate::Hidden });
        undecided.map(Observation::Lost)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_arrivals;
#[cfg(test)]
mod tests_authority;
#[cfg(test)]
mod tests_follow;
#[cfg(test)]
mod tests_limits;
#[cfg(test)]
mod tests_raw;
#[cfg(test)]
mod tests_service;
#[cfg(test)]
mod tests_shares;
#[cfg(test)]
mod tests_tls;
