//! `netdrop observe`: flags to one validated config.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches as _};

use super::capture::CaptureArgs;
use super::filters::FilterBuilder;
use super::flags::{FILTER_GROUPS, FilterFlag, filter_flags};
use super::output::{self, OutputConfig, output_of_flows};
use super::selection::{self, Selection, count, selection};
use super::server_flags::ServerFlags;
use super::{args, events, shown, time, yaml};
use crate::config::unknown_field;
use crate::filter::{Filters, FlowFilter};
use crate::go;
use crate::sink::Format;

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

const FORMATS: &str = "compact, dict, table, json, wide (with place, process, namespace, device), pcapng";

const SERVER: &str = "Agents or relays to ask: unix:///PATH, HOST:PORT or tls://HOST:PORT; several, with commas, are shown as \
                      one; none: capture here [default: the local agent, if there is one]";

const EXAMPLES: &str = "\
How filters combine:
  A flag that is repeated asks for any of its values; different flags must
  all be true. --not is for the next flag alone: what that matches is hidden.
  Flags for either end (--pod, --ip, --port ...) must be true of the same end.

Examples:
  netdrop observe --verdict=DROPPED -f                  every drop, as it happens
  netdrop observe --pod production/checkout-api         what dies to or from these pods
  netdrop observe --not --reason NO_SOCKET -o json      all but closed ports, as JSON lines
  netdrop observe --ip 10.0.0.0/8 --port 443 --count 5  the next five on port 443
  netdrop observe -P --since 5m -o json                 the last five minutes of a whole cluster
  netdrop observe --input-file drops.json.zst           what `netdrop record` has written
  netdrop explain NETFILTER_DROP                        what a reason means and what to do";

/// The subcommand, and those below it.
pub fn command() -> Command {
    // The long name of `observe` itself is read by `args`.
    flags(Command::new("observe")).after_help(EXAMPLES).subcommands(events::commands())
}

/// The same flags for a command of another name.
pub(super) fn flags(mut command: Command) -> Command {
    for group in FILTER_GROUPS {
        command = command.next_help_heading(group.heading).args(group.flags.iter().map(filter_arg));
    }
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
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
        .next_help_heading("Selection");
    let command = selection::add(command)
        .arg(text("count", "N", "End after N flows"))
        .arg(text("duration", "TIME", "End after this long, as 30s or 5m"))
        .next_help_heading("Output");
    let command = shown::add(output::add_for_flows(output::add(command, FORMATS)))
        .next_help_heading("Source")
        .arg(text(
            "names",
            "FILE",
            "Names for live capture: ADDRESS[/LEN] NAMESPACE/NAME [labels], a line each",
        ))
        .arg(text("as-node", "NAME", "This node's name in the output of live capture").env("NODE_NAME"));
    let command = ServerFlags::augment_args(shown::add_source(command))
        .mut_arg("kubeconfig", |a| a.help("Cluster of -P; without -P: names for live capture from this one"))
        .mut_arg("server", |a| a.help(SERVER));
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
        let server = ServerFlags::from_arg_matches(m)?;
        server.check()?;
        let output = output_of_flows(m)?;
        let typed = m.get_one::<String>("output").map_or("", String::as_str);
        let selection = selection(m)?;
        filters.allow.extend(raw_filters(m, "allowlist")?);
        filters.deny.extend(raw_filters(m, "denylist")?);
        let config = Self {
            filters,
            selection,
            shown: shown::ShownConfig::from_matches(m, output.format, typed)?,
            output,
            server,
            count: count(m, "count")?,
            duration: span(m)?,
            names: m.get_one::<String>("names").map(PathBuf::from),
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
        if !config.print_raw_filters
            && config.server.forward.port_forward
            && config.shown.input_file.is_some()
        {
            bail!("cannot use --input-file and --auto-port-forward together");
        }
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
    for flag in filter_flags() {
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
            .map_err(|e| unknown_field(&e.to_string()))
            .map_err(|e| anyhow!("invalid --{name} flag: failed to decode '{text}': {e}"))?;
        out.extend(filters);
    }
    Ok(out)
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
