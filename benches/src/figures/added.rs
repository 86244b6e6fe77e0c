//! What a tracer adds to each drop, in the kernel: by the CPU time of the flood's core, and by the kernel's own clock of BPF
//! programs. Both beside the floor, in one run: absolute times move with the machine.

use anyhow::Result;
use aya::sys::{Stats, enable_stats};

use super::once::{Once, float};
use super::{Bench, peers};
use crate::flood::{Kind, Plan};
use crate::proc;
use crate::report::{Figure, Goal, Grid, Report, Row};
use crate::sample::Sample;
use crate::say;
use crate::talk::number_before;
use crate::tracer::{Spec, Tracer};

/// How often each is measured; the slow ones [`SLOW`] times.
const ROUNDS: usize = 7;
const SLOW: usize = 3;
/// What the others are compared with.
const FLOOR: &str = "floor: a record, no wakeup";
const NETDROP: &str = "netdrop: read, decoded, counted";

/// One tracer, to be compared.
struct Candidate {
    spec: Spec,
    rounds: usize,
    /// Packets in each flood.
    count: u64,
    /// Where it does not say what it lost: what comes after the number of drops that it had.
    had: Option<&'static str>,
}

/// What was measured of it, round by round.
#[derive(Clone, Debug, Default)]
struct Measured {
    rate: Vec<f64>,
    cpu_ns: Vec<f64>,
    /// Empty where the tracer has no BPF program.
    bpf_ns: Vec<f64>,
    tracer_s: Vec<f64>,
    lost: Vec<f64>,
    memory: Vec<f64>,
}

/// The figures.
pub fn measure(bench: &Bench) -> Result<Report> {
    let candidates = candidates(bench);
    let mut none = Measured::default();
    let mut measured = vec![Measured::default(); candidates.len()];
    for round in 0..bench.repetitions(ROUNDS) {
        say(format_args!("    round {}", round + 1));
        let (sent, _) = bench.bed.flood(plan(300_000))?;
        none.rate.push(sent.rate());
        none.cpu_ns.push(sent.cpu_ns_per_packet());
        for (candidate, measured) in candidates.iter().zip(&mut measured) {
            if round < candidate.rounds {
                measured.add(bench, candidate)?;
            }
        }
    }
    let names: Vec<&str> = candidates.iter().map(|c| c.spec.name).collect();
    Ok(report(&none, &names, &measured))
}

fn candidates(bench: &Bench) -> Vec<Candidate> {
    let usual = |spec| Candidate { spec, rounds: ROUNDS, count: 300_000, had: None };
    let slow = |spec, count| Candidate { spec, rounds: SLOW, count, had: None };
    let json: Vec<&str> = ["-o", "json"].iter().chain(bench.each_a_line()).copied().collect();
    let mut candidates = vec![
        usual(bench.part("floor: an empty program", &["floor", "empty"])),
        usual(bench.part(FLOOR, &["floor", "record"])),
        usual(bench.part(NETDROP, &["count"])),
        usual(bench.observe("netdrop observe --netns OTHER", &["--netns", "1"])),
        slow(bench.observe("netdrop observe", &[]), 300_000),
        slow(bench.observe("netdrop observe -o json, each a line", &json), 300_000),
        slow(bench.part("floor: a record, a wakeup each", &["floor", "wakeup"]), 50_000),
    ];
    let peers = [(peers::perf(bench), Some("samples")), (peers::bpftrace(), None)];
    let usable = peers.into_iter().filter_map(|(spec, had)| Some((spec.filter(starts)?, had)));
    candidates.extend(usable.map(|(spec, had)| Candidate { had, ..slow(spec, 300_000) }));
    candidates
}

/// Whether a peer works here; if not, why it is left out.
fn starts(peer: &Spec) -> bool {
    match Tracer::start(peer).and_then(Tracer::stop) {
        Ok(_) => true,
        Err(e) => {
            let why = format!("{e:#}");
            say(format_args!(
                "    without {}: {}",
                peer.name,
                why.trim_end().lines().next_back().unwrap_or_default()
            ));
            false
        }
    }
}

/// Flat out, one flow.
fn plan(count: u64) -> Plan {
    Plan { kind: Kind::Udp, flows: 1, count, rate: None }
}

impl Measured {
    /// Two floods: one for the CPU time, and one with the kernel's statistics on, which cost some time themselves.
    fn add(&mut self, bench: &Bench, candidate: &Candidate) -> Result<()> {
        let tracer = Tracer::start(&candidate.spec)?;
        let once = Once::flood(bench, &tracer, plan(candidate.count))?;
        self.rate.push(once.sent.rate());
        self.cpu_ns.push(once.sent.cpu_ns_per_packet());
        self.tracer_s.push(once.tracer_s());
        self.memory.push(float(once.memory.peak) * 1024.0 / 1e6);
        // On while this lives; every program of the machine pays alike.
        let statistics = enable_stats(Stats::RunTime)?;
        let before = proc::bpf_time(tracer.id())?;
        let (_, dropped) = bench.bed.flood(plan(candidate.count))?;
        let took = proc::bpf_time(tracer.id())?.since(before);
        drop(statistics);
        self.bpf_ns.extend(took.per_run());
        tracer.settle()?;
        let talk = tracer.stop()?;
        let all = once.dropped + dropped;
        let lost = match candidate.had {
            Some(word) => number_before(&talk, word).map(|had| all.saturating_sub(had)),
            None => number_before(&talk, "lost"),
        };
        self.lost.extend(lost.map(|lost| 100.0 * float(lost) / float(all)));
        Ok(())
    }
}

/// Round by round, since two of one round had the same machine.
fn ratio(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a / b).collect()
}

fn added(with: &Measured, none: &Measured) -> Vec<f64> {
    with.cpu_ns.iter().zip(&none.cpu_ns).map(|(with, without)| with - without).collect()
}

fn report(none: &Measured, names: &[&str], measured: &[Measured]) -> Report {
    let of = |name| names.iter().position(|n| *n == name).and_then(|n| measured.get(n)).unwrap_or(none);
    let floor = of(FLOOR);
    let row = |name: &str, m: &Measured| {
        let added = added(m, none);
        let times = ratio(&added, &self::added(floor, none));
        let bpf_times = ratio(&m.bpf_ns, &floor.bpf_ns);
        let cells =
            [&m.rate, &m.cpu_ns, &added, &times, &m.bpf_ns, &bpf_times, &m.lost, &m.tracer_s, &m.memory];
        Row { name: name.to_owned(), cells: cells.map(|values| values.iter().copied().collect()).to_vec() }
    };
    let mut first = row("none", none);
    first.cells[2..].fill(Sample::default());
    let others = names.iter().zip(measured).map(|(name, measured)| row(name, measured));
    let grid = Grid {
        key: "added",
        of: "tracer",
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
            ("memory", "peak MB"),
        ],
        rows: std::iter::once(first).chain(others).collect(),
    };
    let full = of(NETDROP);
    let figures = vec![
        Figure::new(
            "added/bpf_x",
            "added to a drop by a full record, by the kernel's clock of BPF programs",
            "x the floor's record",
            Goal::AtMost(1.3),
            ratio(&full.bpf_ns, &floor.bpf_ns).into_iter().collect(),
        ),
        Figure::new(
            "added/cpu_x",
            "the same by the CPU time of the flood's core",
            "x the floor's record",
            Goal::None,
            ratio(&added(full, none), &added(floor, none)).into_iter().collect(),
        ),
    ];
    Report { figures, grids: vec![grid] }
}
