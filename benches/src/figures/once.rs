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

    /// What the tracer says that it lost.
    pub fn lost(&self) -> Result<u64> {
        number_before(&self.talk, "lost")
            .with_context(|| format!("it does not say what it lost:\n{}", self.talk))
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
