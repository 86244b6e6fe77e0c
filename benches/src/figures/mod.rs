//! What is measured, one file a group of figures.

mod added;
mod exact;
mod fanout;
mod idle;
mod latency;
mod memory;
mod once;
mod peers;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::bed::Bed;
use crate::report::Report;
use crate::say;
use crate::tracer::Spec;

/// What all measurements share.
pub struct Bench {
    /// Where the drops happen.
    pub bed: Bed,
    /// The netdrop to measure.
    pub netdrop: PathBuf,
    /// This program, which is also the floor.
    pub own: PathBuf,
    /// One repetition of each.
    pub quick: bool,
    /// For files of some seconds.
    pub dir: tempfile::TempDir,
}

impl Bench {
    /// How often to repeat what is usually repeated `n` times.
    pub fn repetitions(&self, n: usize) -> usize {
        if self.quick { 1 } else { n }
    }

    /// `netdrop observe` with these arguments.
    pub fn observe(&self, name: &'static str, args: &[&str]) -> Spec {
        let args: Vec<&str> = ["observe", "--server", "none"].iter().chain(args).copied().collect();
        Spec::new(name, &self.netdrop, &args)
    }

    /// Arguments that have `observe` print a line for each drop, whatever the rate; a netdrop without them always does.
    pub fn each_a_line(&self) -> &'static [&'static str] {
        let help = Command::new(&self.netdrop).args(["observe", "--help"]).output();
        let known = help.is_ok_and(|h| String::from_utf8_lossy(&h.stdout).contains("--events-per-flow"));
        if known { &["--events-per-flow", "0"] } else { &[] }
    }

    /// Another part of this program.
    pub fn part(&self, name: &'static str, args: &[&str]) -> Spec {
        Spec::new(name, &self.own, args)
    }
}

type Measure = fn(&Bench) -> Result<Report>;

/// The groups, by name, in the order they are measured.
pub const GROUPS: &[(&str, Measure)] = &[
    ("added", added::measure),
    ("fanout", fanout::fan_out),
    ("json", fanout::json),
    ("exact", exact::measure),
    ("memory", memory::measure),
    ("latency", latency::measure),
    ("idle", idle::measure),
];

/// Measures the groups whose name contains one of `wanted`, or all.
pub fn measure(bench: &Bench, wanted: &[String]) -> Result<Report> {
    let mut report = Report::default();
    for (name, measure) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str())) {
            say(format_args!("... {name}"));
            report.extend(measure(bench)?);
        }
    }
    Ok(report)
}
