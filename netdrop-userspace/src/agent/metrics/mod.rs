//! Metrics for Prometheus: Hubble's own, by its names and options, and netdrop's.
//!
//! A drop costs a look-up and an addition here: texts are made when a series is, and when somebody asks.

mod context;
mod family;
mod http;
mod hubble;
mod own;
mod page;
mod spec;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::balance::Balance;
use crate::enrich::Names;
use crate::filter::FilterError;
use crate::flow::{Endpoint, Flow, LostSource, Observation};
use crate::ledger::Ledger;
use crate::source::LiveTally;
use hubble::Handler;
use own::Drawn;
pub(crate) use page::{Format, Number, Page, level, values};

pub use context::{Context, ContextError};
pub use http::{Server, serve};
pub use own::HistoryLevel;
pub(crate) use spec::nearest;
pub use spec::{Kind, MetricError, MetricSpec};

use super::events::AgentEvents;
use super::feed::Feeds;
use super::tls::Tls;

/// Series that one metric may have, by default.
pub const DEFAULT_MOST: usize = 10_000;
/// Capture that says nothing for so long is not well: it says something every second.
const SILENCE: Duration = Duration::from_secs(5);
/// For so long there is still hope.
const HOPE: Duration = Duration::from_mins(1);

/// All counters; clones share them.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    handlers: Vec<Handler>,
    most: usize,
    /// By [`LostSource`].
    lost: [u64; 4],
    /// Addresses that nobody knows: of sources, of destinations.
    misses: [u64; 2],
    drawn: Drawn,
    heard: Option<Instant>,
}

/// How the agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// The hook is attached, its records are read.
    Ready,
    /// Not yet, or not for a while.
    Waiting(Duration),
    /// Nothing has come from capture for so long that it will not come back.
    Dead(Duration),
}

impl Metrics {
    /// Counts these, each with so many series at most.
    pub fn new(specs: &[MetricSpec], most: usize) -> Result<Self, FilterError> {
        let metrics = Self::default();
        metrics.lock().most = most;
        metrics.replace(specs)?;
        Ok(metrics)
    }

    /// A panic elsewhere leaves the counters whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts these from now on; one that stays as it is goes on.
    pub fn replace(&self, specs: &[MetricSpec]) -> Result<(), FilterError> {
        let mut state = self.lock();
        let most = state.most;
        let mut fresh = Vec::new();
        for spec in specs {
            let is_new = !state.handlers.iter().any(|h| h.spec == *spec);
            fresh.push(is_new.then(|| Handler::new(spec.clone(), most)).transpose()?);
        }
        let mut before = std::mem::take(&mut state.handlers);
        let old = |before: &mut Vec<Handler>, spec: &MetricSpec| {
            before.iter().position(|h| h.spec == *spec).map(|at| before.swap_remove(at))
        };
        state.handlers = specs
            .iter()
            .zip(fresh)
            .filter_map(|(spec, new)| new.or_else(|| old(&mut before, spec)))
            .collect();
        Ok(())
    }

    /// Counts a batch.
    pub fn observe(&self, batch: &[Arc<Observation>]) {
        let mut state = self.lock();
        for observation in batch {
            match &**observation {
                Observation::Flow(flow) => state.flow(flow),
                Observation::Lost(lost) => state.lost[lost.source as usize % 4] += lost.count,
                Observation::Status(_) => {}
            }
        }
    }

    /// Capture lives, and has counted this; called every second.
    pub fn draw(&self, sums: Option<(&LiveTally, &Balance, &Ledger)>) {
        let drawn = sums.map(|(live, balance, flows)| Drawn::new(live, balance, flows));
        let mut state = self.lock();
        state.heard = Some(Instant::now());
        if let Some(drawn) = drawn {
            state.drawn = drawn;
        }
    }

    pub(super) fn health(&self) -> Health {
        let silent = self.lock().heard.map(|at| at.elapsed());
        match silent {
            Some(silent) if silent < SILENCE => Health::Ready,
            Some(silent) if silent >= HOPE => Health::Dead(silent),
            silent => Health::Waiting(silent.unwrap_or_default()),
        }
    }

    /// Removes the series of pods that are no more. Names keep a pod for a minute after its end, and so do its series.
    pub fn forget_pods(&self, names: &Names, now: Timestamp) {
        if !self.lock().handlers.iter().any(|h| h.family.names_pods()) {
            return;
        }
        let there = names.known_pods(now);
        for handler in &mut self.lock().handlers {
            if handler.family.names_pods() {
                handler.family.keep_pods(&there);
            }
        }
    }

    /// All that is told at this moment.
    fn page(&self, about: &About) -> Page {
        let mut page = Page::default();
        own::build(&mut page);
        let (drawn, misses) = {
            let state = self.lock();
            state.hubble(&mut page);
            (state.drawn.clone(), state.misses)
        };
        own::drops(&drawn, &mut page);
        own::history((about.history)(), &mut page);
        own::feeds(&about.feeds, &mut page);
        if let Some(tls) = &about.tls {
            own::certificates(tls.expires(), &mut page);
        }
        own::events(&about.events.counts(), &mut page);
        if let Some(names) = &about.names {
            own::names(&names.status(), misses, &mut page);
        }
        page
    }
}

/// What else is told of.
#[derive(Clone)]
pub struct About {
    /// Log feeds.
    pub feeds: Feeds,
    /// Names; `None`: there are none.
    pub names: Option<Names>,
    /// Certificates; `None`: there are none.
    pub tls: Option<Tls>,
    /// What happened to the agent.
    pub events: Arc<AgentEvents>,
    /// The history.
    pub history: Arc<dyn Fn() -> HistoryLevel + Send + Sync>,
}

impl State {
    fn flow(&mut self, flow: &Flow) {
        for handler in &mut self.handlers {
            handler.add(flow);
        }
        if flow.packet.ip.is_some() {
            for (misses, end) in self.misses.iter_mut().zip([&flow.source, &flow.destination]) {
                if is_unknown(end) {
                    *misses += flow.tally.count;
                }
            }
        }
    }

    fn hubble(&self, page: &mut Page) {
        let (mut series, mut overflows) = (Vec::new(), Vec::new());
        for Handler { spec, family, .. } in &self.handlers {
            if matches!(spec.kind, Kind::Unseen(_)) {
                continue;
            }
            let rows = family.snapshot();
            series.push((values([family.name]), page::level(rows.len())));
            overflows.push((values([family.name]), Number::Count(family.overflowed())));
            let rows = rows.into_iter().map(|(labels, count)| (labels, Number::Count(count))).collect();
            page.add(family.name, family.help, &family.names, rows);
        }
        let lost =
            [LostSource::PerfEventRingBuffer, LostSource::ObserverEventsQueue, LostSource::HubbleRingBuffer]
                .map(|s| {
                    (values([&s.name().to_ascii_lowercase()]), Number::Count(self.lost[s as usize % 4]))
                });
        page.add("hubble_lost_events", "Number of lost events", &["source"], lost.into());
        page.add("netdrop_metrics_series", "Series of a metric", &["metric"], series);
        page.add(
            "netdrop_metrics_overflow",
            "Drops counted in series that say overflow, as there were too many",
            &["metric"],
            overflows,
        );
    }
}

fn is_unknown(end: &Endpoint) -> bool {
    end.info.is_none() && end.identity == crate::flow::Identity::UNKNOWN
}

#[cfg(test)]
mod load_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
