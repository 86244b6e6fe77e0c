//! `netdrop record`: what `observe` shows, into a file.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::capture::bytes;
use super::observe::{self, ObserveConfig};
use super::time;
use crate::record::RecordConfig;

const EXAMPLES: &str = "\
Examples:
  netdrop record drops.json.zst --duration 10m              everything that dies in ten minutes
  netdrop record d.json.gz --max-size 100M --max-files 10   the last gigabyte
  netdrop observe --input-file drops.json.zst --pod api     what was recorded of these pods";

/// The subcommand: `observe`'s flags, and a file.
pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    observe::flags(Command::new("record"))
        .about("Write what observe shows to a file that observe --input-file reads")
        .after_help(EXAMPLES)
        .mut_arg("output", |a| a.default_value("json").hide(true))
        .mut_args(|a| if SHOWN_ONLY.contains(&a.get_id().as_str()) { a.hide(true) } else { a })
        .next_help_heading("File")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("JSON lines, of which a crash costs the last second; packed if it ends in .gz or .zst"),
        )
        .arg(
            text("max-size", "BYTES", "Begin a new file before this one grows beyond, as 100M")
                .value_parser(bytes),
        )
        .arg(text("max-age", "TIME", "Begin a new file after this time, as 1h"))
        .arg(
            text("max-files", "N", "Keep so many files, this one among them; remove the oldest")
                .value_parser(value_parser!(u64).range(1..)),
        )
}

/// Least bytes of a file that another one follows.
const SMALLEST: u64 = 16_000;

/// Flags about how flows look on a screen.
const SHOWN_ONLY: [&str; 7] = [
    "time-format",
    "color",
    "numeric",
    "ip-translation",
    "print-node-name",
    "print-policy-names",
    "use-default-field-masks",
];

/// Checks all that was typed.
pub fn from_matches(m: &ArgMatches) -> anyhow::Result<(ObserveConfig, RecordConfig)> {
    let file = m.get_one::<PathBuf>("file").context("record needs a FILE")?.clone();
    if file.is_dir() {
        bail!("{} is a folder; record needs the name of a file", file.display());
    }
    if file.as_os_str() == "-" {
        bail!("record needs the name of a file; standard output is /dev/stdout");
    }
    let max_size = m.get_one::<u64>("max-size").copied();
    if let Some(size) = max_size.filter(|size| *size < SMALLEST) {
        bail!("--max-size {size} is less than {SMALLEST} bytes: that would be a file for every few lines");
    }
    let max_age = m
        .get_one::<String>("max-age")
        .map(|text| {
            time::duration(text)
                .filter(|d| !d.is_zero())
                .with_context(|| format!("invalid --max-age {text:?}; want something like 10m or 1h"))
        })
        .transpose()?;
    let record = RecordConfig {
        file,
        max_size,
        max_age,
        max_files: m.get_one::<u64>("max-files").map(|n| usize::try_from(*n).unwrap_or(usize::MAX)),
    };
    Ok((ObserveConfig::from_matches(m)?, record))
}
