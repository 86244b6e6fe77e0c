//! Reading maps whose keys are known, and collecting all that is wrong with them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::yaml::{Node, Value};
use crate::agent::metrics::nearest;
use crate::filter::FlowFilter;

/// Everything that is wrong, each thing a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            return write!(f, "the configuration has a mistake: {one}");
        }
        write!(f, "the configuration has {} mistakes:", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

impl Problems {
    pub(super) fn add(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.0.push(format!("{place}: {what}"));
    }
}

/// A line of a file.
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    pub(super) line: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A map of which each key is asked for once.
pub(super) struct Fields<'a> {
    file: &'a Path,
    /// In front of the keys in messages, as `flowLogs[0].`.
    path: String,
    line: u64,
    entries: Vec<(&'a str, u64, &'a Node)>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(file: &'a Path, path: String, node: &'a Node, problems: &mut Problems) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            let what = format_args!("{path}: want keys and values, found {}", node.kind());
            problems.add(Place { file, line: node.line }, what);
            return None;
        };
        let entries = map.iter().map(|(k, v)| (k.name.as_str(), k.line, v)).collect();
        Some(Self { file, path, line: node.line, entries, asked: Vec::new() })
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let (_, _, node) = self.entries.iter().find(|e| e.0 == key)?;
        Some(*node).filter(|n| n.value != Value::Null)
    }

    fn wrong(&self, key: &str, node: &Node, want: impl fmt::Display, problems: &mut Problems) {
        let path = &self.path;
        problems.add(
            Place { file: self.file, line: node.line },
            format_args!("{path}.{key}: want {want}, found {}", shown(node)),
        );
    }

    pub(super) fn problem(&self, what: impl fmt::Display, problems: &mut Problems) {
        problems.add(Place { file: self.file, line: self.line }, format_args!("{}: {what}", self.path));
    }

    /// A scalar, read by `parse`.
    pub(super) fn scalar<T>(
        &mut self,
        key: &'static str,
        want: &str,
        parse: impl Fn(&str) -> Option<T>,
        problems: &mut Problems,
    ) -> Option<T> {
        let node = self.take(key)?;
        let value = node.scalar().and_then(|text| parse(&text));
        if value.is_none() {
            self.wrong(key, node, want, problems);
        }
        value
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &'static str, problems: &mut Problems) -> Option<String> {
        let text = self.scalar(key, "a text", |t| Some(t.to_owned()), problems);
        let missing = text.as_deref().is_none_or(str::is_empty)
            && !problems.0.iter().any(|p| p.contains(&format!("{}.{key}: want", self.path)));
        if missing {
            self.problem(format_args!("{key} is missing"), problems);
        }
        text.filter(|t| !t.is_empty())
    }

    /// Texts; one may stand without a list.
    pub(super) fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Vec<String> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let texts: Option<Vec<String>> = match &node.value {
            Value::List(list) => list.iter().map(Node::scalar).collect(),
            _ => node.scalar().map(|t| t.split(',').map(|t| t.trim().to_owned()).collect()),
        };
        texts.unwrap_or_else(|| {
            self.wrong(key, node, "a list of texts", problems);
            Vec::new()
        })
    }

    /// The nodes of a list, with what they are called in messages.
    pub(super) fn list(&mut self, key: &'static str, problems: &mut Problems) -> Vec<(String, &'a Node)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let Value::List(list) = &node.value else {
            self.wrong(key, node, "a list", problems);
            return Vec::new();
        };
        list.iter().enumerate().map(|(at, node)| (format!("{}.{key}[{at}]", self.path), node)).collect()
    }

    /// Flow filters.
    pub(super) fn filters(&mut self, key: &'static str, problems: &mut Problems) -> Vec<FlowFilter> {
        let file = self.file;
        let mut filters = Vec::new();
        for (path, node) in self.list(key, problems) {
            match filter(node) {
                Ok(filter) => filters.push(filter),
                Err(why) => problems.add(Place { file, line: node.line }, format_args!("{path}: {why}")),
            }
        }
        filters
    }

    /// Names the keys that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems) {
        for (key, line, _) in self.entries.iter().filter(|e| !self.asked.contains(&e.0)) {
            let near = nearest(key, self.asked.iter().copied());
            let what =
                format_args!("{}: unknown key {key:?}{near}; there are {}", self.path, self.asked.join(", "));
            problems.add(Place { file: self.file, line: *line }, what);
        }
    }
}

fn shown(node: &Node) -> String {
    node.scalar().map_or_else(|| node.kind().to_owned(), |text| format!("{text:?}"))
}

/// A filter, also one that is written as a text of JSON.
fn filter(node: &Node) -> Result<FlowFilter, String> {
    match &node.value {
        Value::Text(json) => serde_json::from_str(json).map_err(|e| unknown_field(&e.to_string())),
        _ => serde_json::from_value(node.to_json()).map_err(|e| unknown_field(&e.to_string())),
    }
}

/// Filters as the flags take them: one or several objects.
pub(crate) fn filters_of_json(json: &str) -> Result<Vec<FlowFilter>, String> {
    let all = serde_json::Deserializer::from_str(json).into_iter::<FlowFilter>();
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|e| unknown_field(&e.to_string()))?;
    if all.is_empty() {
        Err("want a filter, as {\"source_pod\":[\"production/\"]}".to_owned())
    } else {
        Ok(all)
    }
}

/// serde names all fields that there are; the nearest is what helps.
pub(crate) fn unknown_field(why: &str) -> String {
    let mut names = why.split('`').skip(1).step_by(2);
    match (why.starts_with("unknown field"), names.next()) {
        (true, Some(typed)) => format!("unknown key {typed:?} of a FlowFilter{}", nearest(typed, names)),
        _ => why.to_owned(),
    }
}

/// The file that a path of the file itself is relative to: none, paths are those of the process.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}
