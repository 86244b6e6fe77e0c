//! What is legal and never seen: other spellings, other types in an Any, and lines that are no responses at all.

use serde_json::{Value, json};

use super::{FlowGen, pools};

/// A text as long as a name can be in a line that Hubble's client still reads.
const LONG: usize = 3000;

/// Lines that are no responses.
const NO_FLOWS: &[&str] = &["", " ", "null", "[]", "{}", "nonsense", "{\"flow\":{}}}", "\t{}\t"];

impl FlowGen {
    /// Everything that protobuf's JSON allows: both spellings of names, nulls, numbers in any form, any type in an Any, long texts.
    #[must_use]
    pub fn wild(mut self) -> Self {
        self.wild = true;
        self
    }

    /// Lines of a file that has everything: responses, what other programs write, and what nobody can read. Each is given to `mend`
    /// while it is a value still.
    pub fn file(&mut self, count: usize, mend: impl Fn(&mut Value)) -> String {
        let mut all = String::new();
        for _ in 0..count {
            let mut value = match self.rng.u32(0..100) {
                0..=2 => self.event("agent_event", "AgentEvent"),
                3..=5 => self.event("debug_event", "DebugEvent"),
                6 => {
                    json!({"flow": {"uuid": "u1", "not_yet": {"a": [1, {"b": null}]}, "verdict": "NOT_YET"}})
                }
                _ => self.response(),
            };
            mend(&mut value);
            let mut line = value.to_string();
            match self.rng.u32(0..100) {
                0 => {
                    let cut = self.rng.usize(..line.len());
                    line.truncate(line.floor_char_boundary(cut));
                }
                1 => self.pick(NO_FLOWS).clone_into(&mut line),
                2 => line.push('\r'),
                _ => {}
            }
            all += &line;
            all.push('\n');
        }
        all
    }

    /// A field's name and value in one of their spellings.
    pub(super) fn spelled(&mut self, name: &str, value: Value) -> (String, Value) {
        if !self.wild {
            return (name.to_owned(), value);
        }
        let name = if self.chance(8) { camel(name) } else { name.to_owned() };
        let value = match value {
            _ if self.chance(2) => Value::Null,
            Value::Number(n) if self.chance(5) => n.to_string().into(),
            Value::Number(n) if self.chance(3) && n.as_i64().is_some_and(|n| n.abs() < 1 << 31) => {
                json!(n.as_f64())
            }
            value => value,
        };
        (name, value)
    }

    /// A text that nobody would give, but may.
    pub(super) fn hostile(&mut self) -> Value {
        if self.wild && self.chance(3) {
            let part = self.pick(pools::HOSTILE);
            return part.repeat(LONG / part.len()).into();
        }
        if self.wild && self.chance(20) {
            let length = self.rng.usize(1..20);
            let any = |rng: &mut fastrand::Rng| rng.char(..);
            return (0..length).map(|_| any(&mut self.rng)).collect::<String>().into();
        }
        self.pick(pools::HOSTILE).into()
    }

    /// An Any of a type that both clients know.
    pub(super) fn any(&mut self, depth: usize) -> Value {
        let of = |kind: &str, value: Value| json!({"@type": format!("type.googleapis.com/google.protobuf.{kind}"), "value": value});
        match self.rng.u32(0..14) {
            0 => of("Timestamp", self.time()),
            1 => of("Duration", self.pick(pools::DURATIONS).into()),
            2 => of("BoolValue", self.rng.bool().into()),
            3 => of("StringValue", self.text()),
            4 => of("BytesValue", self.pick(&["", "AQID", "AQ", "AQ==", "-_-_", "+/+/"]).into()),
            5 => of("DoubleValue", self.number()),
            6 => of("FloatValue", self.pick(&["0.1", "1e10", "NaN", "-Infinity", "-0", "16777217"]).into()),
            7 => of("Int64Value", self.rng.i64(..).to_string().into()),
            8 => of("UInt32Value", self.rng.u32(..).into()),
            9 => of("FieldMask", self.pick(&["aB,c.dEF,x", "", " ", "a"]).into()),
            10 => of("Empty", json!({})),
            11 => of("ListValue", json!([self.text(), self.number(), null, [], {}, [[1]]])),
            12 if depth < 3 => of("Any", self.any(depth + 1)),
            _ => {
                let Value::Object(mut fields) = self.message("Flow", 7) else { return json!({}) };
                fields.insert("@type".to_owned(), "any.host/flow.Flow".into());
                Value::Object(fields)
            }
        }
    }

    fn number(&mut self) -> Value {
        match self.rng.u32(0..4) {
            0 => self.rng.i32(..).into(),
            1 => json!(self.rng.f64() * 1e30),
            2 => json!(self.rng.f64() * 1e-9),
            _ => json!(self.rng.f64()),
        }
    }
}

/// `is_reply` as `isReply`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.push(c.to_ascii_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}
