//! The agent: one source, an in-memory history, a server for many clients and a log feed.

mod feed;
mod feeder;
mod history;
mod server;
mod service;
mod socket;

use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use crate::filter::Compiled;
use crate::flow::Observation;
use crate::source::Source;
use feeder::Feeder;

pub use feed::{Feed, FeedTally};
pub use history::{Batch, History, Reader};
pub use socket::DEFAULT_SOCKET;

/// How to run.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Unix socket of the server.
    pub socket_path: PathBuf,
    /// Observations in the history.
    pub capacity: usize,
    /// Lines a second on stdout; 0: no feed.
    pub log_rate: u32,
    /// What is kept and shown at all.
    pub filter: Compiled,
}

/// What became of the observations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentTally {
    /// Flows kept in the history.
    pub seen: u64,
    /// Flows that the agent's own filter turned away.
    pub hidden: u64,
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
    let history = Arc::new(History::new(config.capacity));
    let (stopping, stopped) = watch::channel(false);
    let server =
        tokio::spawn(server::serve(socket::bind(&config.socket_path)?, Arc::clone(&history), stopped));
    let mut feed = Feeder::start(feed_to, config.log_rate).context("cannot start the log feed")?;
    let mut tally = AgentTally::default();
    let result = pump(source, &config.filter, &history, &mut feed, &mut tally, stop).await;
    stopping.send_replace(true);
    let served = server.await.context("the server task failed");
    socket::remove(&config.socket_path);
    let fed = feed.finish().await;
    result?;
    tally.feed = fed.context("cannot write the log feed")?;
    served??;
    Ok(tally)
}

async fn pump<S: Source>(
    source: &mut S,
    filter: &Compiled,
    history: &History,
    feed: &mut Feeder,
    tally: &mut AgentTally,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut stop = pin!(stop);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            more = source.next(&mut batch) => {
                anyhow::ensure!(more?, "capture has ended by itself");
                keep(&mut batch, filter, history, feed, tally)?;
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
            keep(&mut batch, filter, history, feed, tally)?;
        }
    }
    Ok(())
}

fn keep(
    batch: &mut Vec<Observation>,
    filter: &Compiled,
    history: &History,
    feed: &mut Feeder,
    tally: &mut AgentTally,
) -> anyhow::Result<()> {
    batch.retain(|o| match o {
        Observation::Flow(f) if !filter.matches(f) => {
            tally.hidden += f.tally.count;
            false
        }
        Observation::Flow(f) => {
            tally.seen += f.tally.count;
            true
        }
        _ => true,
    });
    let shared: Vec<Arc<Observation>> = batch.drain(..).map(Arc::new).collect();
    feed.push(&shared).context("cannot write the log feed")?;
    history.push(shared);
    Ok(())
}

#[cfg(test)]
mod tests;
