//! Call stacks, netdrop's own: who called the place of a drop. What drives a terminal is escaped in any case.

use prost_types::Struct;
use prost_types::value::Kind;

use super::wide::facts_of;
use crate::proto::flow as wire;
use crate::sink::escape;

/// What a flow's extension says of its stack.
pub(super) struct Stack {
    facts: Struct,
}

/// The stack of a flow, where it has one.
pub(super) fn of(flow: &wire::Flow) -> Option<Stack> {
    let facts = facts_of(flow);
    let has = matches!(facts.fields.get("stack")?.kind.as_ref()?, Kind::ListValue(l) if !l.values.is_empty());
    has.then_some(Stack { facts })
}

impl Stack {
    fn frames(&self) -> impl Iterator<Item = &str> {
        let list = match self.facts.fields.get("stack").and_then(|v| v.kind.as_ref()) {
            Some(Kind::ListValue(list)) => &list.values[..],
            _ => &[],
        };
        let frames = list.iter().filter_map(|value| match value.kind.as_ref()? {
            Kind::StringValue(text) => Some(text.as_str()),
            _ => None,
        });
        let more = self.facts.fields.get("stack_more").and_then(|v| v.kind.as_ref());
        frames.chain((more == Some(&Kind::BoolValue(true))).then_some("..."))
    }

    /// Of how many packets this is the first one's.
    fn first_of(&self) -> Option<&str> {
        self.facts.fields.get("aggregated")?;
        match self.facts.fields.get("count")?.kind.as_ref()? {
            Kind::StringValue(count) if count != "1" => Some(count),
            _ => None,
        }
    }

    /// A line a frame, each behind `indent`; the first goes on where `out` stands.
    pub(super) fn lines(&self, indent: &str, out: &mut String) {
        let mut put = |text: &[&str]| {
            for part in text {
                out.push_str(&escape(part));
            }
            out.push('\n');
            out.push_str(indent);
        };
        if let Some(count) = self.first_of() {
            put(&["(the first of ", count, ")"]);
        }
        self.frames().for_each(|frame| put(&[frame]));
        out.truncate(out.len() - indent.len() - 1);
    }

    /// All in one cell: `a < b` is a called by b.
    pub(super) fn cell(&self, out: &mut String) {
        if let Some(count) = self.first_of() {
            out.push_str("(the first of ");
            out.push_str(&escape(count));
            out.push_str(") ");
        }
        for (i, frame) in self.frames().enumerate() {
            out.push_str(if i > 0 { " < " } else { "" });
            out.push_str(&escape(frame));
        }
    }
}
