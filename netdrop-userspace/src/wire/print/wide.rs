//! `wide`: compact, and netdrop's own facts behind it.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use crate::proto::flow as wire;
use crate::sink::escape::push as push_escaped;
use crate::sink::text::push_number;

/// Appends them to a line of compact.
pub(super) fn add(flow: &wire::Flow, out: &mut String) {
    out.truncate(out.trim_end_matches('\n').len());
    facts(flow, out);
    out.push('\n');
}

fn facts(flow: &wire::Flow, out: &mut String) {
    let facts = facts_of(flow);
    let text = |key: &str| match facts.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.as_str()),
        _ => None,
    };
    if let Some(site) = text("site") {
        put("site", site, out);
    }
    if let Some(comm) = text("comm") {
        // Who was only interrupted is not to blame.
        let owner =
            facts.fields.get("process_owner").and_then(|v| v.kind.as_ref()) == Some(&Kind::BoolValue(true));
        put(if owner { "process" } else { "running" }, comm, out);
        number(facts.fields.get("pid"), out);
    }
    match (text("netns_name"), facts.fields.get("netns")) {
        (Some(name), inode) => {
            put("netns", name, out);
            number(inode, out);
        }
        (None, Some(Value { kind: Some(Kind::NumberValue(inode)) })) => {
            put("netns", &inode.to_string(), out);
        }
        _ => {}
    }
    if let Some(device) = &flow.interface {
        put("interface", &device.name, out);
        out.push('[');
        push_number(device.index, out);
        out.push(']');
    }
}

/// netdrop's facts, if the extension is the Struct that holds them.
pub(super) fn facts_of(flow: &wire::Flow) -> Struct {
    let any = flow.extensions.as_ref().filter(|any| any.type_url.ends_with("/google.protobuf.Struct"));
    any.and_then(|any| Struct::decode(any.value.as_slice()).ok()).unwrap_or_default()
}

/// Names of processes are anybody's: what would break a line or drive a terminal is escaped in any case.
fn put(key: &str, value: &str, out: &mut String) {
    out.push(' ');
    out.push_str(key);
    out.push('=');
    push_escaped(value, out);
}

fn number(value: Option<&Value>, out: &mut String) {
    if let Some(Value { kind: Some(Kind::NumberValue(number)) }) = value {
        out.push('[');
        out.push_str(&number.to_string());
        out.push(']');
    }
}
