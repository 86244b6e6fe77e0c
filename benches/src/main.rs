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
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use bed::Bed;
use figures::Bench;

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
}

#[derive(clap::Args)]
struct RunArgs {
    /// Only groups of figures whose name contains one of these
    only: Vec<String>,
    /// One repetition, for development
    #[arg(long)]
    quick: bool,
    /// The netdrop to measure [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    netdrop: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().part {
        Part::Run(args) => run(args),
        Part::Floor { mode } => floor::run(mode),
        Part::Count => count::run(),
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
        dir: tempfile::tempdir().context("can't make a folder for files of some seconds")?,
    };
    let report = figures::measure(&bench, &args.only)?;
    io::stdout().write_all(report::tables(&report).as_bytes())?;
    Ok(())
}

/// One line to the person. There is nobody to tell if stderr is gone.
fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}
