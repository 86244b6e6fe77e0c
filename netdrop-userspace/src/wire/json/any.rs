//! `google.protobuf.Any`: the message within, beside the name of its type. A type that this build does not know is an error, as it is
//! for Hubble's client.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message as Wire;
use prost_types::{Any, Duration, FieldMask, ListValue, Struct, Timestamp};

use super::JsonError;
use super::codec::{Message, Value, write_message};
use super::generated::embedded;
use super::number::{Float, push_float};
use super::read::Reader;
use super::structs;
use crate::sink::text::push_json;

/// Objects within each other that protobuf's decoder, which takes three steps for each and a hundred in all, can surely follow.
const DEEP: u32 = 25;

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
            write: |any, out| write_value(any, out, |value: &T, out| value.write(out)),
            read: |input| Ok(value(input, T::read)?.encode_to_vec()),
        }
    }

    /// `BytesValue`.
    fn of_bytes() -> Self {
        Self {
            write: |any, out| {
                write_value(any, out, |bytes: &Vec<u8>, out| {
                    out.push('"');
                    STANDARD.encode_string(bytes, out);
                    out.push('"');
                    Ok(())
                })
            },
            read: |input| {
                let bytes = value(input, |input| {
                    let text = input.text()?;
                    from_base64(&text).ok_or_else(|| input.error("no base64"))
                })?;
                Ok(bytes.encode_to_vec())
            },
        }
    }

    /// `DoubleValue`. Its negative zero is set, which prost's encoder has for none.
    fn of_double() -> Self {
        Self {
            write: |any, out| write_value(any, out, |n: &f64, out| float(*n, out)),
            read: |input| {
                let number: f64 = value(input, Reader::float)?;
                Ok(fixed(0x09, &number.to_le_bytes()))
            },
        }
    }

    /// `FloatValue`.
    fn of_float() -> Self {
        Self {
            write: |any, out| write_value(any, out, |n: &f32, out| float(*n, out)),
            read: |input| {
                let number: f32 = value(input, Reader::float)?;
                Ok(fixed(0x0d, &number.to_le_bytes()))
            },
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the writers of other values")]
fn float<F: Float>(number: F, out: &mut String) -> Result<(), JsonError> {
    push_float(number, out);
    Ok(())
}

/// A wrapper of a number of fixed size: key and value; nothing, if all its bits are zero.
fn fixed(key: u8, value: &[u8]) -> Vec<u8> {
    if value.iter().all(|b| *b == 0) { Vec::new() } else { [&[key], value].concat() }
}

/// As Go's client reads it: of either alphabet, padded if its length says so, with line ends anywhere and any bits at its end.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let padding = if text.len().is_multiple_of(4) {
        DecodePaddingMode::RequireCanonical
    } else {
        DecodePaddingMode::RequireNone
    };
    let config =
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(padding);
    GeneralPurpose::new(alphabet, config).decode(text.replace(['\r', '\n'], "")).ok()
}

fn write_value<T: Wire + Default>(
    any: &Any,
    out: &mut String,
    write: impl Fn(&T, &mut String) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let value: T = decode(any)?;
    begin_value(any, out);
    write(&value, out)?;
    out.push('}');
    Ok(())
}

fn begin_value(any: &Any, out: &mut String) {
    out.push('{');
    write_type(any, out);
    out.push_str(",\"value\":");
}

/// What stands under `value`, beside the name of the type.
fn value<'a, T>(
    input: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, JsonError>,
) -> Result<T, JsonError> {
    value_or_none(input, read)?.ok_or_else(|| input.error("an Any without a \"value\""))
}

/// The same, where there may be none.
fn value_or_none<'a, T>(
    input: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, JsonError>,
) -> Result<Option<T>, JsonError> {
    let mut found = None;
    let mut typed = false;
    input.object(|input, name| match &*name {
        "@type" => input.type_once(&mut typed),
        "value" if found.is_some() => Err(input.error("a second \"value\"")),
        "value" => {
            found = Some(read(input)?);
            Ok(())
        }
        name => input.unknown(name),
    })?;
    Ok(found)
}

/// What an Any of this type URL holds.
fn find(url: &str) -> Option<Embedded> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let Some(own) = name.strip_prefix("google.protobuf.") else {
        return embedded(name);
    };
    Some(match own {
        "Any" => Embedded::of_value::<Any>(),
        "Struct" => Embedded {
            write: |any, out| {
                let start = out.len();
                begin_value(any, out);
                if structs::write(&any.value, out) {
                    out.push('}');
                    return Ok(());
                }
                out.truncate(start);
                write_value(any, out, |value: &Struct, out| value.write(out))
            },
            read: |input| value(input, structs::bytes),
        },
        "Value" => Embedded::of_value::<prost_types::Value>(),
        "ListValue" => Embedded::of_value::<ListValue>(),
        "Timestamp" => Embedded::of_value::<Timestamp>(),
        "Duration" => Embedded::of_value::<Duration>(),
        "FieldMask" => Embedded::of_value::<FieldMask>(),
        "Empty" => Embedded {
            read: |input| value_or_none(input, <()>::read).map(|_| Vec::new()),
            ..Embedded::of_value::<()>()
        },
        "BoolValue" => Embedded::of_value::<bool>(),
        "Int32Value" => Embedded::of_value::<i32>(),
        "UInt32Value" => Embedded::of_value::<u32>(),
        "Int64Value" => Embedded::of_value::<i64>(),
        "UInt64Value" => Embedded::of_value::<u64>(),
        "DoubleValue" => Embedded::of_double(),
        "FloatValue" => Embedded::of_float(),
        "StringValue" => Embedded::of_value::<String>(),
        "BytesValue" => Embedded::of_bytes(),
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
    let Some(type_url) = type_url(input)? else {
        return Ok(Any::default());
    };
    let Some(embedded) = find(&type_url) else {
        return Err(input.error(format!("unable to resolve {type_url:?}")));
    };
    let value = (embedded.read)(input)?;
    let any = Any { type_url, value };
    // What can't be shown again is not taken: it would end the output, and with it all the lines after this one.
    if input.deepest() > DEEP && (embedded.write)(&any, &mut String::new()).is_err() {
        return Err(input.error("a message too deep within others"));
    }
    Ok(any)
}

/// The type of the Any that comes next; `None`: it has none, and is passed over.
fn type_url(input: &mut Reader<'_>) -> Result<Option<String>, JsonError> {
    // It stands in front, mostly. A second one is found when the rest is read.
    if let Some(first) = input.clone().first_text("@type")
        && !first.is_empty()
    {
        return Ok(Some(first.into_owned()));
    }
    let mut members = 0;
    let mut url = None;
    // It may stand behind what it is needed for: a look ahead.
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
    if url.is_none() {
        if members > 0 && !input.ignores_unknown() {
            return Err(input.error("an Any without \"@type\""));
        }
        input.skip()?;
    }
    Ok(url)
}
