//! Whether sums are exact: as many drops as the firewall's rule has counted, and every flow named.

use std::fs::{self, File};
use std::io::BufReader;

use anyhow::Result;

use super::Bench;
use super::once::{Once, float};
use crate::flood::{Kind, PORT, Plan, source};
use crate::report::{Figure, Goal, Grid, Report, Row};
use crate::sample::Sample;
use crate::talk::Flows;
use crate::tracer::Out;

/// (name in the table, kind, flows, packets of each)
const FLOODS: &[(&str, Kind, u32, u64)] = &[
    ("1 flow x 300,000", Kind::Udp, 1, 300_000),
    ("12,000 flows x 1", Kind::Udp, 12_000, 1),
    ("100,000 flows x 10", Kind::Udp, 100_000, 10),
    ("SYNs from 60,000 sources", Kind::Syn, 60_000, 1),
];

/// What came of one flood.
struct Outcome {
    once: Once,
    told: Flows,
    /// Flows of which netdrop told other than what was sent, and that it did not tell at all.
    wrong: u64,
    unnamed: u64,
}

/// The table, and one figure of all.
pub fn measure(bench: &Bench) -> Result<Report> {
    let mut rows = Vec::new();
    let mut off = 0.0;
    for (name, kind, flows, each) in FLOODS {
        let outcome = outcome(bench, *kind, *flows, *each)?;
        let (dropped, lost) = (outcome.once.dropped, outcome.once.said("lost")?);
        let sum = outcome.told.sum() + outcome.told.rest;
        // What is told as lost may be others' on this machine; what is told may never be more than was dropped.
        let missing = float(dropped.saturating_sub(sum + lost) + sum.saturating_sub(dropped));
        off += missing + float(outcome.unnamed);
        let cells = [
            float(dropped),
            float(outcome.told.sum()),
            float(outcome.told.rest),
            float(lost),
            missing,
            float(outcome.told.len() as u64),
            float(outcome.unnamed),
            float(outcome.wrong),
            float(outcome.told.lines),
            outcome.once.sent.rate(),
        ];
        rows.push(Row {
            name: (*name).to_owned(),
            cells: cells.iter().map(|cell| Sample::from_iter([*cell])).collect(),
        });
    }
    let grid = Grid {
        key: "exact",
        of: "flood",
        title: "Sums against the counter of the firewall's rule: `netdrop observe -o json`, flat out."
            .to_owned(),
        columns: vec![
            ("dropped", "dropped"),
            ("told", "told"),
            ("rest", "told without a name"),
            ("lost", "told as lost"),
            ("off", "off by"),
            ("flows", "flows"),
            ("unnamed", "not named"),
            ("wrong", "with another sum"),
            ("lines", "lines"),
            ("rate", "drops/s"),
        ],
        rows,
    };
    let what = "by how many drops the sums of four floods are off, and flows not named";
    let figure = Figure::new("exact/off", what, "", Goal::AtMost(0.0), Sample::from_iter([off]));
    Ok(Report { figures: vec![figure], grids: vec![grid] })
}

fn outcome(bench: &Bench, kind: Kind, flows: u32, each: u64) -> Result<Outcome> {
    let file = bench.dir.path().join("flows");
    let netns = bench.bed.inode().to_string();
    let spec = bench
        .observe("netdrop observe -o json", &["-o", "json", "--netns", &netns])
        .to(Out::File(file.clone()));
    let plan = Plan { kind, flows, count: u64::from(flows) * each, rate: None };
    let once = Once::run(bench, &spec, plan)?;
    let told = Flows::read(BufReader::new(File::open(&file)?), PORT)?;
    fs::remove_file(&file)?;
    let (mut wrong, mut unnamed) = (0, 0);
    for flow in 0..flows {
        match told.of(source(kind, flow)) {
            0 => unnamed += 1,
            n if n != each => wrong += 1,
            _ => {}
        }
    }
    Ok(Outcome { once, told, wrong, unnamed })
}
