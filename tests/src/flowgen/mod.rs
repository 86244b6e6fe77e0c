//! Flows with every field of Hubble's API, as the lines of JSON that its client reads with `--input-file`.
//!
//! Which fields there are is read from the API's definition, so a new one is generated as soon as it is declared. The same seed
//! gives the same flows.

pub mod pools;
mod schema;
mod wild;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use serde_json::{Map, Value, json};

pub use schema::{Field, Schema};

const FLOW: &str = include_str!("../../../netdrop-userspace/proto/flow/flow.proto");
/// A message inside of itself goes no deeper than this.
const DEEPEST: usize = 8;
const STRUCT_URL: &str = "type.googleapis.com/google.protobuf.Struct";

/// Makes responses of `GetFlows`.
pub struct FlowGen {
    schema: Schema,
    rng: Rng,
    /// Of 100 free texts, and of 1000 names, how many are hostile.
    hostile: u32,
    /// Also what is legal and never seen: see [`FlowGen::wild`].
    wild: bool,
}

impl FlowGen {
    /// A generator of this seed.
    pub fn new(seed: u64) -> Result<Self> {
        let schema = Schema::parse(FLOW).context("proto/flow/flow.proto")?;
        Ok(Self { schema, rng: Rng::with_seed(seed), hostile: 30, wild: false })
    }

    /// The same, without texts that a terminal or a parser could stumble over.
    #[must_use]
    pub fn tame(mut self) -> Self {
        self.hostile = 0;
        self
    }

    /// As many lines of JSON, each with its newline.
    pub fn lines(&mut self, count: usize) -> String {
        (0..count).fold(String::new(), |all, _| all + &self.response().to_string() + "\n")
    }

    /// A `GetFlowsResponse`: a flow, now and then an event of loss or of a node.
    pub fn response(&mut self) -> Value {
        let mut out = Map::new();
        match self.rng.u32(0..100) {
            0..=89 => {
                let flow = self.flow();
                for key in ["node_name", "time"] {
                    if let Some(value) = flow.get(key) {
                        out.insert(key.to_owned(), value.clone());
                    }
                }
                out.insert("flow".to_owned(), flow);
                return Value::Object(out);
            }
            90..=94 => drop(out.insert("lost_events".to_owned(), self.message("LostEvent", 0))),
            _ => drop(out.insert("node_status".to_owned(), self.node_status())),
        }
        if self.chance(80) {
            out.insert("node_name".to_owned(), self.pick(pools::NODES).into());
        }
        if self.chance(80) {
            out.insert("time".to_owned(), self.time());
        }
        Value::Object(out)
    }

    /// A response with this one message in this field, as `agent_event` and `AgentEvent`.
    pub fn event(&mut self, field: &str, message: &str) -> Value {
        let mut out = Map::new();
        out.insert(field.to_owned(), self.message(message, 0));
        if self.chance(80) {
            out.insert("node_name".to_owned(), self.string("Flow", "node_name"));
        }
        if self.chance(80) {
            out.insert("time".to_owned(), self.time());
        }
        Value::Object(out)
    }

    /// A line for each of `count` responses; each is given to `mend` while it is a value still.
    pub fn responses(&mut self, count: usize, mend: impl Fn(&mut Value)) -> String {
        let mut text = String::new();
        for _ in 0..count {
            let mut response = self.response();
            mend(&mut response);
            text.push_str(&response.to_string());
            text.push('\n');
        }
        text
    }

    /// A flow alone.
    pub fn flow(&mut self) -> Value {
        self.message("Flow", 0)
    }

    fn node_status(&mut self) -> Value {
        const STATES: &[&str] =
            &["UNKNOWN_NODE_STATE", "NODE_CONNECTED", "NODE_UNAVAILABLE", "NODE_GONE", "NODE_ERROR"];
        let names: Vec<Value> = (0..self.rng.usize(0..12)).map(|_| self.pick(pools::NODES).into()).collect();
        let mut out = Map::new();
        let state = if self.chance(5) { json!(99) } else { self.pick(STATES).into() };
        out.insert("state_change".to_owned(), state);
        out.insert("node_names".to_owned(), names.into());
        if self.chance(50) {
            out.insert("message".to_owned(), self.text());
        }
        Value::Object(out)
    }

    fn message(&mut self, name: &str, depth: usize) -> Value {
        let fields = self.schema.messages.get(name).cloned().unwrap_or_default();
        // Each field of a oneof must have its turn.
        let mut chosen: Vec<(&str, &str)> = Vec::new();
        for field in &fields {
            let Some(oneof) = field.oneof.as_deref() else { continue };
            if !chosen.iter().any(|(o, _)| *o == oneof) {
                let all: Vec<&Field> = fields.iter().filter(|f| f.oneof.as_deref() == Some(oneof)).collect();
                chosen.push((oneof, &all[self.rng.usize(..all.len())].name));
            }
        }
        let mut out = Map::new();
        for field in &fields {
            let skipped = field.oneof.is_some() && !chosen.iter().any(|(_, f)| *f == field.name);
            if skipped || depth > DEEPEST || !self.chance(70) {
                continue;
            }
            let value = if field.repeated {
                let many: Vec<Value> =
                    (0..self.rng.usize(0..4)).map(|_| self.value(name, field, depth)).collect();
                many.into()
            } else {
                self.value(name, field, depth)
            };
            let (name, value) = self.spelled(&field.name, value);
            out.insert(name, value);
        }
        Value::Object(out)
    }

    fn value(&mut self, message: &str, field: &Field, depth: usize) -> Value {
        match field.kind.as_str() {
            "string" => self.string(message, &field.name),
            "bool" | "google.protobuf.BoolValue" => self.rng.bool().into(),
            "uint32" | "google.protobuf.UInt32Value" => {
                self.unsigned(message, &field.name, u64::from(u32::MAX))
            }
            // 64 bits are a string in protobuf's JSON, but a number is read, too.
            "uint64" => {
                let number = self.unsigned(message, &field.name, u64::MAX);
                if self.chance(50) { number.to_string().into() } else { number }
            }
            "int32" | "int64" | "google.protobuf.Int32Value" => self.signed(&field.name),
            "google.protobuf.Timestamp" => self.time(),
            "google.protobuf.Any" => self.extension(),
            kind if self.schema.enums.contains_key(kind) => self.enumeration(kind),
            kind => self.message(kind, depth + 1),
        }
    }

    fn string(&mut self, message: &str, name: &str) -> Value {
        let pool = match (message, name) {
            ("IP", _) => pools::IPS,
            ("Ethernet", _) => pools::MACS,
            (_, "namespace") => pools::NAMESPACES,
            (_, "pod_name") => pools::PODS,
            ("Service", _) => pools::SERVICES,
            ("Endpoint", "labels") | ("Flow", "node_labels") => pools::LABELS,
            (_, "cluster_name") => pools::CLUSTERS,
            ("Workload", "name") => pools::WORKLOADS,
            ("Workload", _) => pools::KINDS,
            (_, "node_name") => pools::NODES,
            (_, "source_names" | "destination_names" | "query") => pools::FQDNS,
            ("HTTP", "method") => pools::HTTP_METHODS,
            ("HTTP", "url") => pools::URLS,
            ("HTTPHeader", "key") => pools::HEADER_KEYS,
            ("HTTPHeader", _) => pools::HEADER_VALUES,
            ("NetworkInterface", _) => pools::INTERFACES,
            ("TraceParent", _) => pools::TRACE_IDS,
            ("Flow", "uuid") => pools::UUIDS,
            _ => return self.text(),
        };
        if self.rng.u32(0..1000) < self.hostile {
            return self.hostile();
        }
        self.pick(pool).into()
    }

    fn text(&mut self) -> Value {
        if self.rng.u32(0..100) < self.hostile {
            return self.hostile();
        }
        self.pick(&["", "TCP Flags: SYN", "text", "a longer text, of several words", "x-9"]).into()
    }

    fn unsigned(&mut self, message: &str, name: &str, most: u64) -> Value {
        let pool = match (message, name) {
            (_, "source_port" | "destination_port") => pools::PORTS,
            (_, "identity") => pools::IDENTITIES,
            ("HTTP", "code") => pools::HTTP_CODES,
            ("IPTraceID", "trace_id") => pools::IP_TRACE_IDS,
            (_, "policy_match_type") => pools::MATCH_TYPES,
            _ => match self.rng.u32(0..10) {
                0 => return 0.into(),
                1 => return most.into(),
                2 => return self.rng.u64(0..=most).into(),
                _ => return self.rng.u64(0..300).into(),
            },
        };
        pool[self.rng.usize(..pool.len())].into()
    }

    fn signed(&mut self, name: &str) -> Value {
        let pool = match name {
            "type" => pools::EVENT_TYPES,
            "sub_type" => pools::SUB_TYPES,
            _ => &[0, 1, 3, 42, -1, -2_147_483_648, 2_147_483_647],
        };
        self.pick_number(pool).into()
    }

    fn enumeration(&mut self, kind: &str) -> Value {
        if self.chance(5) {
            return self.pick_number(&[99, 100, 255, -1, 2_147_483_647]).into();
        }
        // A good part of the flows are drops: these are what all is about.
        if kind == "Verdict" && self.chance(50) {
            return "DROPPED".into();
        }
        let names = &self.schema.enums[kind];
        names[self.rng.usize(..names.len())].as_str().into()
    }

    fn time(&mut self) -> Value {
        let fraction = match self.rng.u32(0..4) {
            0 => String::new(),
            1 => format!(".{:03}", self.rng.u32(0..1000)),
            2 => format!(".{:06}", self.rng.u32(0..1_000_000)),
            _ => format!(".{:09}", self.rng.u32(0..1_000_000_000)),
        };
        let day = match self.rng.u32(0..20) {
            0 => "0001-01-01".to_owned(),
            1 => "9999-12-31".to_owned(),
            2 => "1969-12-31".to_owned(),
            3 if self.wild => return "1970-01-01T00:00:00Z".into(),
            _ => format!("2025-{:02}-{:02}", self.rng.u32(1..=12), self.rng.u32(1..=28)),
        };
        let (h, m, s) = (self.rng.u32(0..24), self.rng.u32(0..60), self.rng.u32(0..60));
        format!("{day}T{h:02}:{m:02}:{s:02}{fraction}Z").into()
    }

    /// The one type that every client can print.
    fn extension(&mut self) -> Value {
        if self.wild && self.chance(50) {
            return self.any(0);
        }
        let text = self.text();
        json!({
            "@type": STRUCT_URL,
            "value": {"kernel_reason": text, "count": 3, "nested": {"list": [1, null, true, "x"]}},
        })
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn pick(&mut self, pool: &[&'static str]) -> &'static str {
        pool[self.rng.usize(..pool.len())]
    }

    fn pick_number(&mut self, pool: &[i64]) -> i64 {
        pool[self.rng.usize(..pool.len())]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_flows() {
        let lines = |seed| FlowGen::new(seed).expect("a generator").lines(50);
        assert_eq!(lines(7), lines(7));
        assert_ne!(lines(7), lines(8));
    }

    /// Below `Flow`, nothing that the API declares is left out.
    #[test]
    fn every_field_has_its_turn() {
        let mut generator = FlowGen::new(1).expect("a generator");
        let (mut seen, mut todo) = (BTreeSet::new(), Vec::new());
        for _ in 0..500 {
            todo.push(("Flow".to_owned(), generator.flow()));
        }
        while let Some((message, value)) = todo.pop() {
            let Value::Object(fields) = value else { continue };
            for field in &generator.schema.messages[&message] {
                let Some(value) = fields.get(&field.name) else { continue };
                seen.insert((message.clone(), field.name.clone()));
                let inside = generator.schema.messages.contains_key(&field.kind);
                match value {
                    Value::Array(list) if inside => {
                        todo.extend(list.iter().map(|v| (field.kind.clone(), v.clone())));
                    }
                    value if inside => todo.push((field.kind.clone(), value.clone())),
                    _ => {}
                }
            }
        }
        let reached: BTreeSet<String> = seen.iter().map(|(message, _)| message.clone()).collect();
        assert!(reached.len() >= 30, "{reached:?}");
        for message in reached {
            for field in &generator.schema.messages[&message] {
                assert!(seen.contains(&(message.clone(), field.name.clone())), "{message}.{}", field.name);
            }
        }
    }
}
