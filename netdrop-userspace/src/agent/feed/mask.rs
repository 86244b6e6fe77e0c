//! Which fields of a flow a line has.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{Any, Struct};
use thiserror::Error;

use crate::proto::flow::Flow;
use crate::wire::mask::FieldMask;

/// In front of the name of one of netdrop's own facts, as `extensions.kernel_reason`.
const FACT: &str = "extensions.";

/// A path that no flow has.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct MaskError(String);

/// Fields of `flow.Flow`, and single facts of its `extensions`, which to protobuf are one opaque field.
#[derive(Clone, Debug)]
pub struct Mask {
    fields: FieldMask,
    /// `None`: `fields` decides over the facts, all or none.
    facts: Option<BTreeSet<String>>,
}

impl Mask {
    /// Of paths as `source.pod_name`, `verdict`, `extensions.kernel_reason`.
    pub fn parse(paths: &[String]) -> Result<Self, MaskError> {
        let (facts, mut fields): (Vec<String>, Vec<String>) =
            paths.iter().cloned().partition(|p| p.len() > FACT.len() && p.starts_with(FACT));
        let whole = fields.iter().any(|f| f == "extensions");
        if !facts.is_empty() && !whole {
            fields.push("extensions".to_owned());
        }
        let facts = facts.iter().map(|f| f[FACT.len()..].to_owned()).collect::<BTreeSet<_>>();
        Ok(Self {
            fields: FieldMask::parse(&fields).map_err(|e| MaskError(e.to_string()))?,
            facts: (!facts.is_empty() && !whole).then_some(facts),
        })
    }

    /// Takes everything else away.
    pub fn apply(&self, flow: &mut Flow) {
        self.fields.apply(flow);
        if let Some(facts) = &self.facts {
            flow.extensions = flow.extensions.take().and_then(|any| only(any, facts));
        }
    }
}

/// The facts that are wanted; nothing, if none is there.
fn only(any: Any, facts: &BTreeSet<String>) -> Option<Any> {
    let mut all = Struct::decode(any.value.as_slice()).ok()?;
    all.fields.retain(|name, _| facts.contains(name));
    (!all.fields.is_empty()).then(|| Any { type_url: any.type_url, value: all.encode_to_vec() })
}
