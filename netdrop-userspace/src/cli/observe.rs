//! `netdrop observe`: flags to one validated config.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches as _};
use jiff::Timestamp;

use super::capture::CaptureArgs;
use super::filters::FilterBuilder;
use super::flags::{FILTER_FLAGS, FilterFlag};
use super::server_flags::ServerFlags;
use super::{args, forward, shown, time, yaml};
use crate::filter::{Filters, FlowFilter};
use crate::go;
use crate::sink::{ColorWhen, Format, PrintOptions, TimeFormat};

/// Which flows of a server's history, and whether to go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// How many of the history; `None`: the default of the other fields.
    pub last: Option<u64>,
    /// How many, from the oldest on.
    pub first: Option<u64>,
    /// The whole history.
    pub all: bool,
    /// Go on with new flows.
    pub follow: bool,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

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
        }
    }
}

/// All of `netdrop observe`.
#[derive(Clone, Debug)]
pub struct ObserveConfig {
    /// Which flows.
    pub filters: Filters,
    /// Which part of the history.
    pub selection: Selection,
    /// How to print.
    pub output: OutputConfig,
    /// What is read and asked for beside filters.
    pub shown: shown::ShownConfig,
    /// Servers to ask; none named: the local agent, or live capture.
    pub server: ServerFlags,
    /// End after this many flows.
    pub count: Option<u64>,
    /// End after this time.
    pub duration: Option<Duration>,
    /// Names file.
    pub names: Option<PathBuf>,
    /// Kubeconfig for names.
    pub kubeconfig: Option<PathBuf>,
    /// Name of this node in the output.
    pub node_name: Option<Arc<str>>,
    /// What live capture may cost.
    pub capture: CaptureArgs,
    /// Print the filters and end.
    pub print_raw_filters: bool,
    /// Show benign drops, too.
    pub include_benign: bool,
}

/// Default of `--last` where nothing else says which flows.
pub const DEFAULT_LAST: u64 = 20;

const ABOUT: &str = "Show dropped packets: from the local agent if there is one, else captured here";

const EXAMPLES: &str = "\
Examples:
  netdrop observe --verdict=DROPPED -f                  every drop, as it happens
  netdrop observe --pod production/checkout-api         what dies to or from these pods
  netdrop observe --not --reason NO_SOCKET -o json      all but closed ports, as JSON lines
  netdrop observe --ip 10.0.0.0/8 --port 443 --count 5  the next five on port 443
  netdrop explain NETFILTER_DROP                        what a reason means and what to do";

/// The subcommand.
pub fn command() -> Command {
    let mut command = Command::new("observe").after_help(EXAMPLES).next_help_heading("Filters");
    for flag in FILTER_FLAGS {
        command = command.arg(filter_arg(flag));
    }
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let number =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("N").help(help);
    let command = command
        .arg(
            text("allowlist", "JSON", "FlowFilter to show, as JSON; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(
            text("denylist", "JSON", "FlowFilter to hide, as JSON; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(switch(
            "include-benign",
            "Show benign drops, too: duplicates, what a closed socket had not read (--reason NAME shows its own)",
        ))
        .arg(switch("print-raw-filters", "Print the filters as sent to a server, and end"))
        .next_help_heading("Selection")
        .arg(switch("follow", "Go on with new flows (live capture always does)").short('f'))
        .arg(number("last", "The newest N of an agent's history (default 20)"))
        .arg(number("first", "The oldest N of an agent's history; live: the next N"))
        .arg(switch("all", "An agent's whole history"))
        .arg(text("since", "TIME", "Not before: 5m, 1h30m, 2025-01-02, 2025-01-02T03:04:05Z"))
        .arg(text("until", "TIME", "Not after"))
        .arg(number("count", "End after N flows"))
        .arg(text("duration", "TIME", "End after this long, as 30s or 5m"))
        .next_help_heading("Output")
        .arg(
            text(
                "output",
                "FORMAT",
                "compact, dict, table, json, wide (with place, process, namespace, device), pcapng",
            )
            .short('o')
            .default_value("compact"),
        )
        .arg(
            text("time-format", "NAME", "StampMilli, RFC3339, RFC3339Milli, RFC3339Nano, RFC1123Z ...")
                .default_value("StampMilli"),
        )
        .arg(text("color", "WHEN", "auto, always or never").default_value("auto"))
        .arg(switch("numeric", "Addresses in place of names"))
        .arg(
            text("ip-translation", "BOOL", "Names in place of addresses")
                .num_args(0..=1)
                .require_equals(true)
                .default_value("true")
                .default_missing_value("true"),
        )
        .arg(switch("print-node-name", "Name the node that saw the flow"))
        .next_help_heading("Source")
        .arg(text(
            "names",
            "FILE",
            "Names for live capture: ADDRESS[/LEN] NAMESPACE/NAME [labels], a line each",
        ))
        .arg(text("kubeconfig", "FILE", "Names for live capture from this cluster"))
        .arg(text("as-node", "NAME", "This node's name in the output of live capture").env("NODE_NAME"));
    let command = shown::add(command);
    let command = forward::add(ServerFlags::augment_args(command));
    // The flags' own description is that of the flags, not of the command.
    CaptureArgs::augment_args(command.next_help_heading("Live capture")).about(ABOUT).long_about(None)
}

fn filter_arg(flag: &FilterFlag) -> Arg {
    let mut arg = Arg::new(flag.name).long(flag.name).help(flag.help).action(ArgAction::Append);
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    match flag.implied {
        Some(implied) => arg.num_args(0).default_missing_value(implied),
        None => arg.value_name(flag.value),
    }
}

impl ObserveConfig {
    /// Checks all that was typed. What a filter's value says is checked where it is used: by a server, as it may know more.
    pub fn from_matches(m: &ArgMatches) -> anyhow::Result<Self> {
        let mut filters = filters(m)?;
        let output = output(m)?;
        let typed = m.get_one::<String>("output").map_or("", String::as_str);
        let selection = selection(m)?;
        filters.allow.extend(raw_filters(m, "allowlist")?);
        filters.deny.extend(raw_filters(m, "denylist")?);
        let config = Self {
            filters,
            selection,
            shown: shown::ShownConfig::from_matches(m, output.format, typed)?,
            output,
            server: ServerFlags::from_arg_matches(m)?,
            count: count(m, "count")?,
            duration: span(m)?,
            names: m.get_one::<String>("names").map(PathBuf::from),
            kubeconfig: m.get_one::<String>("kubeconfig").map(PathBuf::from),
            node_name: m
                .get_one::<String>("as-node")
                .filter(|n| !n.is_empty())
                .map(|n| Arc::from(n.as_str())),
            capture: CaptureArgs::from_arg_matches(m)?,
            print_raw_filters: m.get_flag("print-raw-filters"),
            include_benign: m.get_flag("include-benign"),
        };
        if config.output.format == Format::Table && config.selection.follow {
            bail!("table output format is not compatible with follow mode");
        }
        if config.count == Some(0) {
            bail!("--count 0 would show nothing; leave it out to go on until Ctrl-C");
        }
        forward::check(m, !config.print_raw_filters)?;
        Ok(config)
    }

    /// Live capture has no history to select from.
    pub fn check_live(&self) -> anyhow::Result<()> {
        let s = &self.selection;
        let asked = [
            ("--last", s.last.is_some()),
            ("--all", s.all),
            ("--since", s.since.is_some()),
            ("--until", s.until.is_some()),
        ];
        if self.output.format == Format::Table && self.count.or(s.first).is_none() && self.duration.is_none()
        {
            bail!(
                "a table is printed at its end, which live capture does not have by itself: add --first N or --duration TIME, or choose -o compact"
            );
        }
        if s.first == Some(0) {
            bail!("--first 0 would show nothing; leave it out to go on until Ctrl-C");
        }
        match asked.iter().find(|(_, on)| *on) {
            Some((flag, _)) => bail!(
                "{flag} asks for the past, which live capture does not have: start `netdrop agent`, or name one with --server"
            ),
            None => Ok(()),
        }
    }

    /// The filters as the client prints them: YAML lists of JSON texts.
    pub fn raw_filters(&self) -> anyhow::Result<String> {
        let mut out = String::new();
        for (name, list) in [("allowlist", &self.filters.allow), ("denylist", &self.filters.deny)] {
            if list.is_empty() {
                continue;
            }
            out.push_str(name);
            out.push_str(":\n");
            for filter in list {
                out.extend(["    - ", &yaml::quoted(&filter.to_json()?), "\n"]);
            }
        }
        if out.is_empty() {
            out.push_str("{}\n");
        }
        Ok(out)
    }
}

/// The filter flags, in the order in which they were typed.
fn filters(m: &ArgMatches) -> anyhow::Result<Filters> {
    let mut typed: Vec<(usize, &FilterFlag, &str)> = Vec::new();
    for flag in FILTER_FLAGS {
        let (Some(indices), Some(values)) = (m.indices_of(flag.name), m.get_many::<String>(flag.name)) else {
            continue;
        };
        typed.extend(indices.zip(values).map(|(at, value)| (at, flag, value.as_str())));
    }
    typed.sort_by_key(|t| t.0);
    let mut builder = FilterBuilder::default();
    for (_, flag, value) in typed {
        builder.add(flag.name, value).map_err(|why| {
            let shown = args::shown(flag.name, flag.short);
            anyhow!("invalid argument {} for {} flag: {why}", go::quote(value), go::quote(&shown))
        })?;
    }
    builder.build().map_err(|why| anyhow!(why))
}

fn raw_filters(m: &ArgMatches, name: &str) -> anyhow::Result<Vec<FlowFilter>> {
    let mut out = Vec::new();
    for text in m.get_many::<String>(name).into_iter().flatten() {
        let filters = FlowFilter::several(text)
            .map_err(|e| anyhow!("invalid --{name} flag: failed to decode '{text}': {e}"))?;
        out.extend(filters);
    }
    Ok(out)
}

/// A number as the client reads it, also as `0x10`.
fn count(m: &ArgMatches, name: &str) -> anyhow::Result<Option<u64>> {
    let number = |text: &String| {
        go::parse_uint(text, 0, 64)
            .map_err(|why| anyhow!("invalid argument {} for \"--{name}\" flag: {why}", go::quote(text)))
    };
    m.get_one::<String>(name).map(number).transpose()
}

fn selection(m: &ArgMatches) -> anyhow::Result<Selection> {
    let time = |name: &str| -> anyhow::Result<Option<Timestamp>> {
        m.get_one::<String>(name)
            .filter(|text| !text.is_empty())
            .map(|text| {
                time::instant(text, Timestamp::now())
                    .map_err(|why| anyhow!("failed to parse the {name} time: {why}"))
            })
            .transpose()
    };
    // 0 is as good as not set.
    let some = |name| count(m, name).map(|n| n.filter(|n| *n > 0));
    let (last, first) = (some("last")?, some("first")?);
    let (all, follow) = (m.get_flag("all"), m.get_flag("follow"));
    let conflicts = [
        ("first", "last", first.is_some() && last.is_some()),
        ("first", "all", first.is_some() && all),
        ("first", "follow", first.is_some() && follow),
        ("last", "all", last.is_some() && all),
    ];
    if let Some((one, other, _)) = conflicts.iter().find(|c| c.2) {
        bail!("cannot set both --{one} and --{other}");
    }
    // Following has no end.
    let until = if follow { None } else { time("until")? };
    Ok(Selection { last, first, all, follow, since: time("since")?, until })
}

fn output(m: &ArgMatches) -> anyhow::Result<OutputConfig> {
    let text = |name: &str| m.get_one::<String>(name).map_or("", String::as_str);
    let translated = go::parse_bool(text("ip-translation")).map_err(|why| {
        anyhow!("invalid argument {} for \"--ip-translation\" flag: {why}", go::quote(text("ip-translation")))
    })?;
    let numeric = m.get_flag("numeric") || !translated;
    Ok(OutputConfig {
        format: Format::from_name(text("output")).ok_or_else(|| {
            anyhow!(
                "invalid output format: {}; want compact, dict, table, json, wide or pcapng",
                text("output")
            )
        })?,
        time_format: TimeFormat::from_name(text("time-format")).ok_or_else(|| {
            anyhow!(
                "invalid time format {:?}; want StampMilli, RFC3339, RFC3339Nano or another of --help",
                text("time-format")
            )
        })?,
        color: ColorWhen::from_name(text("color"))
            .ok_or_else(|| anyhow!("invalid color option: {}; want auto, always or never", text("color")))?,
        numeric,
        print_node_name: m.get_flag("print-node-name"),
    })
}

fn span(m: &ArgMatches) -> anyhow::Result<Option<Duration>> {
    m.get_one::<String>("duration")
        .map(|text| {
            time::duration(text)
                .filter(|d| !d.is_zero())
                .with_context(|| format!("invalid --duration {text:?}; want something like 30s, 5m or 1h"))
        })
        .transpose()
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
