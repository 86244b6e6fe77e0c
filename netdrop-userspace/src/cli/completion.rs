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
    let keys = super::config::keys(&root);
    let hidden: Vec<_> = root.get_subcommands().filter(|c| c.is_hide_set()).map(Command::get_name).collect();
    let hidden: Vec<String> = hidden.into_iter().map(str::to_owned).collect();
    let mut root = hinted(root, &keys);
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut root, "netdrop", &mut text);
    if shell == Shell::Fish {
        text = for_fish(&text, &hidden, &keys);
    }
    Ok(out.write_all(&text)?)
}

/// What the generator leaves to be done for fish: it knows no values of words that are no flags, and offers hidden commands.
fn for_fish(script: &[u8], hidden: &[String], keys: &[&str]) -> Vec<u8> {
    let mut out = String::new();
    let offers = |line: &str, name: &String| line.contains(&format!(" -a \"{name}\""));
    for line in String::from_utf8_lossy(script).lines().filter(|l| !hidden.iter().any(|name| offers(l, name)))
    {
        out.extend([line, "\n"]);
    }
    let reasons: Vec<_> = explain::names().collect();
    let mut words = |when: &str, what: &[&str]| {
        let what = what.join(" ");
        out.extend(["complete -c netdrop -n \"", when, "\" -f -a \"", &what, "\"\n"]);
    };
    words("__fish_netdrop_using_subcommand explain", &reasons);
    words("__fish_netdrop_using_subcommand config; and __fish_seen_subcommand_from get set reset", keys);
    out.into_bytes()
}

/// With the values that flags take. When flags are read, they are checked in the words of each flag.
fn hinted(command: Command, keys: &[&'static str]) -> Command {
    let name = command.get_name().to_owned();
    command.mut_args(|arg| hint(&name, arg, keys)).mut_subcommands(|c| hinted(c, keys))
}

fn hint(command: &str, arg: Arg, keys: &[&'static str]) -> Arg {
    let takes = arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.max_values() > 0);
    if !takes || !arg.get_possible_values().is_empty() {
        return arg;
    }
    let values = match (command, arg.get_id().as_str()) {
        ("get" | "set" | "reset", "words") => keys.to_vec(),
        (command, flag) => values(command, flag),
    };
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
        let root =
            root.subcommand(crate::cli::config::command()).subcommand(crate::cli::manual::man_command());
        let explain = Command::new("explain").arg(Arg::new("name"));
        let root = root.subcommand(explain);
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

    /// Words that are no flags.
    #[test]
    fn names_and_keys_are_completed() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell);
            let with = |words: &[&str]| script.lines().any(|l| words.iter().all(|w| l.contains(w)));
            // A line of one shell, a table of several lines in another.
            assert!(with(&["NO_SOCKET", "NETFILTER_DROP"]) || shell == "zsh", "{shell}");
            assert!(
                with(&["tls-server-name", "request-timeout", "kube-context", "config"]) || shell == "zsh",
                "{shell}"
            );
            assert!(script.contains("tls-client-key-file"), "{shell}");
        }
        let fish = script("fish");
        let line =
            |when: &str| fish.lines().find(|l| l.contains(when) && l.contains(" -f -a ")).map(str::to_owned);
        assert!(line("using_subcommand explain\"").unwrap().contains(" NO_SOCKET "));
        assert!(line("from get set reset\"").unwrap().contains(" server "));
        assert!(!fish.contains("-a \"man\""), "{fish}");
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
