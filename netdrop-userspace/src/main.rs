//! The `netdrop` command.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};
use netdrop::app;
use netdrop::cli::{args, explain, observe, reasons, record, status_local};
use netdrop::config;

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
        .subcommand(observe::command())
        .subcommand(record::command())
        .subcommand(config::command())
        .subcommand(status_local::StatusArgs::augment_args(
            Command::new("status").about("State of an agent, or of this machine (--local)"),
        ))
        .subcommand(reasons::ReasonsArgs::augment_args(
            Command::new("reasons").about("List this kernel's drop reasons"),
        ))
        .subcommand(explain::ExplainArgs::augment_args(
            Command::new("explain").about("What a drop reason means and what to do next"),
        ))
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
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            app::say(format_args!("{e:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("observe", m)) => {
            app::run(app::observe(observe::ObserveConfig::from_matches(m)?, app::stop_signal()))
        }
        Some(("record", m)) => {
            let (observe, record) = record::from_matches(m)?;
            app::run(app::record(observe, record, app::stop_signal()))
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
        Some(("reasons", m)) => {
            to_stdout(|out| reasons::run(&reasons::ReasonsArgs::from_arg_matches(m)?, out))
        }
        Some(("explain", m)) => {
            to_stdout(|out| explain::run(&explain::ExplainArgs::from_arg_matches(m)?, out))
        }
        _ => Ok(()),
    }
}

fn to_stdout(write: impl FnOnce(&mut Vec<u8>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut text = Vec::new();
    write(&mut text)?;
    Ok(io::stdout().write_all(&text)?)
}

/// Whoever read our output has gone: an end, not an error.
fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.chain().any(|c| c.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe))
}
