//! `google.protobuf.Struct` from JSON to its bytes at once, and back. Flows of netdrop carry one each, and a tree of it, built only to be
//! written out again, is a third of what reading such a flow costs, and half of what writing one does.

use prost::Message as _;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use prost_types::Struct;

use super::JsonError;
use super::codec::Value as _;
use super::number::push_float;
use super::read::Reader;
use crate::sink::text::push_json;

/// Keys of protobuf: number of the field, and how its value is laid out.
const FIELDS: u8 = 0x0a;
const KEY: u8 = 0x0a;
const VALUE: u8 = 0x12;
const NULL: u8 = 0x08;
const NUMBER: u8 = 0x11;
const STRING: u8 = 0x1a;
const BOOL: u8 = 0x20;

/// The bytes of the object that comes next.
pub(super) fn bytes(input: &mut Reader<'_>) -> Result<Vec<u8>, JsonError> {
    let mut flat = input.clone();
    let mut out = Vec::new();
    if plain(&mut flat, &mut out).is_ok_and(|plain| plain) {
        *input = flat;
        return Ok(out);
    }
    // Whatever is wrong is told by this one; what is in order is put there.
    Ok(Struct::read(input)?.encode_to_vec())
}

/// Whether it holds nothing but plain values, under keys in ascending order, as protobuf's writers put them: so none is there twice.
fn plain(input: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<bool, JsonError> {
    let mut plain = true;
    let mut last = None;
    input.object(|input, key| {
        plain &= !key.is_empty() && last.as_ref().is_none_or(|last| *last < key);
        if !plain {
            return Err(input.error("not plain"));
        }
        entry(input, &key, out)?;
        last = Some(key);
        Ok(())
    })?;
    Ok(plain)
}

fn entry(input: &mut Reader<'_>, key: &str, out: &mut Vec<u8>) -> Result<(), JsonError> {
    match input.peek() {
        Some(b'"') => {
            let text = input.text()?;
            let length = 1 + encoded_len_varint(text.len() as u64) + text.len();
            begin(key, length, out);
            out.push(STRING);
            encode_varint(text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
        Some(b'{' | b'[') => return Err(input.error("not plain")),
        Some(b't' | b'f') => {
            let value = input.boolean()?;
            begin(key, 2, out);
            out.extend_from_slice(&[BOOL, u8::from(value)]);
        }
        Some(b'n') if input.null() => {
            begin(key, 2, out);
            out.extend_from_slice(&[NULL, 0]);
        }
        _ => {
            let number: f64 = input.float()?;
            begin(key, 9, out);
            out.push(NUMBER);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    Ok(())
}

/// All of an entry but its value, which takes `length` bytes.
fn begin(key: &str, length: usize, out: &mut Vec<u8>) {
    let of_key = 1 + encoded_len_varint(key.len() as u64) + key.len();
    let of_value = 1 + encoded_len_varint(length as u64) + length;
    out.push(FIELDS);
    encode_varint((of_key + of_value) as u64, out);
    out.push(KEY);
    encode_varint(key.len() as u64, out);
    out.extend_from_slice(key.as_bytes());
    out.push(VALUE);
    encode_varint(length as u64, out);
}

/// Appends the JSON of a Struct's bytes; `false`: nothing, since they are not as [`bytes`] mostly puts them, and take a tree.
pub(super) fn write(bytes: &[u8], out: &mut String) -> bool {
    let start = out.len();
    out.push('{');
    let plain = write_plain(bytes, out).is_some();
    if plain {
        out.push('}');
    } else {
        out.truncate(start);
    }
    plain
}

/// `None`: it is no such Struct as [`plain`] puts there, or none at all.
fn write_plain(mut bytes: &[u8], out: &mut String) -> Option<()> {
    let mut last: Option<&str> = None;
    while !bytes.is_empty() {
        let mut entry = field(&mut bytes, FIELDS)?;
        let key = str::from_utf8(field(&mut entry, KEY)?).ok()?;
        let value = field(&mut entry, VALUE)?;
        if !entry.is_empty() || key.is_empty() || last.is_some_and(|last| last >= key) {
            return None;
        }
        if last.is_some() {
            out.push(',');
        }
        push_json(key, out);
        out.push(':');
        write_value(value, out)?;
        last = Some(key);
    }
    Some(())
}

fn write_value(value: &[u8], out: &mut String) -> Option<()> {
    match value {
        [STRING, ..] => {
            let mut rest = value;
            let text = field(&mut rest, STRING)?;
            push_json(str::from_utf8(text).ok().filter(|_| rest.is_empty())?, out);
        }
        [NUMBER, number @ ..] => {
            let number = f64::from_le_bytes(number.try_into().ok()?);
            if !number.is_finite() {
                return None;
            }
            push_float(number, out);
        }
        [BOOL, is @ (0 | 1)] => out.push_str(if *is == 1 { "true" } else { "false" }),
        [NULL, 0] => out.push_str("null"),
        _ => return None,
    }
    Some(())
}

/// What the field that comes next holds, if it is that one.
fn field<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (first, mut rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let (taken, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Unknown;
    use super::*;

    /// The same by way of the tree.
    fn by_tree(text: &str) -> Result<Vec<u8>, String> {
        let mut input = Reader::new(text, Unknown::Refuse);
        let read = Struct::read(&mut input).and_then(|s| input.end().map(|()| s));
        read.map(|s| s.encode_to_vec()).map_err(|e| e.to_string())
    }

    fn at_once(text: &str) -> Result<Vec<u8>, String> {
        let mut input = Reader::new(text, Unknown::Refuse);
        let read = bytes(&mut input).and_then(|bytes| input.end().map(|()| bytes));
        read.map_err(|e| e.to_string())
    }

    fn is_plain(text: &str) -> bool {
        plain(&mut Reader::new(text, Unknown::Refuse), &mut Vec::new()).unwrap_or(false)
    }

    #[test]
    fn the_bytes_are_those_of_the_tree() {
        for (text, plain) in [
            ("{}", true),
            (r#"{"a":1,"b":-0.5,"c":"x","d":true,"e":false,"f":null,"g":""}"#, true),
            (r#" { "a" : 1e300 , "b" : "\u00e9\"" } "#, true),
            (r#"{"b":1,"a":2}"#, false),
            (r#"{"a":1,"a":2}"#, false),
            (r#"{"":1}"#, false),
            (r#"{"a":[1,{"b":null}]}"#, false),
            (r#"{"a":{"b":{}}}"#, false),
            (r#"{"a":nul}"#, false),
            (r#"{"a":"x}"#, false),
            (r#"{"a":1"#, false),
            ("[]", false),
        ] {
            assert_eq!(at_once(text), by_tree(text), "{text}");
            assert_eq!(is_plain(text), plain, "{text}");
            if let Ok(bytes) = by_tree(text) {
                assert_eq!(written(&bytes), written_by_tree(&bytes), "{text}");
                // In its bytes keys are in order, and each is there once.
                let nested = text.contains(":[") || text.contains(":{") || text.contains(r#""":"#);
                assert_eq!(write(&bytes, &mut String::new()), !nested, "{text}");
            }
        }
    }

    /// As it is written at once, or by way of the tree if it can't be.
    fn written(bytes: &[u8]) -> Option<String> {
        let mut out = "x".to_owned();
        if write(bytes, &mut out) { Some(out) } else { (out == "x").then(|| written_by_tree(bytes))? }
    }

    fn written_by_tree(bytes: &[u8]) -> Option<String> {
        let mut out = "x".to_owned();
        Struct::decode(bytes).ok()?.write(&mut out).ok()?;
        Some(out)
    }

    #[test]
    fn bytes_that_few_write_are_written_as_the_tree_is() {
        let entry = |key: &str, value: &[u8]| {
            let mut out = Vec::new();
            begin(key, value.len(), &mut out);
            [&out, value].concat()
        };
        let nan = [&[NUMBER][..], &f64::NAN.to_le_bytes()].concat();
        for bytes in [
            entry("a", &[BOOL, 2]),
            entry("a", &[NULL, 7]),
            entry("a", &[]),
            entry("a", &nan),
            entry("a", &[STRING, 1, 0xff]),
            entry("a", &[STRING, 1, b'x', BOOL, 1]),
            entry("a", &[STRING, 9, b'x']),
            [entry("b", &[BOOL, 1]), entry("a", &[BOOL, 0])].concat(),
            [entry("a", &[BOOL, 1]), entry("a", &[BOOL, 0])].concat(),
            [entry("a", &[BOOL, 1]), vec![0xff]].concat(),
            // The value in front of its key, and a field that nobody knows.
            vec![FIELDS, 7, VALUE, 2, BOOL, 1, KEY, 1, b'k'],
            vec![0x18, 1],
        ] {
            assert_eq!(written(&bytes), written_by_tree(&bytes), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn of_any_object(entries in prop::collection::vec(
            (
                prop_oneof!["[a-c]{0,2}", ".{0,140}"],
                prop_oneof![
                    any::<f64>().prop_map(|n| if n.is_finite() { n.to_string() } else { "0".to_owned() }),
                    any::<u32>().prop_map(|n| n.to_string()),
                    ".{0,200}".prop_map(|s| serde_json::to_string(&s).unwrap()),
                    Just("true".to_owned()),
                    Just("null".to_owned()),
                    Just("[{}]".to_owned()),
                    Just("x".to_owned()),
                ],
            ),
            0..6,
        ), sorted in any::<bool>()) {
            let mut entries = entries;
            if sorted {
                entries.sort();
            }
            let members: Vec<String> =
                entries.iter().map(|(k, v)| format!("{}:{v}", serde_json::to_string(k).unwrap())).collect();
            let text = format!("{{{}}}", members.join(","));
            prop_assert_eq!(at_once(&text), by_tree(&text));
            if let Ok(bytes) = by_tree(&text) {
                prop_assert_eq!(written(&bytes), written_by_tree(&bytes));
            }
        }

        #[test]
        fn of_any_bytes(bytes in prop::collection::vec(prop_oneof![
            Just(FIELDS), Just(VALUE), Just(STRING), Just(BOOL), Just(1), Just(2), Just(5), Just(b'a'), any::<u8>()
        ], 0..24)) {
            prop_assert_eq!(written(&bytes), written_by_tree(&bytes));
        }
    }
}
