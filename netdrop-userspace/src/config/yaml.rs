//! A YAML file as a tree that knows its lines, so that every mistake in it can be told where it is.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value and its line, from 1 on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) line: u64,
    pub(super) name: String,
}

/// What is wrong with a file as such.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) line: Option<u64>,
    pub(crate) why: String,
}

impl From<serde_saphyr::Error> for SyntaxError {
    /// In one line, without the place, and without a word on how its reader could be set.
    fn from(e: serde_saphyr::Error) -> Self {
        let line = e.location().map(|l| l.line());
        let why = match e.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("{} is there twice; keep one of them", crate::go::quote(key))
            }
            e => {
                let said = e.to_string();
                let first = said.lines().next().unwrap_or_default();
                let first = first.strip_prefix("error: ").unwrap_or(first);
                let place = first.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
                let bare = place.map_or(first, |(_, bare)| bare);
                bare.split(" at line ").next().unwrap_or_default().to_owned()
            }
        };
        Self { line, why }
    }
}

/// Reads a file's text; an empty one is an empty map.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    // A feed may be called `on` or `y`, as in YAML 1.2 and in Go.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options) {
        Ok(Spanned { value: Value::Null, .. }) => Ok(Node { line: 1, value: Value::Map(Vec::new()) }),
        Ok(node) => Ok(node.into()),
        Err(e) => Err(e.into()),
    }
}

impl Node {
    /// As JSON, for what reads that.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n) => Json::Number(n.clone()),
            Value::Text(t) => Json::String(t.clone()),
            Value::List(list) => Json::Array(list.iter().map(Self::to_json).collect()),
            Value::Map(map) => Json::Object(map.iter().map(|(k, v)| (k.name.clone(), v.to_json())).collect()),
        }
    }

    /// A scalar, as it would be typed.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Bool(b) => Some(b.to_string()),
            Value::Number(n) => Some(n.to_string()),
            Value::Text(t) => Some(t.clone()),
            _ => None,
        }
    }

    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "keys and values",
        }
    }
}

impl From<Spanned<Value>> for Node {
    fn from(node: Spanned<Value>) -> Self {
        Self { line: node.referenced.line(), value: node.value }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Number(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Number(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(serde_json::Number::from_f64(n).map_or_else(|| Value::Text(n.to_string()), Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let value = entries.next_value::<Spanned<Value>>()?;
            map.push((Key { line: key.referenced.line(), name: key.value }, value.into()));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines() {
        let node = parse("a: 1\n# comment\nb:\n  - x\n  - y: true\nc: 30s\nd: ~\n").unwrap();
        let Value::Map(map) = &node.value else { panic!("{node:?}") };
        let keys: Vec<_> = map.iter().map(|(k, v)| (k.name.as_str(), k.line, v.kind())).collect();
        assert_eq!(keys, [("a", 1, "a number"), ("b", 3, "a list"), ("c", 6, "a text"), ("d", 7, "nothing")]);
        let Value::List(list) = &map[1].1.value else { panic!("{map:?}") };
        assert_eq!(list.iter().map(|n| n.line).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(node.to_json()["b"][1]["y"], true);
        let words = parse("a: [y, no, On, true, False]\n").unwrap().to_json();
        assert_eq!(words["a"], serde_json::json!(["y", "no", "On", true, false]));
        assert_eq!(parse("").unwrap().value, Value::Map(Vec::new()));
        assert_eq!(parse("# nothing\n").unwrap().value, Value::Map(Vec::new()));
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        for (text, line) in [("a: 1\nb: [1,\nc: 2\n", 3), ("a: 1\na: 2\n", 2), ("a: 1\n  b: 2\n", 2)] {
            let e = parse(text).unwrap_err();
            assert!(e.line.is_some_and(|l| l.abs_diff(line) <= 1), "{text}: {:?} {}", e.line, e.why);
            assert!(!e.why.is_empty() && !e.why.contains('\n'));
            for library in ["DuplicateKeyPolicy", " at line ", "error: "] {
                assert!(!e.why.contains(library), "{}", e.why);
            }
        }
        assert_eq!(parse("a: 1\na: 2\n").unwrap_err().why, "\"a\" is there twice; keep one of them");
    }
}
