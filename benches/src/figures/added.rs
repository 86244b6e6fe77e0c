//! What a tracer adds to each drop, in the kernel: by the CPU time of the flood's core, and by the kernel's own clock of BPF
//! programs. Both beside the floor, in one run: absolute times move with the machine.

use anyhow::Result;
use aya::sys::{Stats, enable_stats};

use super::Bench;
use crate::flood::{Kind, Plan};
use crate::proc::{self, BpfTime};
use crate::report::{Figure, Goal, Grid, Report, Row};
use crate::sample::Sample;
use crate::say;
use crate::talk::number_before;
use crate::tracer::{Spec, Tracer};

/// Flat out, one flow.
const PLAN: Plan = Plan { kind: Kind::Udp, flows: 1, count: 500_000, rate: None };
/// What the others are compared with.
const FLOOR: &str = "floor: a record, no wakeup";
const NETDROP: &str = "netdrop: read, decoded, counted";

/// One tracer, once.
#[derive(Clone, Copy, Debug)]
struct Once {
    rate: f64,
    cpu_ns: f64,
    bpf_ns: Option<f64>,
    tracer_s: Option<f64>,
    lost: Option<f64>,
    memory: Option<f64>,
}

/// The figures.
pub fn measure(bench: &Bench) -> Result<Report> {
    let specs = specs(bench);
    let mut runs: Vec<Vec<Once>> = vec![Vec::new(); specs.len() + 1];
    for n in 0..bench.repetitions(7) {
        say(format_args!("    round {}", n + 1));
        runs[0].push(without(bench)?);
        for (spec, runs) in specs.iter().zip(&mut runs[1..]) {
            runs.push(with(bench, spec)?);
        }
    }
    let mut names = vec!["none"];
    names.extend(specs.iter().map(|spec| spec.name));
    Ok(report(&names, &runs))
}

fn specs(bench: &Bench) -> Vec<Spec> {
    vec![
        bench.part("floor: an empty program", &["floor", "empty"]),
        bench.part(FLOOR, &["floor", "record"]),
        bench.part("floor: a record, a wakeup for each", &["floor", "wakeup"]),
        bench.part(NETDROP, &["count"]),
        bench.observe("netdrop observe", &[]),
        bench.observe("netdrop observe -o json", &["-o", "json"]),
        bench.observe("netdrop observe --netns (of another)", &["--netns", "1"]),
    ]
}

fn without(bench: &Bench) -> Result<Once> {
    let (sent, _) = bench.bed.flood(PLAN)?;
    let cpu_ns = sent.cpu_ns_per_packet();
    Ok(Once { rate: sent.rate(), cpu_ns, bpf_ns: None, tracer_s: None, lost: None, memory: None })
}

/// Two floods: one for the CPU time, and one with the kernel's statistics on, which cost some time themselves.
fn with(bench: &Bench, spec: &Spec) -> Result<Once> {
    let tracer = Tracer::start(spec)?;
    let before = tracer.cpu_ns()?;
    let (sent, dropped) = bench.bed.flood(PLAN)?;
    tracer.settle()?;
    let tracer_ns = tracer.cpu_ns()? - before;
    let memory = proc::memory(tracer.id())?.peak;
    let (bpf, dropped_more) = timed(bench, &tracer)?;
    let talk = tracer.stop()?;
    let lost = number_before(&talk, "lost").map(|lost| 100.0 * f(lost) / f(dropped + dropped_more));
    Ok(Once {
        rate: sent.rate(),
        cpu_ns: sent.cpu_ns_per_packet(),
        bpf_ns: bpf.per_run(),
        tracer_s: Some(f(tracer_ns) / 1e9 * 1e5 / f(dropped)),
        lost,
        memory: Some(f(memory) / 1024.0),
    })
}

fn timed(bench: &Bench, tracer: &Tracer) -> Result<(BpfTime, u64)> {
    // On while this lives; every program of the machine pays alike.
    let statistics = enable_stats(Stats::RunTime)?;
    let before = proc::bpf_time(tracer.id())?;
    let (_, dropped) = bench.bed.flood(PLAN)?;
    let after = proc::bpf_time(tracer.id())?;
    drop(statistics);
    tracer.settle()?;
    Ok((after.since(before), dropped))
}

fn f(n: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let f = n as f64;
    f
}

fn report(names: &[&str], runs: &[Vec<Once>]) -> Report {
    let floor = names.iter().position(|name| *name == FLOOR).unwrap_or(0);
    let added = |tracer: usize| -> Vec<f64> {
        runs[tracer].iter().zip(&runs[0]).map(|(with, without)| with.cpu_ns - without.cpu_ns).collect()
    };
    let floor_added = added(floor);
    let bpf_ratio = |tracer: usize| -> Sample {
        let pairs = runs[tracer].iter().zip(&runs[floor]);
        pairs.filter_map(|(a, b)| Some(a.bpf_ns? / b.bpf_ns?)).collect()
    };
    let rows = names.iter().enumerate().map(|(tracer, name)| {
        let own = |get: fn(&Once) -> Option<f64>| -> Sample { runs[tracer].iter().filter_map(get).collect() };
        let mut cells = vec![own(|r| Some(r.rate)), own(|r| Some(r.cpu_ns))];
        if tracer == 0 {
            cells.resize(cells.len() + 2, Sample::default());
        } else {
            let added = added(tracer);
            let ratio = added.iter().zip(&floor_added).map(|(a, b)| a / b).collect();
            cells.extend([added.into_iter().collect(), ratio]);
        }
        cells.extend([own(|r| r.bpf_ns), bpf_ratio(tracer)]);
        cells.extend([own(|r| r.lost), own(|r| r.tracer_s), own(|r| r.memory)]);
        Row { name: (*name).to_owned(), cells }
    });
    let grid = Grid {
        key: "added",
        title: "What a tracer adds to each drop: one flow, flat out, one core of flood.".to_owned(),
        columns: vec![
            ("rate", "drops/s"),
            ("cpu_ns", "CPU ns each"),
            ("added_ns", "added"),
            ("added_x", "x floor"),
            ("bpf_ns", "BPF ns each"),
            ("bpf_x", "x floor"),
            ("lost", "lost, %"),
            ("tracer_s", "tracer's CPU s per 100,000"),
            ("memory", "peak MiB"),
        ],
        rows: rows.collect(),
    };
    let netdrop = names.iter().position(|name| *name == NETDROP).unwrap_or(0);
    let what = "added to a drop by a full record, by the kernel's clock of BPF programs";
    let figure =
        Figure::new("added/x_floor", what, "x the floor's record", Goal::AtMost(1.3), bpf_ratio(netdrop));
    Report { figures: vec![figure], grids: vec![grid] }
}
