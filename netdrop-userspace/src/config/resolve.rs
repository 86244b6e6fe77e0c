//! From what was typed, set and written to one set of settings, each with its origin.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::StringValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches as _};

use super::list::Place;
use super::yaml::{self, Node, Value};
use super::{feeds, metrics};
use crate::agent::feed::FeedSpec;
use crate::agent::metrics::{MetricSpec, nearest};
use crate::cli::agent::{self, AgentArgs};
use crate::filter::Filters;

pub use super::list::Problems;

/// Keys of the file that are no flags.
const FLOW_LOGS: &str = "flowLogs";
const METRICS: &str = "metrics";
/// Flags that a file does not have.
const FLAGS_ONLY: [&str; 3] = ["config", "print-config", "help"];

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// A variable of the environment.
    Variable(String),
    /// A line of a file.
    File(PathBuf, u64),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::File(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag's name.
    pub key: String,
    /// As typed; a flag that may be repeated has several, one that is not set has none.
    pub values: Vec<String>,
    /// Where from.
    pub origin: Origin,
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Those of the flags.
    pub args: AgentArgs,
    /// What is kept at all.
    pub filters: Filters,
    /// Log feeds.
    pub feeds: Vec<FeedSpec>,
    /// Metrics.
    pub metrics: Vec<MetricSpec>,
    /// In the order of the help.
    pub settings: Vec<Setting>,
    /// flowLogs and metrics of the file, as they are written there.
    pub(super) lists: Vec<(&'static str, serde_json::Value, Origin)>,
}

/// Settings with mistakes in them.
#[derive(Clone, Debug)]
pub struct Mistaken {
    /// All of them.
    pub problems: Problems,
    /// The settings without those that are mistaken; what belongs to these is as if they were not there.
    pub rest: Option<Box<Loaded>>,
}

impl fmt::Display for Mistaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems.fmt(f)
    }
}

impl std::error::Error for Mistaken {}

/// The subcommand as it is parsed first: any text is taken for a value, to be checked here with all the others.
pub fn command() -> Command {
    let text = |arg: Arg| {
        if takes_value(&arg) { arg.value_parser(StringValueParser::new()).value_delimiter(None) } else { arg }
    };
    agent::command().mut_args(text)
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// A flag that is there or not; elsewhere it is true or false.
fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
        && arg.get_long().is_some_and(|key| !FLAGS_ONLY.contains(&key))
}

/// Checks all settings: those of `flags`, of variables, and of the file that they name.
pub fn load(flags: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Mistaken> {
    let mut problems = Problems::default();
    let strict = agent::command().no_binary_name(true).mut_args(|arg| arg.env(None::<&'static str>));
    let outside = |arg: &Arg| outside(arg, flags, variable);
    let named = agent::command();
    let file = named.get_arguments().find(|a| a.get_long() == Some("config")).and_then(outside);
    let file = file.and_then(|setting| setting.values.into_iter().next()).map(PathBuf::from);
    let entries = file.as_deref().map(|file| read(file, &strict, &mut problems)).unwrap_or_default();
    let mut settings = Vec::new();
    for arg in named.get_arguments().filter(|a| takes_value(a) || is_switch(a)) {
        let Some(key) = arg.get_long() else { continue };
        let in_file = || of_file(file.as_deref()?, key, arg, &entries, &mut problems);
        let setting = outside(arg).or_else(in_file).unwrap_or_else(|| Setting {
            key: key.to_owned(),
            values: arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect(),
            origin: Origin::Default,
        });
        settings.push(setting);
    }
    let mut sound = Vec::new();
    for setting in &settings {
        let switch = named.get_arguments().any(|a| is_switch(a) && a.get_long() == Some(&setting.key));
        let before = problems.0.len();
        check(&strict, setting, switch, &mut problems);
        if problems.0.len() == before {
            sound.push(setting);
        }
    }
    let list = |key: &str| entries.iter().find(|(k, _)| k.name == key).map(|(k, node)| (k.line, node));
    let metrics_setting = settings.iter().find(|s| s.key == METRICS);
    let metrics_list = list(METRICS)
        .filter(|_| metrics_setting.is_some_and(|s| s.origin == Origin::Default))
        .and_then(|(line, node)| metrics::list_of(node).map(|nodes| (line, node, nodes)));
    let metrics = match (metrics_list, &file, metrics_setting) {
        (Some((.., nodes)), Some(file), _) => metrics::of_file(file, nodes, &mut problems),
        (.., Some(setting)) => of_text(setting, &mut problems),
        _ => Vec::new(),
    };
    // What is wrong above does not hide what else is.
    let args = parse(&strict, &sound, flags, &mut problems);
    for e in args.iter().flat_map(|a| a.capture.memory().problems()) {
        problems.add("memory", e);
    }
    let filters = args.as_ref().map(|a| feeds::kept(a, &mut problems)).unwrap_or_default();
    let mut feeds = args.as_ref().map(|a| feeds::of_flags(&a.export, &mut problems)).unwrap_or_default();
    let flow_logs = list(FLOW_LOGS);
    if let (Some(file), Some((_, node))) = (&file, flow_logs) {
        feeds::of_file(file, node, &mut feeds, &mut problems);
    }
    let origin = |line: u64| file.clone().map_or(Origin::Default, |file| Origin::File(file, line));
    let lists = [
        flow_logs.map(|(line, node)| (FLOW_LOGS, node.to_json(), origin(line))),
        metrics_list.map(|(line, node, _)| (METRICS, node.to_json(), origin(line))),
    ];
    let lists = lists.into_iter().flatten().collect();
    let loaded = args.map(|args| Loaded { args, filters, feeds, metrics, settings, lists });
    match loaded {
        Some(loaded) if problems.0.is_empty() => Ok(loaded),
        rest => Err(Mistaken { problems, rest: rest.map(Box::new) }),
    }
}

/// What a flag or a variable says.
fn outside(arg: &Arg, flags: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> Option<Setting> {
    let id = arg.get_id().as_str();
    let key = arg.get_long()?.to_owned();
    if flags.value_source(id) == Some(ValueSource::CommandLine) {
        let values = if is_switch(arg) {
            vec![flags.get_flag(id).to_string()]
        } else {
            flags.get_many::<String>(id).into_iter().flatten().cloned().collect()
        };
        return Some(Setting { key, values, origin: Origin::Flag });
    }
    let name = arg.get_env()?.to_str()?;
    // An empty one is what charts and unit files leave of what was not set.
    let value = variable(name).filter(|v| !v.is_empty())?;
    Some(Setting { key, values: vec![value], origin: Origin::Variable(name.to_owned()) })
}

/// The file's keys and values, without those that are unknown.
fn read(file: &Path, command: &Command, problems: &mut Problems) -> Vec<(yaml::Key, Node)> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => {
            problems.add(file.display(), format_args!("cannot be read: {e}; --config names the file"));
            return Vec::new();
        }
    };
    let node = match yaml::parse(&text) {
        Ok(node) => node,
        Err(e) => {
            let line = e.line.unwrap_or(1);
            problems.add(Place { file, line }, format_args!("no YAML: {}", e.why));
            return Vec::new();
        }
    };
    let kind = node.kind();
    let Value::Map(mut map) = node.value else {
        let what = format_args!("want keys and values, as `log-rate: 100`, found {kind}");
        problems.add(Place { file, line: node.line }, what);
        return Vec::new();
    };
    let known: Vec<&str> = command
        .get_arguments()
        .filter_map(Arg::get_long)
        .filter(|key| !FLAGS_ONLY.contains(key))
        .chain([FLOW_LOGS])
        .collect();
    map.retain(|(key, _)| {
        let is_known = known.contains(&key.name.as_str());
        if !is_known {
            let near = nearest(&key.name, known.iter().copied());
            let help = "; keys are the flags of `netdrop agent --help`, flowLogs and metrics";
            let what =
                format_args!("unknown key {:?}{}", key.name, if near.is_empty() { help } else { &near });
            problems.add(Place { file, line: key.line }, what);
        }
        is_known
    });
    map
}

/// What the file says of a flag.
fn of_file(
    file: &Path,
    key: &str,
    arg: &Arg,
    entries: &[(yaml::Key, Node)],
    problems: &mut Problems,
) -> Option<Setting> {
    let (at, node) = entries.iter().find(|(k, _)| k.name == key)?;
    if key == METRICS && metrics::list_of(node).is_some() || node.value == Value::Null {
        return None;
    }
    let many = matches!(arg.get_action(), ArgAction::Append);
    let text = |node: &Node| match &node.value {
        Value::Map(_) => Some(node.to_json().to_string()),
        _ => node.scalar(),
    };
    let values = match &node.value {
        Value::List(list) if many => list.iter().map(text).collect(),
        Value::Map(_) if many => text(node).map(|t| vec![t]),
        _ => node.scalar().map(|t| vec![t]),
    };
    if values.is_none() {
        let what = format_args!("{key}: want a value, found {}", node.kind());
        problems.add(Place { file, line: at.line }, what);
    }
    let origin = Origin::File(file.to_owned(), at.line);
    Some(Setting { key: key.to_owned(), values: values?, origin })
}

/// Checks a setting's values as the flag would be.
fn check(strict: &Command, setting: &Setting, switch: bool, problems: &mut Problems) {
    for value in &setting.values {
        let checked = if switch {
            value.parse::<bool>().map(drop).map_err(|_| "want true or false".to_owned())
        } else {
            try_flag(strict, &setting.key, value)
        };
        if let Err(why) = checked {
            let key = &setting.key;
            match &setting.origin {
                Origin::Flag => {
                    problems.add(format_args!("--{key}"), format_args!("{value:?} does not fit: {why}"));
                }
                Origin::Variable(name) => problems.add(name, format_args!("{value:?} does not fit: {why}")),
                origin => problems.add(origin, format_args!("{key}: {value:?} does not fit: {why}")),
            }
        }
    }
}

/// Whether a flag takes a value; if not, why.
fn try_flag(strict: &Command, key: &str, value: &str) -> Result<(), String> {
    strict.clone().try_get_matches_from([format!("--{key}={value}")]).map(drop).map_err(|e| {
        let text = e.to_string();
        let line = text.lines().next().unwrap_or_default();
        // Behind the flag: `'--names <FILE>'`, or `'--stack[=<N>]'`.
        let behind = |end| line.rsplit_once(end).map(|(_, why)| why);
        let why = behind(">': ").or_else(|| behind(">]': ")).unwrap_or(line);
        if why.contains("invalid digit") { "want a whole number".to_owned() } else { why.to_owned() }
    })
}

fn of_text(setting: &Setting, problems: &mut Problems) -> Vec<MetricSpec> {
    let text = setting.values.first().map_or("", String::as_str);
    MetricSpec::parse_list(text).unwrap_or_else(|wrong| {
        for e in &wrong {
            problems.add(&setting.origin, format_args!("metrics: {e}"));
        }
        Vec::new()
    })
}

/// All settings together, as if all had been typed.
fn parse(
    strict: &Command,
    settings: &[&Setting],
    flags: &ArgMatches,
    problems: &mut Problems,
) -> Option<AgentArgs> {
    let set = settings.iter().filter(|s| s.origin != Origin::Default);
    let switch = |key: &str| strict.get_arguments().any(|a| is_switch(a) && a.get_long() == Some(key));
    let typed = set.flat_map(|s| {
        s.values.iter().filter_map(|v| match (switch(&s.key), v.as_str()) {
            (true, "true") => Some(format!("--{}", s.key)),
            (true, _) => None,
            (false, value) => Some(format!("--{}={value}", s.key)),
        })
    });
    let mut typed: Vec<String> = typed.collect();
    if flags.get_flag("print_config") {
        typed.push("--print-config".to_owned());
    }
    let args =
        strict.clone().try_get_matches_from(typed).and_then(|matches| AgentArgs::from_arg_matches(&matches));
    args.map_err(|e| problems.0.push(e.to_string().lines().next().unwrap_or_default().to_owned())).ok()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
