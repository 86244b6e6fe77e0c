//! `cargo xtask vm`: the tests of real drops on Debian's kernels, each booted in a machine of its own, and on this machine's.

mod cpio;
mod guest;
mod host;
mod initramfs;
mod kernel;
mod listen;
mod machine;
mod readme;
mod report;
mod table;

use std::fs;
use std::io::Write as _;
use std::panic;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::image::{self, STATIC, target_folder};
use crate::shell::{cargo, say};
use crate::tools;
use kernel::Kernel;
use report::Report;
use table::Table;

/// This machine's own kernel, as `--kernel` names it.
const HOST: &str = "host";

/// What was typed after `cargo xtask vm`.
#[derive(Args)]
pub struct VmArgs {
    /// Only this kernel, as 6.1; `host` is this machine's own
    #[arg(long, value_name = "SERIES")]
    kernel: Option<String>,
    /// Keep the guests' root file systems in target/vm
    #[arg(long)]
    keep: bool,
    /// Boot to a shell instead
    #[arg(long, requires = "kernel")]
    shell: bool,
    /// Write the table of kernels in README.md anew
    #[arg(long, conflicts_with_all = ["kernel", "shell", "filter"])]
    write_readme: bool,
    /// Use this static netdrop instead of building one
    #[arg(long, value_name = "PATH")]
    netdrop: Option<PathBuf>,
    /// Only tests whose name contains this
    #[arg(value_parser = test_name)]
    filter: Option<String>,
}

/// The guest's shell reads it.
fn test_name(typed: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if typed.chars().all(fits) { Ok(typed.to_owned()) } else { Err("not a part of a test's name".into()) }
}

/// What every kernel runs.
struct Binaries {
    netdrop: PathBuf,
    suite: PathBuf,
    /// Packages whose programs the suite runs.
    packages: Vec<&'static str>,
}

/// Runs them; an error if a test failed, or if README.md says other than what came out.
pub fn vm(args: &VmArgs) -> anyhow::Result<()> {
    let packages = tools::vm()?;
    let kernels = match args.kernel.as_deref() {
        Some(HOST) => Vec::new(),
        wanted => kernel::find(wanted)?,
    };
    let netdrop = match &args.netdrop {
        Some(path) => fs::canonicalize(path).with_context(|| format!("can't find {}", path.display()))?,
        None => image::netdrop()?,
    };
    let binaries = Binaries { netdrop, suite: suite()?, packages };
    if args.shell {
        return kernels.iter().try_for_each(|kernel| guest::shell(kernel, &binaries));
    }
    let mut reports = guests(&kernels, &binaries, args)?;
    if args.kernel.as_deref().is_none_or(|kernel| kernel == HOST) {
        let started = Instant::now();
        reports.push(done(host::run(&binaries, args)?, started, args)?);
    }
    let table = Table::of(&reports);
    writeln!(std::io::stdout(), "\n{table}")?;
    let mut failed = Vec::new();
    for report in &reports {
        for (test, said) in &report.failed {
            writeln!(std::io::stdout(), "\n---- {}: {test}\n{said}", report.series())?;
            failed.push(format!("{}: {test}", report.series()));
        }
    }
    ensure!(failed.is_empty(), "failed:\n  {}", failed.join("\n  "));
    match (args.write_readme, args.filter.is_some()) {
        (true, _) => readme::write(&table),
        (false, true) => Ok(()),
        (false, false) => readme::check(&table),
    }
}

/// Runs the guests side by side: each keeps one of this machine's processors busy.
fn guests(kernels: &[Kernel], binaries: &Binaries, args: &VmArgs) -> anyhow::Result<Vec<Report>> {
    let run = |kernel| {
        let started = Instant::now();
        done(guest::run(kernel, binaries, args)?, started, args)
    };
    let ended: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = kernels.iter().map(|kernel| scope.spawn(move || run(kernel))).collect();
        threads.into_iter().map(ScopedJoinHandle::join).collect()
    });
    ended.into_iter().map(|report| report.unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
}

/// Says what came of a kernel and keeps it.
fn done(report: Report, started: Instant, args: &VmArgs) -> anyhow::Result<Report> {
    let mark = if report.failed.is_empty() { "ok" } else { "!!" };
    let (suite, seconds) = (report.suite(), started.elapsed().as_secs());
    say(mark, format_args!("{}: {suite} tests passed ({seconds} s)", report.release));
    for why in &report.skipped {
        say("", format_args!("not there: {why}"));
    }
    if args.filter.is_none() {
        let path = folder(&report.series())?.join("result.json");
        fs::write(&path, format!("{:#}\n", report.to_json()))
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(report)
}

/// Where a kernel's files lie.
fn folder(series: &str) -> anyhow::Result<PathBuf> {
    let folder = target_folder().join("vm").join(series);
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    Ok(folder)
}

/// Builds the suite as one static binary and gives its path.
fn suite() -> anyhow::Result<PathBuf> {
    say("...", "building the tests, static");
    let build = ["test", "--quiet", "--no-run", "--target", STATIC, "--message-format", "json"];
    let output = cargo(&build)
        .args(["--package", "netdrop-tests", "--test", "suite"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "the tests do not build");
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(executable)
        .next_back()
        .context("cargo names no binary of the tests")
}
