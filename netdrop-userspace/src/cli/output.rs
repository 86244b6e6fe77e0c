//! Flags that say how to print.

use anyhow::anyhow;
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Command};

use crate::go;
use crate::sink::{ColorWhen, Format, PrintOptions, TIME_FORMATS, TimeFormat};

/// How to print, as typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputConfig {
    /// Format.
    pub format: Format,
    /// Times.
    pub time_format: TimeFormat,
    /// Colours.
    pub color: ColorWhen,
    /// Addresses in place of names.
    pub numeric: bool,
    /// Name the node.
    pub print_node_name: bool,
    /// Tell what is no trouble about nodes, too.
    pub debug: bool,
}

impl OutputConfig {
    /// For a printer, given whether to colour.
    pub fn print_options(&self, color: bool) -> PrintOptions {
        PrintOptions {
            format: self.format,
            time_format: self.time_format,
            color,
            numeric: self.numeric,
            print_node_name: self.print_node_name,
            debug: self.debug,
        }
    }
}

fn text(name: &'static str, value: &'static str, help: impl Into<String>) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help.into())
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// Adds what all printers have.
pub(super) fn add(command: Command, formats: &'static str) -> Command {
    let times: Vec<&str> = TIME_FORMATS.iter().map(|f| f.0).collect();
    command
        .arg(text("output", "FORMAT", formats).short('o').default_value("compact"))
        .arg(
            text("time-format", "NAME", format!("Times, not in json: {}", times.join(", ")))
                .default_value("StampMilli"),
        )
        .arg(switch("print-node-name", "Name the node that saw it"))
}

/// Adds what flows have beside that.
pub(super) fn add_for_flows(command: Command) -> Command {
    command
        .arg(text("color", "WHEN", "auto, always or never; in compact and dict").default_value("auto"))
        .arg(switch("numeric", "Addresses in place of names"))
        .arg(
            text("ip-translation", "BOOL", "Names in place of addresses")
                .num_args(0..=1)
                .require_equals(true)
                .default_value("true")
                .default_missing_value("true"),
        )
}

/// The format that was named, if it is one of these.
pub(super) fn format(m: &ArgMatches, of: &str, fits: impl Fn(Format) -> bool) -> anyhow::Result<Format> {
    let name = m.get_one::<String>("output").map_or("", String::as_str);
    Format::from_name(name)
        .filter(|format| fits(*format))
        .ok_or_else(|| anyhow!("invalid output format: {name}; want {of}"))
}

/// What all printers have.
pub(super) fn output(m: &ArgMatches, format: Format) -> anyhow::Result<OutputConfig> {
    let time = m.get_one::<String>("time-format").map_or("", String::as_str);
    Ok(OutputConfig {
        format,
        time_format: TimeFormat::from_name(time).ok_or_else(|| {
            anyhow!(
                "invalid time format {time:?}; want StampMilli, RFC3339, RFC3339Nano or another of --help"
            )
        })?,
        print_node_name: m.get_flag("print-node-name"),
        // A flag of the program, which a command alone is without.
        debug: m.try_get_one::<bool>("debug").ok().flatten().copied().unwrap_or(false),
        ..OutputConfig::default()
    })
}

/// What flows have beside that.
pub(super) fn output_of_flows(m: &ArgMatches) -> anyhow::Result<OutputConfig> {
    let text = |name: &str| m.get_one::<String>(name).map_or("", String::as_str);
    let translated = go::parse_bool(text("ip-translation")).map_err(|why| {
        anyhow!("invalid argument {} for \"--ip-translation\" flag: {why}", go::quote(text("ip-translation")))
    })?;
    let format = format(m, "compact, dict, table, json, wide or pcapng", |_| true)?;
    let color = ColorWhen::from_name(text("color"))
        .ok_or_else(|| anyhow!("invalid color option: {}; want auto, always or never", text("color")))?;
    Ok(OutputConfig { color, numeric: m.get_flag("numeric") || !translated, ..output(m, format)? })
}
