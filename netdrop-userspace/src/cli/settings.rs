//! Flags that were not typed: from the environment and the config file.
//!
//! A flag's value is, in this order: what was typed, `NETDROP_<FLAG>`, `HUBBLE_<FLAG>`, the config file, its default. In names of
//! variables letters are upper case, and dashes underscores.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::builder::ArgAction;
use clap::{Arg, Command};
use serde_json::Value;

use super::args::{Flag, invalid};
use super::flags::EXCLUSIVE;
use crate::config::SyntaxError;
use crate::go;
use crate::kernel::reasons::closest;

/// Commands that have files of their own, or no flags that are kept.
pub(super) const WITHOUT: [&str; 7] = ["agent", "relay", "config", "completion", "man", "help", "version"];
/// Of those the one that takes its flags from a file where one is named, as Hubble's relay does. Variables are those that its help names.
pub(super) const RELAY: &str = "relay";
/// Flags that make no sense without their place on the command line, or are for one call only.
const NEVER: [&str; 4] = ["not", "help", "version", "config"];

/// What the config file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) path: Option<PathBuf>,
    pub(super) values: BTreeMap<String, Value>,
}

/// Where the config file is: in the user's config folder, or else in a hidden one of netdrop's own.
pub(super) fn default_path() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = var("HOME");
    let config = var("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|h| h.join(".config")));
    let first = config.map(|c| c.join("netdrop/config.yaml"));
    let second = home.map(|h| h.join(".netdrop/config.yaml")).filter(|p| p.exists());
    match first {
        Some(first) if first.exists() => Some(first),
        first => second.or(first),
    }
}

/// A variable of netdrop's own, else one that Hubble's client reads; an empty one is none.
pub(super) fn variable(flag: &str) -> Option<(String, String)> {
    let name = flag.to_ascii_uppercase().replace('-', "_");
    ["NETDROP", "HUBBLE"].iter().find_map(|prefix| {
        let name = format!("{prefix}_{name}");
        let value = std::env::var(&name).ok().filter(|v| !v.is_empty())?;
        // In a pod, beside a service of this name: the address of its port.
        let linked = flag == "port" && value.contains("://");
        (!linked).then_some((name, value))
    })
}

/// The file that flags are read from, if it is there.
pub(super) fn in_use(named: Option<&str>) -> Option<PathBuf> {
    let named = named.map(str::to_owned).or_else(|| variable("config").map(|v| v.1));
    named.filter(|p| !p.is_empty()).map(PathBuf::from).or_else(default_path).filter(|p| p.is_file())
}

impl Settings {
    /// Reads the file that was named, else the one in its usual place, which need not be there.
    pub(super) fn load(named: Option<&str>) -> Result<Self, String> {
        Self::of_file(named, true)
    }

    /// The same for who changes it: a file that is not there yet is an empty one.
    pub(super) fn load_or_new(named: Option<&str>) -> Result<Self, String> {
        Self::of_file(named, false)
    }

    fn of_file(named: Option<&str>, named_is_there: bool) -> Result<Self, String> {
        let named = named.map(str::to_owned).or_else(|| variable("config").map(|v| v.1));
        let must_be = named.as_ref().is_some_and(|p| !p.is_empty());
        let Some(path) = named.filter(|p| !p.is_empty()).map(PathBuf::from).or_else(default_path) else {
            return Ok(Self::default());
        };
        let values = match std::fs::read_to_string(&path) {
            Ok(text) => read(&path, &text)?,
            // Another user's home, for one: a file that nobody asked for is no reason to end.
            Err(e) if !named_is_there && e.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(e) if !must_be && matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                BTreeMap::new()
            }
            Err(e) => return Err(format!("cannot read the config file {}: {e}", path.display())),
        };
        Ok(Self { path: Some(path), values })
    }

    /// What no flag of any command is called, each with the nearest that there is.
    pub(super) fn strange(&self, root: &Command) -> Option<String> {
        let mut known = BTreeSet::from(["config"]);
        let mut left = vec![root];
        while let Some(command) = left.pop() {
            known.extend(command.get_arguments().filter_map(Arg::get_long));
            left.extend(command.get_subcommands());
        }
        let strange = self.values.keys().filter(|key| !known.contains(key.as_str()));
        let told: Vec<String> = strange
            .map(|key| match closest(key, known.iter().copied()) {
                Some(near) => format!("{} (did you mean {near}?)", go::quote(key)),
                None => go::quote(key),
            })
            .collect();
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        (!told.is_empty()).then(|| format!("{path}: no flag is called {}", told.join(", ")))
    }

    /// The flags of a command that were not typed, but are set elsewhere.
    /// Each with the variable or the file that it comes from.
    pub(super) fn flags(&self, command: &Command, typed: &[String]) -> Result<Vec<(Flag, String)>, String> {
        let mut out = Vec::new();
        let is_relay = command.get_name() == RELAY;
        if WITHOUT.contains(&command.get_name()) && !is_relay {
            return Ok(out);
        }
        for arg in command.get_arguments() {
            let Some(name) = arg.get_long() else { continue };
            if NEVER.contains(&name) || typed.iter().any(|t| t == name) || is_other(command, name) {
                continue;
            }
            if typed.iter().any(|typed| excludes(typed, name)) || is_relay && is_set(arg) {
                continue;
            }
            if let Some((variable, value)) = variable(name).filter(|_| !is_relay) {
                let flag = flag(arg, name, value).map_err(|why| format!("{variable}: {why}"))?;
                out.extend(flag.map(|flag| (flag, variable)));
                continue;
            }
            let path = self.path.as_deref().unwrap_or(Path::new("")).display().to_string();
            let mut values = self.values.get(name).map(texts).unwrap_or_default();
            // A list that is typed as one text.
            if values.len() > 1
                && matches!(arg.get_action(), ArgAction::Set)
                && let Some(between) = arg.get_value_delimiter()
            {
                values = vec![values.join(&between.to_string())];
            }
            for value in values {
                let flag = flag(arg, name, value).map_err(|why| format!("{path}: {why}"))?;
                out.extend(flag.map(|flag| (flag, path.clone())));
            }
        }
        Ok(out)
    }
}

/// Whether a flag that was typed makes no sense beside this one: then what is set elsewhere gives way.
fn excludes(typed: &str, name: &str) -> bool {
    const OTHERS: [&[&str]; 6] = [
        &["first", "last"],
        &["first", "all"],
        &["first", "follow"],
        &["last", "all"],
        // Where flows come from, and of which kind.
        &["server", "port-forward", "input-file"],
        &["ipv4", "ipv6", "ip-version"],
    ];
    let mut groups = EXCLUSIVE.iter().chain(&OTHERS);
    typed != name && groups.any(|group| group.contains(&typed) && group.contains(&name))
}

/// Other commands have other formats than that of flows, which is set.
fn is_other(command: &Command, flag: &str) -> bool {
    flag == "output" && command.get_name() != "observe"
}

/// Whether a flag's own variable is set, which comes before a file.
fn is_set(arg: &Arg) -> bool {
    arg.get_env().and_then(std::env::var_os).is_some_and(|value| !value.is_empty())
}

fn read(path: &Path, text: &str) -> Result<BTreeMap<String, Value>, String> {
    if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#') || l.trim() == "---") {
        return Ok(BTreeMap::new());
    }
    let values: BTreeMap<String, Value> = serde_saphyr::from_str(text).map_err(|e| {
        let e = SyntaxError::from(e);
        let line = e.line.map_or_else(String::new, |line| format!(" line {line}:"));
        format!("cannot read the config file {}:{line} {}", path.display(), e.why)
    })?;
    Ok(values.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect())
}

/// The values of a setting as they would be typed.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        other => vec![other.to_string()],
    }
}

/// As typed; a switch that is off is not.
fn flag(arg: &Arg, name: &str, value: String) -> Result<Option<Flag>, String> {
    let name = name.to_owned();
    // Some switches stand for a value of another flag.
    let takes_none = arg.get_num_args().is_some_and(|n| n.max_values() == 0);
    if !takes_none && !matches!(arg.get_action(), ArgAction::SetTrue) {
        return Ok(Some(Flag { name, value: Some(value) }));
    }
    let on = go::parse_bool(&value).map_err(|why| invalid(arg, &value, &why))?;
    Ok(on.then_some(Flag { name, value: None }))
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;
    use crate::cli::relay::RelayArgs;

    fn text_flag(name: &'static str) -> Arg {
        Arg::new(name).long(name).action(ArgAction::Set)
    }

    #[test]
    fn what_no_flag_is_called_is_told() {
        let root = Command::new("netdrop").arg(text_flag("debug")).subcommand(crate::cli::observe::command());
        let strange = |text| {
            let settings = Settings { path: Some("f".into()), values: read(Path::new("f"), text).unwrap() };
            settings.strange(&root)
        };
        assert_eq!(strange("server: x:1\ndebug: true\nconfig: f\nport-forward: false\n"), None);
        assert_eq!(
            strange("sever: x:1\nxyzzyplugh: 1\n").unwrap(),
            "f: no flag is called \"sever\" (did you mean server?), \"xyzzyplugh\""
        );
    }

    #[test]
    fn a_file_gives_what_was_not_typed() {
        let text =
            "# mine\nfollow: true\noutput: json\nlast: 7\nverdict: [DROPPED, ERROR]\nallow: x\nall: false\n";
        let settings = Settings { path: None, values: read(Path::new("f"), text).unwrap() };
        let mut command = crate::cli::observe::command();
        command.build();
        let flags = settings.flags(&command, &["output".to_owned()]).unwrap();
        let mut shown: Vec<String> = flags
            .into_iter()
            .map(|(f, from)| {
                assert_eq!(from, "");
                f
            })
            .map(|f| f.value.map_or(f.name.clone(), |v| format!("{}={v}", f.name)))
            .collect();
        shown.sort();
        assert_eq!(shown, ["follow", "last=7", "verdict=DROPPED", "verdict=ERROR"]);
        let given_way = settings.flags(&command, &["first".to_owned(), "pod".to_owned()]).unwrap();
        assert!(given_way.iter().all(|(f, _)| f.name != "last" && f.name != "follow"), "{given_way:?}");
        assert!(excludes("server", "port-forward") && excludes("ipv6", "ipv4"));
        assert!(!excludes("server", "server") && !excludes("server", "tls"));
        let text = "all-namespaces: true\nipv4: false\nencrypted: 1\n";
        let settings = Settings { path: None, values: read(Path::new("f"), text).unwrap() };
        let flags = settings.flags(&command, &[]).unwrap();
        let shown: Vec<_> = flags.iter().map(|(f, _)| (f.name.as_str(), f.value.as_deref())).collect();
        assert_eq!(shown, [("all-namespaces", None), ("encrypted", None)]);
        let servers = Settings { path: None, values: read(Path::new("f"), "server: [a:1, b:2]").unwrap() };
        let flags = servers.flags(&command, &[]).unwrap();
        let shown: Vec<_> = flags.iter().map(|(f, _)| (f.name.as_str(), f.value.as_deref())).collect();
        assert_eq!(shown, [("server", Some("a:1,b:2"))]);
        let output = Settings { path: None, values: read(Path::new("f"), "output: dict").unwrap() };
        assert_eq!(output.flags(&command, &[]).unwrap().len(), 1);
        for other in [crate::cli::record::command(), Command::new("reasons").arg(text_flag("output"))] {
            assert_eq!(output.flags(&other, &[]).unwrap().len(), 0, "{other}: has formats of its own");
        }
        let text =
            "peers: [a=10.0.0.1, b=10.0.0.2]\nlisten-address: :1\ngops: true\ndisable-server-tls: true\n";
        let settings = Settings { path: None, values: read(Path::new("f"), text).unwrap() };
        let relay = RelayArgs::augment_args(Command::new(RELAY));
        let flags = settings.flags(&relay, &["listen-address".to_owned()]).unwrap();
        let shown: Vec<_> = flags.iter().map(|(f, _)| (f.name.as_str(), f.value.as_deref())).collect();
        assert_eq!(
            shown,
            [("peers", Some("a=10.0.0.1")), ("peers", Some("b=10.0.0.2")), ("disable-server-tls", None)]
        );
        let wrong =
            Settings { path: Some("f".into()), values: read(Path::new("f"), "follow: perhaps").unwrap() };
        assert!(wrong.flags(&command, &[]).unwrap_err().starts_with("f: invalid argument \"perhaps\""));
        assert!(read(Path::new("f"), "a: [").unwrap_err().starts_with("cannot read the config file f: "));
        let twice = read(Path::new("f"), "server: a:1\nserver: b:1\n").unwrap_err();
        assert_eq!(
            twice,
            "cannot read the config file f: line 2: \"server\" is there twice; keep one of them"
        );
        assert!(read(Path::new("f"), "\n# nothing\n").unwrap().is_empty());
    }
}
