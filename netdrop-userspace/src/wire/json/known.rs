//! Google's own types that have a JSON of their own.

use prost_types::value::Kind;
use prost_types::{Any, Duration, FieldMask, ListValue, Struct, Timestamp};

use super::codec::{Branch, Tree, Value, write_list};
use super::field::{self, Field};
use super::read::Reader;
use super::when::{FIRST_SECOND, LAST_SECOND, timestamp};
use super::{JsonError, any, number};
use crate::sink::text::{push_json, push_padded};
use crate::sink::time::write_json_unix;

const fn plain(name: &'static str) -> Field {
    Field::new(name, name, "", field::Kind::Other)
}

// What a mask can name within them.
pub(super) static GOOGLE_PROTOBUF_TIMESTAMP: [Field; 2] = [plain("seconds"), plain("nanos")];
pub(super) static GOOGLE_PROTOBUF_ANY: [Field; 2] = [plain("type_url"), plain("value")];
pub(super) static GOOGLE_PROTOBUF_FIELD_MASK: [Field; 1] = [plain("paths")];
pub(super) static GOOGLE_PROTOBUF_BOOL_VALUE: [Field; 1] = [plain("value")];
pub(super) static GOOGLE_PROTOBUF_INT32_VALUE: [Field; 1] = [plain("value")];
pub(super) static GOOGLE_PROTOBUF_U_INT32_VALUE: [Field; 1] = [plain("value")];

fn kept(tree: &Tree, index: usize) -> bool {
    !matches!(tree.at(index), Branch::Clear)
}

impl Value for Timestamp {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        let (mut seconds, nanos) = (self.seconds, self.nanos);
        if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
            return Err(JsonError::output(format!(
                "google.protobuf.Timestamp: seconds out of range {seconds}"
            )));
        }
        // Go's encoder lets a whole second of nanoseconds pass.
        let Some(mut nanos) = u32::try_from(nanos).ok().filter(|n| *n <= 1_000_000_000) else {
            return Err(JsonError::output(format!("google.protobuf.Timestamp: nanos out of range {nanos}")));
        };
        if nanos == 1_000_000_000 {
            (seconds, nanos) = (seconds + 1, 0);
        }
        out.push('"');
        write_json_unix(seconds, nanos, out);
        out.push('"');
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        let text = input.text()?;
        timestamp(&text).ok_or_else(|| input.error(format!("no time {text:?}")))
    }

    fn keep(&mut self, tree: &Tree) {
        if !kept(tree, 0) {
            self.seconds = 0;
        }
        if !kept(tree, 1) {
            self.nanos = 0;
        }
    }
}

impl Value for Any {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        any::write(self, out)
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        any::read(input)
    }

    fn keep(&mut self, tree: &Tree) {
        if !kept(tree, 0) {
            self.type_url.clear();
        }
        if !kept(tree, 1) {
            self.value.clear();
        }
    }
}

impl Value for Struct {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        out.push('{');
        for (i, (key, value)) in self.fields.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_json(key, out);
            out.push(':');
            value.write(out)?;
        }
        out.push('}');
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut read = Self::default();
        input.object(|input, key| {
            if read.fields.contains_key(&*key) {
                return Err(input.error(format!("key {key:?} for the second time")));
            }
            let value = Value::read(input)?;
            read.fields.insert(key.into_owned(), value);
            Ok(())
        })?;
        Ok(read)
    }
}

impl Value for ListValue {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        write_list(&self.values, out)
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut read = Self::default();
        input.array(|input| {
            read.values.push(Value::read(input)?);
            Ok(())
        })?;
        Ok(read)
    }
}

impl Value for prost_types::Value {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        match &self.kind {
            None => Err(JsonError::output("google.protobuf.Value: none of the oneof fields is set")),
            Some(Kind::NullValue(_)) => {
                out.push_str("null");
                Ok(())
            }
            Some(Kind::NumberValue(n)) if !n.is_finite() => {
                let shown = if n.is_nan() {
                    "NaN"
                } else if *n > 0.0 {
                    "+Inf"
                } else {
                    "-Inf"
                };
                Err(JsonError::output(format!("google.protobuf.Value.number_value: invalid {shown} value")))
            }
            Some(Kind::NumberValue(n)) => {
                number::push_float(*n, out);
                Ok(())
            }
            Some(Kind::StringValue(text)) => text.write(out),
            Some(Kind::BoolValue(b)) => b.write(out),
            Some(Kind::StructValue(s)) => s.write(out),
            Some(Kind::ListValue(l)) => l.write(out),
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        let kind = match input.peek() {
            Some(b'"') => Kind::StringValue(input.text()?.into_owned()),
            Some(b'{') => Kind::StructValue(Value::read(input)?),
            Some(b'[') => Kind::ListValue(Value::read(input)?),
            Some(b't' | b'f') => Kind::BoolValue(input.boolean()?),
            Some(b'n') if input.null() => Kind::NullValue(0),
            _ => Kind::NumberValue(input.float()?),
        };
        Ok(Self { kind: Some(kind) })
    }
}

impl Value for Duration {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        let negative = self.seconds < 0 || self.nanos < 0;
        if self.seconds.unsigned_abs() > 315_576_000_000
            || self.nanos.unsigned_abs() > 1_000_000_000
            || (self.seconds > 0 && self.nanos < 0)
            || (self.seconds < 0 && self.nanos > 0)
        {
            return Err(JsonError::output("google.protobuf.Duration: out of range"));
        }
        out.push_str(if negative { "\"-" } else { "\"" });
        crate::sink::text::push_number(self.seconds.unsigned_abs(), out);
        let nanos = self.nanos.unsigned_abs();
        for (unit, digits) in [(1_000_000, 3), (1_000, 6), (1, 9)] {
            if nanos != 0 && nanos.is_multiple_of(unit) {
                out.push('.');
                push_padded(nanos / unit, digits, out);
                break;
            }
        }
        out.push_str("s\"");
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        let text = input.text()?;
        duration(&text).ok_or_else(|| input.error(format!("no duration {text:?}")))
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.strip_suffix('s')?;
    let negative = digits.starts_with('-');
    let digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    let (int, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if digits.is_empty()
        || fraction.len() > 9
        || !fits(int)
        || !fits(fraction)
        || (int.len() > 1 && int.starts_with('0'))
    {
        return None;
    }
    let seconds: i64 = if int.is_empty() { 0 } else { int.parse().ok()? };
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    let sign = if negative { -1 } else { 1 };
    (seconds <= 315_576_000_000)
        .then(|| Duration { seconds: seconds * sign, nanos: if negative { -nanos } else { nanos } })
}

impl Value for FieldMask {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        let mut paths = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let camel = camel(path);
            if !is_path(path) || snake(&camel) != *path {
                return Err(JsonError::output(format!("google.protobuf.FieldMask.paths: invalid {path:?}")));
            }
            paths.push(camel);
        }
        push_json(&paths.join(","), out);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        let text = input.text()?;
        let text = text.trim();
        let mut read = Self::default();
        for path in text.split(',').filter(|_| !text.is_empty()) {
            let path = Some(snake(path)).filter(|snake| !path.contains('_') && is_path(snake));
            read.paths.push(path.ok_or_else(|| input.error(format!("no paths of fields {text:?}")))?);
        }
        Ok(read)
    }
}

/// Names with points between them.
fn is_path(path: &str) -> bool {
    path.split('.').all(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

fn camel(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut upper = false;
    for c in path.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

fn snake(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 4);
    for c in path.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `google.protobuf.Empty`.
impl Value for () {
    fn write(&self, out: &mut String) -> Result<(), JsonError> {
        out.push_str("{}");
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
        input.object(|input, name| input.unknown(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let read = |t: &str| timestamp(t).map(|t| (t.seconds, t.nanos));
        assert_eq!(read("1970-01-01T00:00:01.5Z"), Some((1, 500_000_000)));
        assert_eq!(read("1970-01-01T02:00:00+02:00"), Some((0, 0)));
        assert_eq!(read("9999-12-31T23:59:59.999999999Z"), Some((LAST_SECOND, 999_999_999)));
        for wrong in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:01",
            "1970-01-01T00:00:60Z",
            "1970-02-30T00:00:00Z",
            "1970-01-01T00:00:01.Z",
            "1970-01-01T00:00:01.0123456789Z",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-00:01",
            "1970-01-01t00:00:01Z",
            "1970-01-01T00:00:01+0200",
            "+970-01-01T00:00:01Z",
            "1970-01-01T00:00:01é",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations() {
        for text in ["1s", "-1.500s", "0.000000001s", "0s"] {
            let mut out = String::new();
            duration(text).unwrap().write(&mut out).unwrap();
            assert_eq!(out, format!("\"{text}\""));
        }
        assert_eq!(duration("01s"), None);
    }
}
