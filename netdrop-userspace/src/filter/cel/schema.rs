//! Which fields the API's messages have, and what its enums' names stand for.

include!(concat!(env!("OUT_DIR"), "/schema.rs"));

/// A message's fields.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) list: bool,
}

/// What a field holds; enums are whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Uint,
    Text,
    Time,
    MaybeBool,
    MaybeInt,
    MaybeUint,
    Any,
    Message(&'static str),
}

impl Shape {
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        SHAPES.iter().find(|s| s.name == name)
    }

    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

/// The number of `Verdict.DROPPED`, also as `flow.Verdict.DROPPED`.
pub(super) fn constant(name: &str) -> Option<i64> {
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.strip_prefix("flow.").unwrap_or(name);
    ENUMS.iter().find(|e| e.0 == name).map(|e| e.1)
}
