//! The loop between a source and a sink: filter, count, end.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::filter::Compiled;
use crate::flow::{Flow, Observation};
use crate::ledger::{Fate, Ledger};
use crate::sink::Sink;
use crate::source::Source;

/// Without a line for this long, a person wants to know that netdrop is alive.
const SILENCE: Duration = Duration::from_secs(10);
/// After a stop, what is under way comes to its end by itself; a source that tells nothing for so long has lost it.
const DRAIN: Duration = Duration::from_secs(5);

/// When to end by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// After this many flows.
    pub count: Option<u64>,
    /// After this time.
    pub duration: Option<Duration>,
}

/// What became of the observations of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets that came here.
    pub flows: Ledger,
    /// Reported as lost by the source.
    pub lost: u64,
}

/// How the loop went on after one observation.
enum Step {
    Go,
    Enough,
    ReaderGone,
}

/// One run.
pub struct Run<'a, K> {
    filter: &'a Compiled,
    sink: &'a mut K,
    ending: Ending,
    hide_benign: bool,
    tally: Tally,
    /// Observations of flows.
    shown: u64,
}

impl<'a, K: Sink> Run<'a, K> {
    /// Nothing has been shown yet.
    pub fn new(filter: &'a Compiled, sink: &'a mut K, ending: Ending) -> Self {
        Self { filter, sink, ending, hide_benign: false, tally: Tally::default(), shown: 0 }
    }

    /// Whether benign drops are counted and not shown.
    #[must_use]
    pub fn hide_benign(self, hide: bool) -> Self {
        Self { hide_benign: hide, ..self }
    }

    /// Until the source ends, `stop` comes true, the ending is reached or nobody reads any more. `on_silence` is called
    /// after ten seconds without a line.
    pub async fn until_end<S: Source>(
        mut self,
        source: &mut S,
        stop: impl Future<Output = ()>,
        mut on_silence: impl FnMut(&S, &Tally),
    ) -> anyhow::Result<Tally> {
        let mut stop = pin!(stop);
        let mut batch = Vec::new();
        let end = self.ending.duration.map(|d| Instant::now() + d);
        let mut silent_at = Instant::now() + SILENCE;
        let drain = loop {
            tokio::select! {
                biased;
                () = &mut stop => break true,
                () = at(end) => break true,
                () = sleep_until(silent_at) => {
                    on_silence(source, &self.tally);
                    silent_at = Instant::now() + SILENCE;
                }
                more = source.next(&mut batch) => {
                    if !more? {
                        break false;
                    }
                    let before = self.shown;
                    match self.take(&mut batch)? {
                        Step::Go => {}
                        // The rest of the stream is after the end; only its count matters.
                        Step::Enough => break true,
                        Step::ReaderGone => return Ok(self.tally),
                    }
                    if self.shown != before {
                        silent_at = Instant::now() + SILENCE;
                    }
                }
            }
        };
        if drain && source.stop()? {
            self.drain(source, &mut batch).await?;
        }
        ended_quietly(self.sink.finish())?;
        Ok(self.tally)
    }

    /// Takes what was under way when the end came.
    async fn drain<S: Source>(&mut self, source: &mut S, batch: &mut Vec<Observation>) -> anyhow::Result<()> {
        while let Ok(more) = tokio::time::timeout(DRAIN, source.next(batch)).await {
            if !more? {
                break;
            }
            if matches!(self.take(batch)?, Step::ReaderGone) {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, batch: &mut Vec<Observation>) -> anyhow::Result<Step> {
        let mut step = Step::Go;
        for observation in batch.drain(..) {
            let written = self.one(&observation);
            if ended_quietly(written)? {
                return Ok(Step::ReaderGone);
            }
            if self.ending.count.is_some_and(|most| self.shown >= most) {
                step = Step::Enough;
            }
        }
        if ended_quietly(self.sink.flush())? {
            return Ok(Step::ReaderGone);
        }
        Ok(step)
    }

    fn one(&mut self, observation: &Observation) -> io::Result<()> {
        match observation {
            Observation::Flow(flow) => {
                let fate = if !self.filter.matches(flow) {
                    return self.turned_away(flow);
                } else if self.hide_benign && flow.benign {
                    Fate::Benign
                } else if self.ending.count.is_some_and(|most| self.shown >= most) {
                    Fate::AfterEnd
                } else {
                    Fate::Shown
                };
                self.tally.flows.enter(flow, fate);
                match fate {
                    Fate::Shown => {
                        self.shown += 1;
                        self.sink.write(observation)
                    }
                    _ => Ok(()),
                }
            }
            Observation::Lost(lost) => {
                self.tally.lost += lost.count;
                self.sink.write(observation)
            }
            Observation::Status(_) => self.sink.write(observation),
        }
    }

    fn turned_away(&mut self, flow: &Flow) -> io::Result<()> {
        let Some(lost) = self.filter.undecided(flow) else {
            self.tally.flows.enter(flow, Fate::Hidden);
            return Ok(());
        };
        self.tally.flows.enter(flow, Fate::Undecided);
        self.sink.write(&Observation::Lost(lost))
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Whether the reader of our output has gone: that is an end, not an error.
fn ended_quietly(result: io::Result<()>) -> anyhow::Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(e) => Err(anyhow::Error::new(e).context("cannot write the output")),
    }
}
