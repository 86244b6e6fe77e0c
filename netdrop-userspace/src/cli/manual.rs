//! What is made from the definition of the command line: completion for shells, and man pages.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

/// `netdrop completion`.
pub fn completion_command() -> Command {
    Command::new("completion")
        .about("Write what a shell needs to complete netdrop's words")
        .after_help(
            "For bash, now: source <(netdrop completion bash); for good: netdrop completion bash > /etc/bash_completion.d/netdrop",
        )
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(["bash", "zsh", "fish", "powershell"]),
        )
}

/// `netdrop man`, for whoever packages netdrop.
pub fn man_command() -> Command {
    Command::new("man")
        .about("Write the man pages into a folder")
        .hide(true)
        .arg(Arg::new("folder").value_name("FOLDER").required(true).value_parser(value_parser!(PathBuf)))
}

/// Writes the script.
pub fn completion(mut root: Command, m: &ArgMatches, out: &mut dyn Write) -> anyhow::Result<()> {
    let shell = match m.get_one::<String>("shell").map_or("", String::as_str) {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        "powershell" => Shell::PowerShell,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut root, "netdrop", &mut text);
    Ok(out.write_all(&text)?)
}

/// Writes a page for each command; gives how many.
pub fn man(root: Command, m: &ArgMatches) -> anyhow::Result<usize> {
    let folder = m.get_one::<PathBuf>("folder").map_or(Path::new("."), PathBuf::as_path);
    let wrong = || format!("cannot write man pages to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(wrong)?;
    clap_mangen::generate_to(root, folder).with_context(wrong)?;
    Ok(std::fs::read_dir(folder).with_context(wrong)?.count())
}
