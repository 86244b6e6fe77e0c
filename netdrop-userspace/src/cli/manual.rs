//! `netdrop man`: man pages, from the definition of the command line.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// `netdrop man`, for whoever packages netdrop.
pub fn man_command() -> Command {
    Command::new("man").about("Write the man pages into a folder").hide(true).arg(
        Arg::new("folder")
            .value_name("FOLDER")
            .help("Made if it is not there")
            .required(true)
            .value_parser(value_parser!(PathBuf)),
    )
}

/// Writes a page for each command; gives how many.
pub fn man(root: Command, m: &ArgMatches) -> anyhow::Result<usize> {
    let folder = m.get_one::<PathBuf>("folder").map_or(Path::new("."), PathBuf::as_path);
    let wrong = || format!("cannot write man pages to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(wrong)?;
    let mut root = root.disable_help_subcommand(true);
    root.build();
    let pages = pages(&root);
    for (name, text) in &pages {
        std::fs::write(folder.join(format!("{name}.1")), text).with_context(wrong)?;
    }
    Ok(pages.len())
}

/// Name and text of all pages.
fn pages(root: &Command) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut left = vec![(root, None)];
    while let Some((command, above)) = left.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = page(command, &name, above, &mut text);
        left.extend(commands(command).map(|c| (c, Some(name.clone()))));
        all.push((name, text));
    }
    all
}

fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|c| !c.is_hide_set())
}

fn page(command: &Command, name: &str, above: Option<String>, out: &mut Vec<u8>) -> io::Result<()> {
    let version = concat!("netdrop ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name.to_uppercase()).source(version).manual("netdrop");
    man.render_title(out)?;
    man.render_name_section(out)?;
    synopsis(command).to_writer(out)?;
    // What is only one line stands beside the name already.
    let long = command.get_long_about().map(|about| prose("DESCRIPTION", &about.to_string()));
    long.unwrap_or_default().to_writer(out)?;
    man.render_options_section(out)?;
    if commands(command).next().is_some() {
        man.render_subcommands_section(out)?;
    }
    if let Some(after) = command.get_after_help() {
        after_help(&after.to_string()).to_writer(out)?;
    }
    let ends: &[(&str, &str)] = match name {
        _ if above.is_none() => &ENDS,
        "netdrop-agent" => &AGENT,
        _ => &[],
    };
    for (title, text) in ends {
        prose(title, text).to_writer(out)?;
    }
    see_also(command, name, above).to_writer(out)
}

/// One line: which flags there are stands below it.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let lines: Vec<&str> = usage.lines().map(str::trim).collect();
    for (i, line) in lines.iter().enumerate() {
        roff.text([bold(*line)]);
        if i + 1 < lines.len() {
            roff.control("br", []);
        }
    }
    roff
}

fn prose(title: &str, text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (i, part) in text.split("\n\n").enumerate() {
        if i > 0 {
            roff.control("PP", []);
        }
        as_it_stands(part, &mut roff);
    }
    roff
}

/// Lines that stay lines, as a list; others flow.
fn as_it_stands(part: &str, roff: &mut Roff) {
    let listed = part.lines().count() > 1;
    if listed {
        roff.control("nf", []);
    }
    for line in part.lines() {
        roff.text([roman(line)]);
    }
    if listed {
        roff.control("fi", []);
    }
}

/// `Title:` and the lines below it, one after the other.
fn after_help(text: &str) -> Roff {
    let mut roff = Roff::new();
    for part in text.split("\n\n") {
        let (title, lines) = part.split_once('\n').unwrap_or(("Notes:", part));
        roff.control("SH", [title.trim_end_matches(':').to_uppercase().as_str()]);
        if title == "Examples:" {
            roff.control("nf", []);
            for line in lines.lines() {
                roff.text([roman(line.trim_start())]);
            }
            roff.control("fi", []);
        } else {
            for line in lines.lines() {
                roff.text([roman(line.trim())]);
            }
        }
    }
    roff
}

const ENDS: [(&str, &str); 3] = [
    (
        "EXIT STATUS",
        "0 if all was done, also where a signal or a closed pipe ended it; 1 for any error, with one line about it on standard error.",
    ),
    (
        "ENVIRONMENT",
        "A client's flag that is not typed is read from NETDROP_ and its name in upper case with underscores, as \
         NETDROP_TLS_SERVER_NAME, else from the variable that Hubble's client reads, as HUBBLE_SERVER. A format that is set so is that \
         of observe. netdrop-agent(1) and netdrop-relay(1) name their own.\n\nRUST_LOG chooses what is logged. NO_COLOR, if set, \
         turns colours off.",
    ),
    (
        "FILES",
        "~/.config/netdrop/config.yaml, or in $XDG_CONFIG_HOME: values for flags that are neither typed nor in the environment; see \
         netdrop-config(1).\n\n/run/netdrop/netdrop.sock: the local agent.",
    ),
];

const AGENT: [(&str, &str); 2] = [
    (
        "SIGNALS",
        "SIGHUP: the settings are read again, and files of log feeds are opened anew. SIGTERM and SIGINT: what is under way is told, \
         and the agent ends.",
    ),
    (
        "FILES",
        "/run/netdrop/netdrop.sock: where clients of this machine ask, root and the group of --socket-group.\n\n/sys/kernel/btf/vmlinux: \
         needed; what the running kernel is made of.",
    ),
];

fn see_also(command: &Command, name: &str, above: Option<String>) -> Roff {
    let below = commands(command).map(|c| format!("{name}-{}", c.get_name()));
    let others: &[&str] = match name {
        "netdrop-observe" => &["netdrop-explain", "netdrop-record"],
        "netdrop-record" => &["netdrop-observe"],
        "netdrop-explain" => &["netdrop-reasons"],
        "netdrop-agent" => &["netdrop-observe", "netdrop-status", "netdrop-relay"],
        "netdrop-relay" => &["netdrop-agent"],
        "netdrop-reasons" => &["netdrop-explain"],
        _ => &[],
    };
    let all = above.into_iter().chain(below).chain(others.iter().map(ToString::to_string));
    let all: Vec<String> = all.map(|name| format!("{name}(1)")).collect();
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(all.join(", "))]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_all_its_flags() {
        let mut root = Command::new("netdrop").about("a").disable_help_subcommand(true);
        root = root.subcommand(crate::cli::observe::command()).subcommand(crate::cli::record::command());
        root = root.subcommand(crate::cli::agent::command());
        root.build();
        let pages = pages(&root);
        let names: Vec<&str> = pages.iter().map(|p| p.0.as_str()).collect();
        for name in ["netdrop", "netdrop-observe", "netdrop-observe-agent-events", "netdrop-record"] {
            assert!(names.contains(&name), "{names:?}");
        }
        let text = |name: &str| {
            let page = &pages.iter().find(|p| p.0 == name).unwrap().1;
            String::from_utf8(page.clone()).unwrap().replace("\\-", "-")
        };
        let observe = text("netdrop-observe");
        for command in root.get_subcommands().filter(|c| c.get_name() == "observe") {
            for flag in command.get_arguments().filter(|a| !a.is_hide_set()).filter_map(Arg::get_long) {
                assert!(observe.contains(&format!("--{flag}\\fR")), "--{flag}");
            }
        }
        for title in ["SYNOPSIS", "\"FILTERS: WHOSE\"", "EXAMPLES", "\"HOW FILTERS COMBINE\"", "\"SEE ALSO\""]
        {
            assert!(observe.contains(&format!(".SH {title}\n")), "{title}: {observe}");
        }
        assert!(text("netdrop").contains(".SH \"EXIT STATUS\""));
        let agent = text("netdrop-agent");
        for word in ["\\fBNODE_NAME\\fR", "\\fBNETDROP_LISTEN_ADDRESS\\fR", ".SH SIGNALS\n", ".SH EXAMPLES\n"]
        {
            assert!(agent.contains(word), "{word}: {agent}");
        }
    }
}
