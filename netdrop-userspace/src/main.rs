//! The `netdrop` command.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches as _, Subcommand as _};
use netdrop::app;
use netdrop::cli::events::{EventKind, EventsConfig};
use netdrop::cli::{
    args, completion, config, explain, list, manual, observe, reasons, record, relay, status_local,
};

const EXAMPLES: &str = "\
Examples:
  netdrop observe -f                       what dies on this machine, as it happens
  netdrop explain NETFILTER_DROP           what a reason means and what to do next
  netdrop status --local                   whether this machine can capture
  netdrop observe -P --pod shop/checkout   what died to or from a pod, of a whole cluster";

const STATUS_EXAMPLES: &str = "\
Examples:
  netdrop status                           of the local agent
  netdrop status --server tls://relay:443  of a relay
  netdrop status --local                   what this kernel has, and what capture here would lack";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  netdrop explain no_socket
  netdrop explain NOT_SPECIFIED --site tcp_v4_rcv  what a vague reason means where it happens";

const LIST_EXAMPLES: &str = "\
Examples:
  netdrop list nodes --server relay:4245  all nodes of a relay, and how they are
  netdrop list nodes -P -o wide           the same by the API server of a cluster
  netdrop list namespaces                 whom flows of the last hour were of";

const WATCH_EXAMPLES: &str = "\
Examples:
  netdrop watch peers --server relay:4245";

const REASONS_EXAMPLES: &str = "\
Examples:
  netdrop reasons
  netdrop reasons --all -o json  those of Linux 5.17 to 6.18";

/// As the client says it.
fn version() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let (version, rustc, os) = (env!("CARGO_PKG_VERSION"), env!("NETDROP_RUSTC"), std::env::consts::OS);
    format!("netdrop v{version} compiled with {rustc} on {os}/{arch}\n")
}

fn command() -> Command {
    Command::new("netdrop")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Why did this packet die, who killed it, and whose was it?")
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .help("File with values for flags, as `server: tls://relay:443` [default: netdrop/config.yaml in the config folder]"),
        )
        .arg(
            Arg::new("debug")
                .long("debug")
                .short('D')
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Say more on stderr"),
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXAMPLES)
        .subcommand(observe::command())
        .subcommand(record::command())
        .subcommand(netdrop::config::command())
        .subcommand(described::<relay::RelayArgs>("relay", "Serve the flows of all nodes as one, in order"))
        .subcommand(described::<status_local::StatusArgs>(
            "status",
            "State of an agent or relay, or of this machine (--local)",
        ).after_help(STATUS_EXAMPLES))
        .subcommand(
            list::List::augment_subcommands(Command::new("list"))
                .about("List nodes or namespaces that a server knows")
                .long_about(None)
                .after_help(LIST_EXAMPLES)
                .subcommand_required(true)
                .arg_required_else_help(true),
        )
        .subcommand(
            list::Watch::augment_subcommands(Command::new("watch"))
                .about("Watch nodes come and go")
                .long_about(None)
                .visible_alias("w")
                .after_help(WATCH_EXAMPLES)
                .subcommand_required(true)
                .arg_required_else_help(true),
        )
        .subcommand(described::<reasons::ReasonsArgs>("reasons", "List this kernel's drop reasons").after_help(REASONS_EXAMPLES))
        .subcommand(described::<explain::ExplainArgs>("explain", "What a drop reason means and what to do next").after_help(EXPLAIN_EXAMPLES))
        .subcommand(config::command())
        .subcommand(Command::new("version").about("Show the version, and what it was built with"))
        .subcommand(completion::command())
        .subcommand(manual::man_command())
}

/// The flags' own description is that of the flags, not of the command.
fn described<A: Args>(name: &'static str, about: &'static str) -> Command {
    A::augment_args(Command::new(name)).about(about).long_about(None)
}

fn main() -> ExitCode {
    let matches = match args::parse(command(), std::env::args_os()) {
        Ok(matches) => matches,
        Err(args::Refused::Shown(text)) => {
            drop(io::stdout().write_all(text.as_bytes()));
            return ExitCode::SUCCESS;
        }
        Err(args::Refused::Wrong(why)) => {
            app::say(format_args!("{why}"));
            return ExitCode::FAILURE;
        }
    };
    if leaf(&matches).get_flag("debug") {
        app::log_more(args::config_file(leaf(&matches)).as_deref());
    } else if is_for_a_person(&matches) {
        app::log_trouble();
    }
    if let Some(line) = args::strange_settings() {
        app::say(format_args!("netdrop: {line}"));
    }
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            app::say(format_args!("{}", args::blamed(format!("{e:#}"))));
            ExitCode::FAILURE
        }
    }
}

/// Servers have logs of their own, and who asked for silence has none.
fn is_for_a_person(matches: &ArgMatches) -> bool {
    let silent =
        leaf(matches).try_get_one::<bool>("silent-errors").ok().flatten().is_some_and(|silent| *silent);
    !silent && !matches!(matches.subcommand_name(), Some("agent" | "relay"))
}

/// What was typed of the innermost command.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| leaf(inner))
}

fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("observe", m)) => observed(m),
        Some(("record", m)) => {
            let (observe, record) = record::from_matches(m)?;
            app::run(app::record(observe, record, app::end_signal()))
        }
        Some(("agent", m)) => {
            let loaded = app::load(m)?;
            if loaded.args.print_config {
                return to_stdout(|out| {
                    out.extend(loaded.print().bytes());
                    Ok(())
                });
            }
            let set_level = app::log_at(&loaded.args.log_level);
            app::run(app::agent(m.clone(), loaded, set_level, app::stop_signal()))
        }
        Some(("status", m)) => {
            to_stdout(|out| app::run(app::status(&status_local::StatusArgs::from_arg_matches(m)?, out)))
        }
        Some(("relay", m)) => {
            app::log_to_stderr();
            app::run(app::relay(relay::RelayArgs::from_arg_matches(m)?, app::stop_signal()))
        }
        Some(("list", m)) => {
            let what = list::List::from_arg_matches(m)?;
            to_stdout(|out| app::run(app::list(&what, out)))
        }
        Some(("watch", m)) => app::run(app::watch(list::Watch::from_arg_matches(m)?, app::output_gone())),
        Some(("reasons", m)) => {
            to_stdout(|out| reasons::run(&reasons::ReasonsArgs::from_arg_matches(m)?, out))
        }
        Some(("explain", m)) => {
            to_stdout(|out| explain::run(&explain::ExplainArgs::from_arg_matches(m)?, out))
        }
        Some(("config", m)) => to_stdout(|out| config::run(&command(), m, out)),
        Some(("version", _)) => to_stdout(|out| {
            out.extend(version().bytes());
            Ok(())
        }),
        Some(("completion", m)) => to_stdout(|out| completion::write(command(), m, out)),
        Some(("man", m)) => manual::man(command(), m).map(drop),
        _ => Ok(()),
    }
}

/// Flows, or one of the other kinds.
fn observed(m: &ArgMatches) -> anyhow::Result<()> {
    if let Some((kind, m)) = m.subcommand().and_then(|(name, m)| Some((EventKind::from_name(name)?, m))) {
        return app::run(app::events(EventsConfig::from_matches(kind, m)?, app::end_of_output()));
    }
    app::run(app::observe(observe::ObserveConfig::from_matches(m)?, app::end_of_output()))
}

fn to_stdout(write: impl FnOnce(&mut Vec<u8>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut text = Vec::new();
    let written = write(&mut text);
    // What was said before an error is part of the answer.
    app::print(text)?;
    written
}

/// Whoever read our output has gone: an end, not an error.
fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.chain().any(|c| c.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
