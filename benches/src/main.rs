//! Measures what netdrop costs, beside the least that any tracer of drops can do.
//!
//! `cargo xtask bench` builds and runs it. It is its own floor and its own counting tracer: those run as child processes.

mod bed;
mod child;
mod count;
mod cpu;
mod figures;
mod flood;
mod floor;
mod proc;
mod report;
mod sample;
mod talk;
mod tracer;

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use bed::Bed;
use figures::Bench;
use report::Machine;

#[derive(Parser)]
#[command(name = "netdrop-bench", about = "Measures what netdrop costs")]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Measures
    Run(RunArgs),
    /// The least that a tracer can do, until a signal
    Floor {
        /// What to do for each drop
        mode: floor::Mode,
    },
    /// netdrop without its printers, until a signal
    Count,
    /// A flood alone, to look at by other means
    Flood(FloodArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    /// Only groups of figures whose name contains one of these
    only: Vec<String>,
    /// One repetition, for development
    #[arg(long)]
    quick: bool,
    /// Write BENCHMARKS.md, its chart and the history in this workspace
    #[arg(long, value_name = "ROOT", conflicts_with_all = ["quick", "only"])]
    write: Option<PathBuf>,
    /// The netdrop to measure [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    netdrop: Option<PathBuf>,
}

#[derive(clap::Args)]
struct FloodArgs {
    /// What to send
    #[arg(long, value_enum, default_value = "udp")]
    kind: flood::Kind,
    /// Different 5-tuples
    #[arg(long, default_value_t = 1)]
    flows: u32,
    /// Packets
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// Packets in a second; without it, as many as one CPU can
    #[arg(long)]
    rate: Option<u32>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().part {
        Part::Run(args) => run(args),
        Part::Floor { mode } => floor::run(mode),
        Part::Count => count::run(),
        Part::Flood(args) => flood(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            say(format_args!("netdrop-bench: {e:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: RunArgs) -> Result<()> {
    cpu::pin(cpu::TRACER)?;
    let own = std::env::current_exe().context("this program has no path")?;
    let bench = Bench {
        bed: Bed::new()?,
        netdrop: args.netdrop.unwrap_or_else(|| own.with_file_name("netdrop")),
        own,
        quick: args.quick,
        dir: folder()?,
    };
    let root = args.write.as_deref();
    let machine = root.map(Machine::this);
    let report = figures::measure(&bench, &args.only)?;
    io::stdout().write_all(report::tables(&report).as_bytes())?;
    match (root, &machine) {
        (Some(root), Some(machine)) => report::write(root, machine, &report),
        _ => Ok(()),
    }
}

/// For files of some seconds: in memory if there is such a place, since the disk is not what is measured.
fn folder() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.context("can't make a folder for files of some seconds")
}

fn flood(args: &FloodArgs) -> Result<()> {
    let plan = flood::Plan { kind: args.kind, flows: args.flows, count: args.count, rate: args.rate };
    let (sent, dropped) = Bed::new()?.flood(plan)?;
    let (rate, each) = (sample::Number(sent.rate()), sample::Number(sent.cpu_ns_per_packet()));
    writeln!(io::stdout(), "{} sent, {dropped} dropped, {rate} a second, {each} CPU ns each", sent.packets)?;
    Ok(())
}

/// One line to the person. There is nobody to tell if stderr is gone.
fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}
