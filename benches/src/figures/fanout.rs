//! How much of a flood netdrop reads, decodes and counts, and what that costs, without and with a line of JSON for each drop.

use std::fs;

use anyhow::Result;

use super::Bench;
use super::once::{Once, float};
use crate::flood::{Kind, Plan};
use crate::report::{Figure, Goal, Report};
use crate::sample::Sample;
use crate::talk::number_before;
use crate::tracer::{Out, Spec};

const ROUNDS: usize = 3;
const PACKETS: u64 = 1_000_000;
/// What a line each should keep up with, in a second.
const LINES: f64 = 400_000.0;
/// Rates at which it is tried, after flat out.
const LADDER: &[u32] = &[400_000, 350_000, 300_000, 250_000, 200_000, 150_000, 100_000, 50_000];

fn plan(rate: Option<u32>) -> Plan {
    Plan { kind: Kind::Udp, flows: 1000, count: PACKETS, rate }
}

/// Up to a fan-out: nothing is printed.
pub fn fan_out(bench: &Bench) -> Result<Report> {
    let spec = bench.part("netdrop: read, decoded, counted", &["count"]);
    let (mut lost, mut aggregated) = (Sample::default(), Sample::default());
    let (mut cost, mut rates) = (Sample::default(), Sample::default());
    for _ in 0..bench.repetitions(ROUNDS) {
        let once = Once::run(bench, &spec, plan(None))?;
        lost.push(float(once.said("lost")?));
        aggregated.push(float(once.said("aggregated")?));
        cost.push(once.shown_s()?);
        rates.push(once.sent.rate());
    }
    let figures = vec![
        Figure::new("fanout/rate", "flat out, one core of flood: sent and dropped", "1/s", Goal::None, rates),
        Figure::new("fanout/lost", "of these, read, decoded and counted: lost", "", Goal::AtMost(0.0), lost),
        Figure::new(
            "fanout/aggregated",
            "of these, only added up, as the ring buffer was filling",
            "",
            Goal::AtMost(0.0),
            aggregated,
        ),
        Figure::new("fanout/cpu", "CPU for 100,000 drops, up to a fan-out", "s", Goal::AtMost(0.03), cost),
    ];
    Ok(Report { figures, grids: Vec::new() })
}

/// A line of JSON for each drop, to a file.
pub fn json(bench: &Bench) -> Result<Report> {
    let file = bench.dir.path().join("lines");
    let mut args = vec!["-o", "json"];
    args.extend(bench.each_a_line());
    let spec = bench.observe("netdrop observe -o json", &args).to(Out::File(file.clone()));
    let (mut rates, mut cost, mut unaccounted) = (Sample::default(), Sample::default(), Sample::default());
    let mut flat_out = Sample::default();
    for _ in 0..bench.repetitions(ROUNDS) {
        let (first, rest) = lossless(bench, &spec)?;
        flat_out.push(first.sent.rate());
        cost.push(first.shown_s()?);
        unaccounted.push(missing(&first));
        rates.push(rest);
    }
    fs::remove_file(&file)?;
    let reached = flat_out.summary().map_or(LINES, |s| s.median);
    let figures = vec![
        Figure::new(
            "json/lossless",
            "highest rate with a JSON line for each drop in a file, none lost or only added up (the goal is 400,000 or all the flood reaches)",
            "1/s",
            Goal::AtLeast(LINES.min(reached)),
            rates,
        ),
        Figure::new("json/cpu", "CPU for 100,000 JSON lines", "s", Goal::AtMost(0.1), cost),
        Figure::new(
            "json/unaccounted",
            "flat out, as JSON lines: drops neither shown, nor added up, nor told as lost",
            "",
            Goal::AtMost(0.0),
            unaccounted,
        ),
    ];
    Ok(Report { figures, grids: Vec::new() })
}

/// Flat out; and the highest rate of which nothing is lost, 0 if there is none.
fn lossless(bench: &Bench, spec: &Spec) -> Result<(Once, f64)> {
    let first = Once::run(bench, spec, plan(None))?;
    if first.not_recorded()? == 0 {
        let rate = first.sent.rate();
        return Ok((first, rate));
    }
    for rate in LADDER {
        if f64::from(*rate) > first.sent.rate() {
            continue;
        }
        let once = Once::run(bench, spec, plan(Some(*rate)))?;
        if once.not_recorded()? == 0 {
            return Ok((first, once.sent.rate()));
        }
    }
    Ok((first, 0.0))
}

/// Drops of the rule that the end line does not tell of. Others on the machine may add to what it tells.
fn missing(once: &Once) -> f64 {
    let told = |word| number_before(&once.talk, word).unwrap_or(0);
    float(once.dropped.saturating_sub(told("shown") + told("lost") + told("aggregated")))
}
