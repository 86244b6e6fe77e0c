//! `netdrop completion`: what a shell needs, from the definition of the command line.

use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, ValueHint};
use clap_complete::Shell;

use crate::explain;
use crate::sink::TIME_FORMATS;
use crate::wire::json::{FLOW_DROP_REASON, FLOW_VERDICT, Names};

/// The subcommand.
pub fn command() -> Command {
    Command::new("completion")
        .about("Write what a shell needs to complete netdrop's words")
        .after_help(
            "Examples:\n  source <(netdrop completion bash)                                    in this shell, now\n  \
             netdrop completion bash > /etc/bash_completion.d/netdrop             for good\n  \
             netdrop completion zsh > \"${fpath[1]}/_netdrop\"                      for good, in zsh\n  \
             netdrop completion fish > ~/.config/fish/completions/netdrop.fish    for good, in fish",
        )
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(["bash", "zsh", "fish", "powershell"]),
        )
}

/// Writes the script.
pub fn write(root: Command, m: &ArgMatches, out: &mut dyn Write) -> anyhow::Result<()> {
    let shell = match m.get_one::<String>("shell").map_or("", String::as_str) {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        "powershell" => Shell::PowerShell,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut hinted(root), "netdrop", &mut text);
    Ok(out.write_all(&text)?)
}

/// With the values that flags take. When flags are read, they are checked in the words of each flag.
fn hinted(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command.mut_args(|arg| hint(&name, arg)).mut_subcommands(hinted)
}

fn hint(command: &str, arg: Arg) -> Arg {
    let takes = arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.max_values() > 0);
    if !takes || !arg.get_possible_values().is_empty() {
        return arg;
    }
    let values = values(command, arg.get_id().as_str());
    if !values.is_empty() {
        return arg.value_parser(PossibleValuesParser::new(values));
    }
    let names = arg.get_value_names().unwrap_or_default();
    let is = |what: &str| names.iter().any(|name| name.as_str().contains(what));
    let hint = match () {
        () if is("FILE") || arg.get_id().as_str().contains("file") => ValueHint::FilePath,
        () if is("FOLDER") => ValueHint::DirPath,
        () => ValueHint::Other,
    };
    arg.value_hint(hint)
}

fn values(command: &str, flag: &str) -> Vec<&'static str> {
    let names = |of: &'static Names| of.numbers().filter(|n| *n != 0).filter_map(|n| of.name(n)).collect();
    match (command, flag) {
        ("observe", "output") => vec!["compact", "dict", "table", "json", "wide", "pcapng"],
        ("agent-events" | "debug-events" | "status", "output") => vec!["compact", "dict", "table", "json"],
        ("nodes" | "namespaces", "output") => vec!["table", "wide", "json"],
        (_, "time-format") => TIME_FORMATS.iter().map(|f| f.0).collect(),
        (_, "color") => vec!["auto", "always", "never"],
        (_, "verdict") => names(&FLOW_VERDICT),
        (_, "drop-reason-desc") => names(&FLOW_DROP_REASON),
        ("explain", "name") | (_, "reason") => explain::names().collect(),
        (_, "type") => vec!["drop", "trace", "policy-verdict", "capture", "l7", "trace-sock"],
        (_, "protocol") => {
            vec!["tcp", "udp", "sctp", "icmp", "icmpv4", "icmpv6", "vrrp", "igmp", "dns", "http", "kafka"]
        }
        (_, "traffic-direction") => vec!["ingress", "egress"],
        (_, "ip-version") => vec!["v4", "v6", "none"],
        (_, "tcp-flags") => vec!["SYN", "ACK", "FIN", "RST", "PSH", "URG", "ECE", "CWR", "NS"],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(shell: &str) -> String {
        let root = Command::new("netdrop").subcommand(crate::cli::observe::command()).subcommand(command());
        let m = root.clone().try_get_matches_from(["netdrop", "completion", shell]).unwrap();
        let mut out = Vec::new();
        write(root, m.subcommand_matches("completion").unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_completed_in_each_shell() {
        for shell in ["bash", "zsh", "fish", "powershell"] {
            assert!(script(shell).contains("agent-events"), "{shell}");
        }
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell);
            for value in ["pcapng", "FORWARDED", "NETFILTER_DROP", "INVALID_SOURCE_IP", "RFC3339Nano", "igmp"]
            {
                assert!(script.contains(value), "{shell}: {value}");
            }
        }
    }

    /// A completed word is one that is taken.
    #[test]
    fn what_is_completed_is_read() {
        let root = || Command::new("netdrop").subcommand(crate::cli::observe::command());
        for flag in
            ["output", "verdict", "reason", "drop-reason-desc", "type", "protocol", "tcp-flags", "color"]
        {
            for value in values("observe", flag) {
                let words = ["netdrop", "observe", &format!("--{flag}"), value].map(Into::into);
                let m = crate::cli::args::parse(root(), words).unwrap();
                let read = crate::cli::observe::ObserveConfig::from_matches(
                    m.subcommand_matches("observe").unwrap(),
                );
                assert!(read.is_ok(), "--{flag} {value}: {read:?}");
            }
        }
    }
}
