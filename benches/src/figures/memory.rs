//! Resident memory, idle and through ten million drops of many flows.

use anyhow::Result;

use super::Bench;
use super::once::{Once, float};
use crate::flood::{Kind, Plan};
use crate::proc::{self, Memory};
use crate::report::{Figure, Goal, Report};
use crate::sample::Sample;
use crate::tracer::Tracer;

/// Floods in a row, and packets of each.
const FLOODS: u64 = 4;
const PACKETS: u64 = 2_500_000;
const FLOWS: u32 = 100_000;
/// MB.
const MOST: f64 = 40.0;

/// The figures, of one `netdrop observe`.
pub fn measure(bench: &Bench) -> Result<Report> {
    let tracer = Tracer::start(&bench.observe("netdrop observe", &[]))?;
    let idle = proc::memory(tracer.id())?;
    let count = if bench.quick { PACKETS / 10 } else { PACKETS };
    let mut after = Vec::new();
    for _ in 0..FLOODS {
        let plan = Plan { kind: Kind::Udp, flows: FLOWS, count, rate: None };
        after.push(Once::flood(bench, &tracer, plan)?.memory);
    }
    tracer.stop()?;
    let (first, last) = (after.first().copied().unwrap_or(idle), after.last().copied().unwrap_or(idle));
    let figure =
        |key, what: &str, goal, value| Figure::new(key, what, "MB", goal, Sample::from_iter([value]));
    let drops = float(count * FLOODS);
    let what = format!("most memory through {} drops of {FLOWS} flows (VmHWM)", crate::sample::Number(drops));
    let figures = vec![
        figure("memory/idle", "memory before the first drop (VmRSS)", Goal::AtMost(MOST), mb(idle.now)),
        figure("memory/peak", &what, Goal::AtMost(MOST), mb(last.peak)),
        figure("memory/after", "memory after them (VmRSS)", Goal::AtMost(MOST), mb(last.now)),
        figure(
            "memory/growth",
            "growth from the first quarter of them to the last",
            Goal::AtMost(1.0),
            growth(first, last),
        ),
    ];
    Ok(Report { figures, grids: Vec::new() })
}

fn mb(kib: u64) -> f64 {
    float(kib) * 1024.0 / 1e6
}

fn growth(first: Memory, last: Memory) -> f64 {
    mb(last.now) - mb(first.now)
}
