//! `cargo xtask fuzz`: hostile bytes for all that reads bytes, found by coverage.
//!
//! The engine is libFuzzer by the crate `libfuzzer-sys`, with AddressSanitizer, on the pinned stable toolchain: the runtime of the one and
//! the compiler passes of both ship with it. Only netdrop's own crates are instrumented; this program is their compiler's wrapper.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use crate::shell::{cargo, root, say};
use crate::tools;

/// Set for a build whose compiler this program wraps.
const WRAPS: &str = "NETDROP_FUZZ_RUSTC";
/// Crates that are watched: what they do with the bytes is what steers the fuzzer.
const INSTRUMENTED: [&str; 10] = [
    "netdrop",
    "netdrop_common",
    "netdrop_fuzz",
    "ring",
    "packet",
    "btf",
    "wire",
    "request",
    "filter",
    "expression",
];
/// Coverage as libFuzzer reads it, out-of-bounds accesses as errors, and some speed.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
    "-Copt-level=2",
    "--cfg=fuzzing",
];

/// What to feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Records of the ring buffer, all the way to the printers
    Ring,
    /// Packets from every header on, all the way to the printers
    Packet,
    /// Type information of a kernel and of a module
    Btf,
    /// Files of flows, all the way to the printers
    Wire,
    /// Requests of the agent's clients
    Request,
    /// Filters as JSON, on a flow of the API
    Filter,
    /// Expressions in CEL, on a flow of the API
    Expression,
}

impl Target {
    const ALL: [Self; 7] =
        [Self::Ring, Self::Packet, Self::Btf, Self::Wire, Self::Request, Self::Filter, Self::Expression];

    const fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Packet => "packet",
            Self::Btf => "btf",
            Self::Wire => "wire",
            Self::Request => "request",
            Self::Filter => "filter",
            Self::Expression => "expression",
        }
    }

    /// Longest input: a record and some more, the largest packet, a part of a kernel's types, some lines, many filters, and of
    /// expressions what is parsed fast enough to try many.
    const fn max_len(self) -> u32 {
        match self {
            Self::Ring => 400,
            Self::Packet => 2048,
            Self::Btf => 16_384,
            Self::Wire | Self::Request | Self::Filter => 4096,
            Self::Expression => 1024,
        }
    }
}

/// What was typed after `cargo xtask fuzz`.
#[derive(Args)]
pub struct FuzzArgs {
    /// One target; without it, one after the other
    target: Option<Target>,
    /// How long each runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run this input once, instead: one that crashed, or one of the corpus
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// Runs them; an error names the inputs that broke something.
pub fn fuzz(args: &FuzzArgs) -> anyhow::Result<()> {
    tools::build()?;
    tools::fuzz()?;
    build()?;
    if let (Some(target), Some(input)) = (args.target, &args.input) {
        return again(target, input);
    }
    let targets = args.target.map_or(Target::ALL.to_vec(), |target| vec![target]);
    let mut found = Vec::new();
    for target in targets {
        found.extend(run(target, args.seconds)?);
    }
    match found.len() {
        0 => Ok(()),
        n => bail!("{n} input(s) broke something, see above"),
    }
}

/// Where fuzzers and what they found lie.
fn folder() -> PathBuf {
    root().join("target/fuzz")
}

fn build() -> anyhow::Result<()> {
    say("...", "building the fuzzers");
    let this = env::current_exe().context("this program has no path")?;
    let mut command =
        cargo(&["build", "--quiet", "--package", "netdrop-fuzz", "--features", "engine", "--bins"]);
    // No BPF here: nothing is loaded into the kernel.
    command.env("RUSTC_WORKSPACE_WRAPPER", this).env(WRAPS, "1").env("AYA_BUILD_SKIP", "1");
    crate::shell::run(&mut command)?;
    for target in Target::ALL {
        let to = folder().join(target.name());
        fs::create_dir_all(to.join("corpus"))?;
        fs::create_dir_all(to.join("found"))?;
        // A place of its own: the next ordinary build must not put another there.
        let built = root().join("target/debug").join(target.name());
        fs::copy(&built, to.join("fuzzer")).with_context(|| format!("{} was not built", built.display()))?;
    }
    Ok(())
}

fn fuzzer(target: Target) -> Command {
    let mut command = Command::new(folder().join(target.name()).join("fuzzer"));
    // A record costs microseconds: what takes seconds hangs, and what asks for this much believed a length field.
    command.args(["-timeout=10", "-malloc_limit_mb=64", "-rss_limit_mb=1024"]);
    command.env("RUST_BACKTRACE", "0").current_dir(root());
    command
}

/// Runs for some time; gives the inputs that broke something.
fn run(target: Target, seconds: u32) -> anyhow::Result<Vec<PathBuf>> {
    let name = target.name();
    let place = folder().join(name);
    let found = place.join("found");
    say("...", format_args!("{name} for {seconds} s"));
    let log = place.join("log");
    let output = fs::File::create(&log)?;
    let before = files(&found)?;
    let status = fuzzer(target)
        .args([format!("-max_total_time={seconds}"), format!("-max_len={}", target.max_len())])
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args(words(target))
        .arg("-print_final_stats=1")
        .args([place.join("corpus"), root().join("fuzz/corpus").join(name)])
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .with_context(|| format!("cannot run the fuzzer of {name}"))?;
    let text = fs::read(&log).map(|text| String::from_utf8_lossy(&text).into_owned())?;
    let new: Vec<PathBuf> = files(&found)?.into_iter().filter(|file| !before.contains(file)).collect();
    for file in &new {
        let shown = file.strip_prefix(root()).unwrap_or(file).display();
        say("!!", format_args!("{name}: {}", complaint(&text)));
        say("", format_args!("the input is {shown}; run it again: cargo xtask fuzz {name} --input {shown}"));
        say("", format_args!("once mended, keep it: cp {shown} fuzz/corpus/{name}/"));
    }
    if status.success() {
        say("ok", format_args!("{name}: {}", sum(&text)));
    } else if new.is_empty() {
        bail!("the fuzzer of {name} failed ({status}) without a find; it wrote {}", log.display());
    }
    Ok(new)
}

/// The words of a language that no fuzzer finds letter by letter.
fn words(target: Target) -> Option<String> {
    let file = root().join("fuzz/dict").join(target.name()).with_extension("dict");
    file.is_file().then(|| format!("-dict={}", file.display()))
}

fn again(target: Target, input: &Path) -> anyhow::Result<()> {
    let input = input.canonicalize().with_context(|| format!("cannot read {}", input.display()))?;
    let found = folder().join(target.name()).join("found");
    let mut command = fuzzer(target);
    command.env("RUST_BACKTRACE", "1").arg(format!("-artifact_prefix={}/", found.display())).arg(input);
    crate::shell::run(&mut command)
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        files.push(entry?.path());
    }
    Ok(files)
}

/// What broke, in one line of the fuzzer's output: the panic's text, or libFuzzer's or the sanitizer's own.
fn complaint(text: &str) -> String {
    let mut lines =
        text.lines().skip_while(|line| !line.contains("' panicked at ") && !line.contains(") panicked at "));
    match (lines.next(), lines.next()) {
        (Some(place), Some(what)) => {
            format!(
                "{what} ({})",
                place.rsplit(" panicked at ").next().unwrap_or(place).trim_end_matches(':')
            )
        }
        _ => text
            .lines()
            .find(|line| line.contains("ERROR: "))
            .map_or_else(|| "it failed without a word".to_owned(), str::to_owned),
    }
}

/// Runs, edges and inputs, from libFuzzer's last lines.
fn sum(text: &str) -> String {
    let stat = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(&format!("stat::{name}:")));
        line.map_or_else(|| "?".to_owned(), |n| n.trim().to_owned())
    };
    let words: Vec<&str> = text
        .lines()
        .rev()
        .find(|line| line.contains(" cov: "))
        .map(|l| l.split_whitespace().collect())
        .unwrap_or_default();
    let after = |key: &str| {
        words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied().unwrap_or("?")
    };
    format!(
        "{} inputs, {} a second; {} edges reached by {} of them; nothing broke",
        stat("number_of_executed_units"),
        stat("average_exec_per_sec"),
        after("cov:"),
        after("corp:").split('/').next().unwrap_or("?"),
    )
}

/// Whether this process is a compiler's wrapper and not a person's command.
pub fn wraps() -> bool {
    env::var_os(WRAPS).is_some()
}

/// Compiles as cargo asks, with the fuzzer's flags for what is to be watched.
pub fn wrapped(mut words: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let compiler = words.next().context("no compiler to wrap")?;
    let words: Vec<OsString> = words.collect();
    let name = words.iter().position(|word| word == "--crate-name").and_then(|at| words.get(at + 1));
    let mut command = Command::new(compiler);
    command.args(&words);
    if name.is_some_and(|name| INSTRUMENTED.iter().any(|watched| name == watched)) {
        // The sanitizer's flag is an unstable one.
        command.args(FLAGS).env("RUSTC_BOOTSTRAP", "1");
    }
    let status = command.status().context("cannot run the compiler")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        let text = "INFO: seed\n\nthread '<unnamed>' (7) panicked at fuzz/src/flows.rs:33:5:\nlost on the wire\nnote: x\n==7== ERROR: libFuzzer: deadly signal\n";
        assert_eq!(complaint(text), "lost on the wire (fuzz/src/flows.rs:33:5)");
        assert_eq!(complaint("==7== ERROR: libFuzzer: timeout\n"), "==7== ERROR: libFuzzer: timeout");
    }

    #[test]
    fn the_sum_is_read_from_the_end() {
        let text = "#2 INITED cov: 5 ft: 5 corp: 1/2b\n#9\tDONE   cov: 46 ft: 46 corp: 2/25b lim: 4096\n\
                    stat::number_of_executed_units: 9\nstat::average_exec_per_sec:     4\n";
        assert_eq!(sum(text), "9 inputs, 4 a second; 46 edges reached by 2 of them; nothing broke");
    }
}
