//! Every command line that help and documents show is one that netdrop takes.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Words as a shell would make them, up to a pipe, a redirection, a comment or the end.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
            (_, Some(q)) if q == c => quote = None,
            (' ', None) => words.extend(word.take()),
            ('|' | '>' | '&' | ';' | ')', None) => break,
            ('#', None) if word.is_none() => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A command line of netdrop's: at the beginning, after a prompt, or in a pod.
fn of_line(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start().trim_start_matches("$ ");
    let inner =
        ["-- netdrop ", "<(netdrop "].iter().find_map(|before| Some(line.find(before)? + before.len() - 8));
    let line = &line[inner.unwrap_or(0)..];
    line.starts_with("netdrop ").then(|| words(line))
}

#[test]
fn examples_of_help_are_taken() {
    let mut left = vec![command()];
    let mut seen = 0;
    while let Some(at) = left.pop() {
        left.extend(at.get_subcommands().cloned());
        let after = at.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in after.lines() {
            // Beside the example stands what it is for.
            let line = line.trim_start();
            let line = line.split_once("  ").map_or(line, |(example, _)| example);
            seen += usize::from(taken("help", line));
        }
    }
    assert!(seen > 30, "{seen} examples");
}

#[test]
fn command_lines_of_documents_are_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "docs/agent.md", "docs/reasons.md", "deploy/relay-tls/README.md"]
            .iter()
            .map(|file| root.join(file))
            .collect();
    files.sort();
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap().replace("\\\n", " ");
        let name = file.display().to_string();
        for line in text.lines() {
            let is_shown = line.starts_with("    ") || line.starts_with("$ ");
            seen += usize::from(is_shown && taken(&name, line));
            // In a sentence, a command alone is its name.
            let codes = line.split('`').skip(1).step_by(2).filter(|code| code.split(' ').count() > 2);
            seen += codes.filter(|code| taken(&name, code)).count();
        }
    }
    assert!(seen > 30, "{seen} command lines");
}

/// Whether this is a command line of netdrop's; it must be a good one.
fn taken(place: &str, line: &str) -> bool {
    let Some(words) = of_line(line) else { return false };
    match args::parse(command(), words.iter().map(Into::into)) {
        Ok(matches) => {
            if let Some(("observe", m)) = matches.subcommand()
                && m.subcommand().is_none()
            {
                let config = observe::ObserveConfig::from_matches(m);
                assert!(config.is_ok(), "{place}: {line}: {:#}", config.unwrap_err());
            }
        }
        Err(args::Refused::Shown(_)) => {}
        Err(args::Refused::Wrong(why)) => panic!("{place}: {line}: {why}"),
    }
    true
}
