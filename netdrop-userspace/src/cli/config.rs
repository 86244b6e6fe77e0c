//! `netdrop config`: the config file, seen and changed as Hubble's client does it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use super::settings::{Settings, default_path, texts, variable};
use super::{settings, time, yaml};
use crate::go;

const ABOUT: &str = "\
Show or change the config file. A flag's value is, in this order:

1. what was typed
2. NETDROP_<FLAG>, else HUBBLE_<FLAG>
3. the config file
4. its default

In names of variables letters are upper case and dashes underscores: that of --tls-server-name is NETDROP_TLS_SERVER_NAME. The
config file is YAML, a line for each flag, as `server: tls://relay.example:443`.";

/// What Hubble's client shows, set or not, as far as netdrop has it.
const SHOWN: [&str; 18] = [
    "basic-auth-password",
    "basic-auth-username",
    "config",
    "debug",
    "kube-context",
    "kube-namespace",
    "kubeconfig",
    "port-forward",
    "port-forward-port",
    "request-timeout",
    "server",
    "timeout",
    "tls",
    "tls-allow-insecure",
    "tls-ca-cert-files",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-server-name",
];

/// The command.
pub fn command() -> Command {
    let words = |name: &'static str| Arg::new(name).action(ArgAction::Append).num_args(0..);
    Command::new("config")
        .about("Show or change the config file")
        .long_about(ABOUT)
        .subcommand(
            Command::new("get")
                .about("Show one value, or all")
                .arg(words("words").value_name("KEY").help(KEY)),
        )
        .subcommand(
            Command::new("set")
                .about("Set a value in the config file; without one, its default")
                .arg(
                    words("words")
                        .value_names(["KEY", "VALUE"])
                        .help("A flag without its dashes, and its value"),
                )
                .after_help(EXAMPLES),
        )
        .subcommand(
            Command::new("reset")
                .about("Set one value, or all, to the default")
                .arg(words("words").value_name("KEY").help(KEY)),
        )
        .subcommand(Command::new("view").about("Show all values"))
}

const KEY: &str = "A flag without its dashes, as server";

const EXAMPLES: &str = "\
Examples:
  netdrop config set server tls://relay.example:443
  netdrop config set output json
  netdrop config set output         the default again";

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bool,
    Duration,
    List,
    Text,
}

/// A flag that can be set.
#[derive(Clone, Debug)]
struct Key {
    kind: Kind,
    default: String,
}

/// All flags of commands that read the file.
struct Keys(BTreeMap<String, Key>);

/// Does what was asked.
pub fn run(root: &Command, m: &ArgMatches, out: &mut Vec<u8>) -> anyhow::Result<()> {
    out.extend_from_slice(done(root, m)?.as_bytes());
    Ok(())
}

/// Gives what to print.
fn done(root: &Command, m: &ArgMatches) -> anyhow::Result<String> {
    let keys = Keys::of(root);
    let settings = || {
        Settings::load_or_new(m.get_one::<String>("config").map(String::as_str)).map_err(|why| anyhow!(why))
    };
    let Some((name, sub)) = m.subcommand() else {
        return Ok(command().render_long_help().to_string());
    };
    let words: Vec<&str> = match name {
        "view" => Vec::new(),
        _ => sub.get_many::<String>("words").into_iter().flatten().map(String::as_str).collect(),
    };
    match (name, &words[..]) {
        ("get", [key]) => keys.get(&settings()?, key),
        ("get" | "view", []) => Ok(keys.view(&settings()?)),
        // Hubble's client writes it, and finds its own file no more.
        ("set", ["config", ..]) | ("reset", ["config"]) if words.len() < 3 => {
            bail!("the config file does not name itself: choose it with --config FILE, or NETDROP_CONFIG")
        }
        ("set" | "reset", [key]) => keys.set(settings()?, key, ""),
        ("set", [key, value]) => keys.set(settings()?, key, value),
        ("reset", []) => keys.reset(settings()?),
        ("set", _) => {
            bail!("invalid arguments: set requires exactly 1 or 2 argument(s): got '{}'", words.join(" "))
        }
        _ => bail!("invalid arguments: {name} requires exactly 0 or 1 argument: got '{}'", words.join(" ")),
    }
}

/// The names of all that can be set; for who ends soon, since they stay.
pub(super) fn keys(root: &Command) -> Vec<&'static str> {
    Keys::of(root).0.into_keys().map(|name| &*name.leak()).collect()
}

impl Keys {
    fn of(root: &Command) -> Self {
        let mut root = root.clone();
        root.build();
        let mut keys = BTreeMap::new();
        for command in root.get_subcommands().filter(|c| !settings::WITHOUT.contains(&c.get_name())) {
            for arg in command.get_arguments() {
                let Some(name) = arg.get_long().filter(|n| !["not", "help", "version"].contains(n)) else {
                    continue;
                };
                keys.entry(name.to_owned()).or_insert_with(|| Key::of(arg));
            }
        }
        let path = default_path().map(|p| p.display().to_string()).unwrap_or_default();
        keys.insert("config".into(), Key { kind: Kind::Text, default: path });
        Self(keys)
    }

    fn key(&self, name: &str) -> anyhow::Result<&Key> {
        self.0.get(name).with_context(|| format!("unknown key: {name}"))
    }

    /// The value in force, as YAML.
    fn value(&self, settings: &Settings, name: &str) -> Value {
        let key = self.0.get(name);
        let kind = key.map_or(Kind::Text, |k| k.kind);
        let text = variable(name).map(|v| v.1);
        if name == "config" && text.is_none() {
            return settings.path.as_ref().map(|p| p.display().to_string()).unwrap_or_default().into();
        }
        let set = match text {
            Some(text) => Some(Value::String(text)),
            None => settings.values.get(name).filter(|v| !texts(v).is_empty()).cloned(),
        };
        let value = set.unwrap_or_else(|| Value::String(key.map_or("", |k| &k.default).to_owned()));
        match (kind, &value) {
            (Kind::List, Value::String(text)) => list(text),
            (Kind::Bool, Value::String(text)) => go::parse_bool(text).unwrap_or(false).into(),
            _ => value,
        }
    }

    fn get(&self, settings: &Settings, name: &str) -> anyhow::Result<String> {
        self.key(name)?;
        Ok(match self.value(settings, name) {
            Value::Array(all) if all.is_empty() => "[]\n".to_owned(),
            Value::Array(all) => {
                all.iter().flat_map(texts).fold(String::new(), |out, t| out + "- " + &yaml::scalar(&t) + "\n")
            }
            value => format!("{}\n", line(&value)),
        })
    }

    /// What Hubble's client shows, and what else is set.
    fn view(&self, settings: &Settings) -> String {
        let is_set = |name: &str| variable(name).is_some() || settings.values.contains_key(name);
        let shown = self.0.keys().filter(|name| SHOWN.contains(&name.as_str()) || is_set(name));
        document(shown.map(|name| (name.as_str(), self.value(settings, name))))
    }

    fn set(&self, mut settings: Settings, name: &str, value: &str) -> anyhow::Result<String> {
        let value = self.key(name)?.parse(name, value)?;
        settings.values.insert(name.to_owned(), value);
        write_file(&settings)?;
        Ok(String::new())
    }

    fn reset(&self, mut settings: Settings) -> anyhow::Result<String> {
        for name in SHOWN.iter().filter(|n| **n != "config") {
            if let Some(key) = self.0.get(*name) {
                settings.values.insert((*name).to_owned(), key.parse(name, "")?);
            }
        }
        settings.values.retain(|name, _| SHOWN.contains(&name.as_str()) && name != "config");
        write_file(&settings)?;
        Ok(String::new())
    }
}

impl Key {
    fn of(arg: &Arg) -> Self {
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
        let default = defaults.join(",");
        let kind = match arg.get_action() {
            ArgAction::SetTrue => Kind::Bool,
            // Several are one text here, too, with commas.
            _ if arg.get_long() == Some("server") => Kind::Text,
            ArgAction::Append => Kind::List,
            _ if go::parse_bool(&default).is_ok() && default.parse::<u64>().is_err() => Kind::Bool,
            _ if time::duration(&default).is_some_and(|d| !d.is_zero()) => Kind::Duration,
            _ => Kind::Text,
        };
        Self {
            kind,
            default: if kind == Kind::Bool && default.is_empty() { "false".into() } else { default },
        }
    }

    /// A typed value, or the default for none.
    fn parse(&self, name: &str, typed: &str) -> anyhow::Result<Value> {
        let text = if typed.is_empty() { self.default.as_str() } else { typed };
        let wrong = |kind: &str, why: &str| {
            anyhow!("cannot assign value={typed} for key={name}, expected type={kind}: {why}")
        };
        Ok(match self.kind {
            Kind::Bool => go::parse_bool(text).map_err(|why| wrong("bool", &why))?.into(),
            Kind::List => list(text.trim_start_matches('[').trim_end_matches(']')),
            Kind::Text => text.into(),
            Kind::Duration => {
                // A bare number is one of nanoseconds.
                let bare = text.parse().ok().map(Duration::from_nanos);
                let span = bare.or_else(|| time::duration(text)).ok_or_else(|| {
                    wrong("duration", &format!("time: invalid duration {}", go::quote(text)))
                })?;
                go::duration(span).into()
            }
        })
    }
}

fn list(text: &str) -> Value {
    text.split(',').filter(|t| !t.is_empty()).map(Value::from).collect()
}

fn line(value: &Value) -> String {
    match value {
        Value::String(text) => yaml::scalar(text),
        other => other.to_string(),
    }
}

/// A YAML document, by key.
fn document<'a>(values: impl Iterator<Item = (&'a str, Value)>) -> String {
    let mut out = String::new();
    for (name, value) in values {
        match &value {
            Value::Array(all) if !all.is_empty() => {
                out.extend([name, ":\n"]);
                out.extend(all.iter().map(|v| format!("    - {}\n", line(v))));
            }
            value => out.extend([name, ": ", &line(value), "\n"]),
        }
    }
    if out.is_empty() { "{}\n".to_owned() } else { out }
}

fn write_file(settings: &Settings) -> anyhow::Result<()> {
    let path = settings.path.as_deref().filter(|p| *p != Path::new("")).context("config file undefined")?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder of the config file, {}", folder.display()))?;
    }
    let text = document(settings.values.iter().map(|(name, value)| (name.as_str(), value.clone())));
    std::fs::write(path, text).with_context(|| format!("cannot write the config file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;

    fn said(line: &[&str]) -> anyhow::Result<String> {
        let text = |name: &'static str| Arg::new(name).long(name).global(true);
        let words = ["netdrop"].iter().chain(line).map(Into::into);
        let root = Command::new("netdrop")
            .arg(text("config"))
            .arg(text("server"))
            .subcommand(Command::new("observe"));
        let root = root.subcommand(command());
        let m = args::parse(root.clone(), words).map_err(|e| anyhow!("{e:?}"))?;
        done(&root, m.subcommand_matches("config").context("config")?)
    }

    #[test]
    fn a_file_that_is_not_there_is_made_with_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a/b/new.yaml");
        let named = file.to_str().unwrap();
        assert_eq!(said(&["--config", named, "config", "get", "config"]).unwrap(), format!("{named}\n"));
        assert!(!file.exists() && said(&["--config", named, "config", "set", "nope", "x"]).is_err());
        assert!(!file.exists());
        assert_eq!(said(&["--config", named, "config", "set", "server", "x:1"]).unwrap(), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "server: x:1\n");
        for line in [&["set", "config", "x"][..], &["set", "config"], &["reset", "config"]] {
            let e = said(&[&["--config", named, "config"], line].concat()).unwrap_err().to_string();
            assert!(e.contains("--config FILE"), "{e}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "server: x:1\n");
        let folder = home.path().to_str().unwrap();
        let e = said(&["--config", folder, "config", "set", "server", "x:1"]).unwrap_err().to_string();
        assert!(e.contains(&format!("cannot read the config file {folder}: ")), "{e}");
    }
}
