//! CPU time while nothing happens.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use super::once::float;
use crate::report::{Figure, Goal, Report};
use crate::sample::Sample;
use crate::tracer::Tracer;

/// How long to look.
const LOOK: Duration = Duration::from_secs(10);

/// `netdrop observe` on a namespace where nobody sends: what else drops on the machine is left out in the kernel.
pub fn measure(bench: &Bench) -> Result<Report> {
    let netns = bench.bed.inode().to_string();
    let tracer = Tracer::start(&bench.observe("netdrop observe", &["--netns", &netns]))?;
    let mut share = Sample::default();
    for _ in 0..bench.repetitions(2) {
        let (start, before) = (Instant::now(), tracer.cpu_ns()?);
        thread::sleep(LOOK);
        let took = float(tracer.cpu_ns()? - before) / 1e9;
        share.push(100.0 * took / start.elapsed().as_secs_f64());
    }
    tracer.stop()?;
    let what = "CPU of an idle netdrop observe";
    Ok(Report {
        figures: vec![Figure::new("idle/cpu", what, "% of a core", Goal::Below(0.2), share)],
        grids: Vec::new(),
    })
}
