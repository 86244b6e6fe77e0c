//! `google.protobuf.Any`: the message within, beside the name of its type. A type that this build does not know is an error, as it is
//! for Hubble's client.

use prost::Message as Wire;
use prost_types::{Any, Duration, FieldMask, ListValue, Struct, Timestamp};

use super::JsonError;
use super::codec::{Message, Value, write_message};
use super::generated::embedded;
use super::read::Reader;
use crate::sink::text::push_json;

/// How a type is written into an Any's JSON and read from there.
pub(super) struct Embedded {
    write: fn(&Any, &mut String) -> Result<(), JsonError>,
    read: fn(&mut Reader<'_>) -> Result<Vec<u8>, JsonError>,
}

impl Embedded {
    /// A message whose fields stand beside `@type`.
    pub(super) fn of_message<M: Message + Wire>() -> Self {
        Self {
            write: |any, out| {
                let message: M = decode(any)?;
                let start = out.len();
                write_message(&message, out)?;
                let body = out.split_off(start + 1);
                write_type(any, out);
                if body != "}" {
                    out.push(',');
                }
                out.push_str(&body);
                Ok(())
            },
            read: |input| Ok(input.typed_message::<M>()?.encode_to_vec()),
        }
    }

    /// A type with a JSON of its own, which stands under `value`.
    fn of_value<T: Value + Wire>() -> Self {
        Self {
            write: |any, out| {
                let value: T = decode(any)?;
                out.push('{');
                write_type(any, out);
                out.push_str(",\"value\":");
                value.write(out)?;
                out.push('}');
                Ok(())
            },
            read: |input| {
                let mut found = None;
                input.object(|input, name| match &*name {
                    "@type" => input.skip(),
                    "value" if found.is_some() => Err(input.error("a second \"value\"")),
                    "value" => {
                        found = Some(T::read(input)?);
                        Ok(())
                    }
                    name => input.unknown(name),
                })?;
                found.map(|v| v.encode_to_vec()).ok_or_else(|| input.error("an Any without a \"value\""))
            },
        }
    }
}

/// What an Any of this type URL holds.
fn find(url: &str) -> Option<Embedded> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let Some(own) = name.strip_prefix("google.protobuf.") else {
        return embedded(name);
    };
    Some(match own {
        "Any" => Embedded::of_value::<Any>(),
        "Struct" => Embedded::of_value::<Struct>(),
        "Value" => Embedded::of_value::<prost_types::Value>(),
        "ListValue" => Embedded::of_value::<ListValue>(),
        "Timestamp" => Embedded::of_value::<Timestamp>(),
        "Duration" => Embedded::of_value::<Duration>(),
        "FieldMask" => Embedded::of_value::<FieldMask>(),
        "Empty" => Embedded::of_value::<()>(),
        "BoolValue" => Embedded::of_value::<bool>(),
        "Int32Value" => Embedded::of_value::<i32>(),
        "UInt32Value" => Embedded::of_value::<u32>(),
        "Int64Value" => Embedded::of_value::<i64>(),
        "UInt64Value" => Embedded::of_value::<u64>(),
        "DoubleValue" => Embedded::of_value::<f64>(),
        "StringValue" => Embedded::of_value::<String>(),
        _ => return None,
    })
}

fn decode<T: Wire + Default>(any: &Any) -> Result<T, JsonError> {
    T::decode(any.value.as_slice()).map_err(|e| {
        JsonError::output(format!("google.protobuf.Any: unable to unmarshal {:?}: {e}", any.type_url))
    })
}

fn write_type(any: &Any, out: &mut String) {
    out.push_str("\"@type\":");
    push_json(&any.type_url, out);
}

pub(super) fn write(any: &Any, out: &mut String) -> Result<(), JsonError> {
    if any.type_url.is_empty() {
        if !any.value.is_empty() {
            return Err(JsonError::output("google.protobuf.Any: type_url is not set"));
        }
        out.push_str("{}");
        return Ok(());
    }
    let Some(embedded) = find(&any.type_url) else {
        return Err(JsonError::output(format!(
            "google.protobuf.Any: unable to resolve {:?}: not found",
            any.type_url
        )));
    };
    (embedded.write)(any, out)
}

pub(super) fn read(input: &mut Reader<'_>) -> Result<Any, JsonError> {
    let mut members = 0;
    let mut url = None;
    // The type may stand behind what it is needed for: a look ahead first.
    let mut ahead = input.clone();
    ahead.object(|ahead, name| {
        members += 1;
        if name != "@type" {
            return ahead.skip();
        }
        if url.is_some() {
            return Err(ahead.error("a second \"@type\""));
        }
        url = Some(ahead.text()?.into_owned()).filter(|u| !u.is_empty());
        if url.is_some() { Ok(()) } else { Err(ahead.error("an empty \"@type\"")) }
    })?;
    let Some(type_url) = url else {
        if members > 0 && !input.ignores_unknown() {
            return Err(input.error("an Any without \"@type\""));
        }
        input.skip()?;
        return Ok(Any::default());
    };
    let Some(embedded) = find(&type_url) else {
        return Err(input.error(format!("unable to resolve {type_url:?}")));
    };
    let value = (embedded.read)(input)?;
    Ok(Any { type_url, value })
}
