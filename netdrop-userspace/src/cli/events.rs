//! `netdrop observe agent-events` and `debug-events`: flags to one validated config.

use anyhow::bail;
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches as _};

use super::output::{self, OutputConfig};
use super::selection::{self, Selection, selection};
use super::server_flags::ServerFlags;
use super::shown;
use crate::sink::Format;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// What happened to the agent.
    Agent,
    /// What its programs tell of themselves.
    Debug,
}

impl EventKind {
    /// By the name of its subcommand.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "agent-events" => Some(Self::Agent),
            "debug-events" => Some(Self::Debug),
            _ => None,
        }
    }
}

/// All that was typed.
#[derive(Clone, Debug)]
pub struct EventsConfig {
    /// Of which kind.
    pub kind: EventKind,
    /// Which part of those that the server keeps.
    pub selection: Selection,
    /// How to print.
    pub output: OutputConfig,
    /// Print the bare event as JSON.
    pub legacy_json: bool,
    /// Whom to ask.
    pub server: ServerFlags,
}

/// Flags that Hubble's client has here, too, where they make no difference.
const IDLE: [(&str, Option<char>); 2] = [("print-policy-names", None), ("silent-errors", Some('s'))];

const FORMATS: &str = "compact, dict, table or json";

/// The subcommands.
pub(super) fn commands() -> [Command; 2] {
    [
        command("agent-events", "Show what happened to an agent: its start, and what it met since")
            .after_help(
                "Examples:\n  netdrop observe agent-events --all                 all that the local agent remembers\n  \
                 netdrop observe agent-events -f -o json            as it happens, as JSON lines",
            ),
        command("debug-events", "Show debug events of a server of Cilium; netdrop's own agent has none"),
    ]
}

fn command(name: &'static str, about: &'static str) -> Command {
    let command = Command::new(name).args_override_self(true).next_help_heading("Selection");
    let command = selection::add(command)
        .mut_arg("follow", |a| a.help("Go on with new events"))
        .mut_arg("last", |a| a.help("The newest N (default 20)"))
        .mut_arg("first", |a| a.help("The oldest N"))
        .mut_arg("all", |a| a.help("All that the server keeps"))
        .next_help_heading("Output");
    let mut command = output::add(command, FORMATS);
    for (name, short) in IDLE {
        let arg = Arg::new(name).long(name).action(ArgAction::SetTrue).hide(true);
        command = command.arg(match short {
            Some(short) => arg.short(short),
            None => arg,
        });
    }
    let server = "Agent to ask: unix:///PATH, HOST:PORT or tls://HOST:PORT [default: the local one]";
    ServerFlags::augment_args(command).mut_arg("server", |a| a.help(server)).about(about).long_about(None)
}

impl EventsConfig {
    /// Checks all that was typed.
    pub fn from_matches(kind: EventKind, m: &ArgMatches) -> anyhow::Result<Self> {
        let server = ServerFlags::from_arg_matches(m)?;
        server.check()?;
        let own = |format| matches!(format, Format::Wide | Format::Pcapng);
        let format = output::format(m, FORMATS, |format| !own(format))?;
        let selection = selection(m)?;
        if format == Format::Table && selection.follow {
            bail!("table output format is not compatible with follow mode");
        }
        let typed = m.get_one::<String>("output").map_or("", String::as_str);
        if server.named() == ["none"] && !server.forward.port_forward {
            bail!(
                "--server none captures here, which makes flows and no events: leave it out to ask the local agent"
            );
        }
        Ok(Self {
            kind,
            selection,
            output: output::output(m, format)?,
            legacy_json: format == Format::Json && typed != "jsonpb" && shown::legacy_asked(),
            server,
        })
    }
}
