//! One tracer and one flood.

use anyhow::{Context as _, Result};

use super::Bench;
use crate::flood::{Plan, Sent};
use crate::proc::{self, Memory};
use crate::talk::number_before;
use crate::tracer::{Spec, Tracer};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Once {
    /// What it took to send.
    pub sent: Sent,
    /// How many the rule dropped.
    pub dropped: u64,
    /// CPU time of the tracer, from the first packet until it was quiet again, ns.
    pub tracer_ns: u64,
    /// The tracer's memory after that.
    pub memory: Memory,
    /// All that the tracer has said.
    pub talk: String,
}

impl Once {
    /// Starts a tracer, floods, waits until it is quiet, stops it.
    pub fn run(bench: &Bench, spec: &Spec, plan: Plan) -> Result<Self> {
        let tracer = Tracer::start(spec)?;
        let mut once = Self::flood(bench, &tracer, plan).with_context(|| spec.name.to_owned())?;
        once.talk = tracer.stop()?;
        Ok(once)
    }

    /// Floods while a tracer runs, and waits until it is quiet.
    pub fn flood(bench: &Bench, tracer: &Tracer, plan: Plan) -> Result<Self> {
        let before = tracer.cpu_ns()?;
        let (sent, dropped) = bench.bed.flood(plan)?;
        tracer.settle()?;
        let tracer_ns = tracer.cpu_ns()? - before;
        Ok(Self { sent, dropped, tracer_ns, memory: proc::memory(tracer.id())?, talk: String::new() })
    }

    /// The number that the tracer, at its end, told of a word: drops `shown`, `aggregated`, `lost`.
    pub fn said(&self, word: &str) -> Result<u64> {
        number_before(&self.talk, word)
            .with_context(|| format!("it does not say how many were {word}:\n{}", self.talk))
    }

    /// Drops that did not become a record each.
    pub fn not_recorded(&self) -> Result<u64> {
        Ok(self.said("lost")? + self.said("aggregated")?)
    }

    /// CPU seconds of the tracer for 100,000 that it showed one by one.
    pub fn shown_s(&self) -> Result<f64> {
        Ok(float(self.tracer_ns) / 1e9 * 1e5 / float(self.said("shown")?))
    }

    /// CPU seconds of the tracer for 100,000 drops.
    pub fn tracer_s(&self) -> f64 {
        float(self.tracer_ns) / 1e9 * 1e5 / float(self.dropped)
    }
}

/// A count as a number to reckon with.
pub fn float(n: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let f = n as f64;
    f
}
