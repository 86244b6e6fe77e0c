//! Flags that say which part of a server's history, and whether to go on.

use anyhow::{anyhow, bail};
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Command};
use jiff::Timestamp;

use super::time;
use crate::go;

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

/// Adds the flags.
pub(super) fn add(command: Command) -> Command {
    let number =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("N").help(help);
    let time =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("TIME").help(help);
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    command
        .arg(switch("follow", "Go on with new flows (live capture always does)").short('f'))
        .arg(number("last", "The newest N of an agent's history (default 20)"))
        .arg(number("first", "The oldest N of an agent's history; live: the next N"))
        .arg(switch("all", "An agent's whole history"))
        .arg(time("since", "Not before: 5m, 1h30m, 2025-01-02, 2025-01-02T03:04:05Z"))
        .arg(time("until", "Not after"))
}

/// A number as the client reads it, also as `0x10`.
pub(super) fn count(m: &ArgMatches, name: &str) -> anyhow::Result<Option<u64>> {
    let number = |text: &String| {
        go::parse_uint(text, 0, 64)
            .map_err(|why| anyhow!("invalid argument {} for \"--{name}\" flag: {why}", go::quote(text)))
    };
    m.get_one::<String>(name).map(number).transpose()
}

pub(super) fn selection(m: &ArgMatches) -> anyhow::Result<Selection> {
    let time = |name: &str| -> anyhow::Result<Option<Timestamp>> {
        let text = m.get_one::<String>(name).filter(|text| !text.is_empty());
        text.map(|text| time::instant(text, Timestamp::now(), name).map_err(|why| anyhow!(why))).transpose()
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
    let since = time("since")?;
    // Following has no end.
    let until = if follow { None } else { time("until")? };
    Ok(Selection { last, first, all, follow, since, until })
}
