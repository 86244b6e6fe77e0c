//! A message of the API as a value of an expression: its bytes, and what they mean.
//!
//! As in protobuf a field that is not set has its default, and `has()` tells whether it is set. The checker turns the latter into a
//! field of its own, see [`PRESENT`].

use std::any::Any;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelInt, CelList, CelNull, CelString, CelTimestamp, CelUInt, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use chrono::{DateTime, FixedOffset};
use prost::encoding::{WireType, decode_key, decode_varint};

use super::made;
use super::schema::{Field, Kind, Shape};

/// Before a field's name: whether it is set. No field is called so.
pub(super) const PRESENT: char = '?';

static MESSAGE: Type = Type::new_unspecified_type("flow.Message");

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) shape: &'static Shape,
    pub(super) bytes: Bytes,
}

/// A value on the wire.
enum Raw {
    Number(u64),
    Bytes(Bytes),
}

type Boxed<'v> = Box<dyn Val + 'v>;

impl Message {
    /// All values of a field, in their order. The bytes are our own encoder's; what is no message ends early.
    fn values(&self, number: u32) -> Vec<Raw> {
        let mut rest = self.bytes.clone();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let Ok((tag, wire)) = decode_key(&mut rest) else { return found };
            let raw = match wire {
                WireType::Varint => decode_varint(&mut rest).ok().map(Raw::Number),
                WireType::LengthDelimited => decode_varint(&mut rest)
                    .ok()
                    .and_then(|length| usize::try_from(length).ok())
                    .filter(|length| *length <= rest.len())
                    .map(|length| Raw::Bytes(rest.split_to(length))),
                // No field of the API is of a fixed length.
                _ => None,
            };
            let Some(raw) = raw else { return found };
            if tag == number {
                found.push(raw);
            }
        }
        found
    }

    fn field<'v>(&self, name: &str) -> Option<Boxed<'v>> {
        if let Some(name) = name.strip_prefix(PRESENT) {
            let field = self.shape.field(name)?;
            return Some(Box::new(CelBool::from(!self.values(field.number).is_empty())));
        }
        let field = self.shape.field(name)?;
        let mut values = self.values(field.number);
        if field.list {
            let all = values.into_iter().flat_map(|raw| unpacked(raw, field.kind));
            let all: Vec<Boxed<'v>> = all.map(|raw| one(field.kind, Some(raw))).collect();
            return Some(Box::new(CelList::from(all)));
        }
        Some(one(field.kind, values.pop()))
    }
}

/// Lists of numbers travel as one text of bytes.
fn unpacked(raw: Raw, kind: Kind) -> Vec<Raw> {
    match raw {
        Raw::Bytes(mut bytes) if matches!(kind, Kind::Bool | Kind::Int | Kind::Uint) => {
            std::iter::from_fn(|| decode_varint(&mut bytes).ok().map(Raw::Number)).collect()
        }
        raw => vec![raw],
    }
}

/// A value, or what stands for none.
fn one<'v>(kind: Kind, raw: Option<Raw>) -> Boxed<'v> {
    let number = match &raw {
        Some(Raw::Number(number)) => *number,
        _ => 0,
    };
    let bytes = match raw {
        Some(Raw::Bytes(bytes)) => Some(bytes),
        _ => None,
    };
    match kind {
        Kind::Bool => Box::new(CelBool::from(number != 0)),
        // Negative ones are sent as if they had 64 bits.
        Kind::Int => Box::new(CelInt::from(number.cast_signed())),
        Kind::Uint => Box::new(CelUInt::from(number)),
        Kind::Text => {
            let text = bytes.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
            Box::new(CelString::from(text))
        }
        Kind::Time => Box::new(CelTimestamp::from(time(bytes.unwrap_or_default()))),
        Kind::MaybeBool => wrapped(bytes, |n| Box::new(CelBool::from(n != 0))),
        Kind::MaybeInt => wrapped(bytes, |n| Box::new(CelInt::from(n.cast_signed()))),
        Kind::MaybeUint => wrapped(bytes, |n| Box::new(CelUInt::from(n))),
        Kind::Any => any(bytes),
        Kind::Message(name) => match Shape::of(name) {
            Some(shape) => Box::new(Message { shape, bytes: bytes.unwrap_or_default() }),
            None => Box::new(CelNull),
        },
    }
}

/// The first field of a message of one field, or null for no message.
fn wrapped<'v>(bytes: Option<Bytes>, value: impl Fn(u64) -> Boxed<'v>) -> Boxed<'v> {
    static ONE: Shape =
        Shape { name: "", fields: &[Field { name: "value", number: 1, kind: Kind::Uint, list: false }] };
    let Some(bytes) = bytes else { return Box::new(CelNull) };
    match (Message { shape: &ONE, bytes }).values(1).pop() {
        Some(Raw::Number(number)) => value(number),
        _ => value(0),
    }
}

/// What an `Any` holds, as far as it is known: netdrop's own facts are a Struct.
fn any<'v>(bytes: Option<Bytes>) -> Boxed<'v> {
    let held: Option<prost_types::Any> = bytes.and_then(|b| prost::Message::decode(b).ok());
    let fields = held
        .filter(|a| a.type_url == "type.googleapis.com/google.protobuf.Struct")
        .and_then(|a| <prost_types::Struct as prost::Message>::decode(a.value.as_slice()).ok());
    let value = fields.map_or(cel::Value::Null, |s| map(s.fields));
    let made: Result<Box<dyn Val>, _> = value.try_into();
    made.unwrap_or_else(|_| Box::new(CelNull))
}

fn map(fields: BTreeMap<String, prost_types::Value>) -> cel::Value {
    let fields: HashMap<String, cel::Value> = fields.into_iter().map(|(k, v)| (k, json(v))).collect();
    fields.into()
}

fn json(value: prost_types::Value) -> cel::Value {
    use prost_types::value::Kind as Json;
    match value.kind {
        Some(Json::BoolValue(is)) => is.into(),
        Some(Json::NumberValue(number)) => number.into(),
        Some(Json::StringValue(text)) => text.into(),
        Some(Json::ListValue(list)) => list.values.into_iter().map(json).collect::<Vec<_>>().into(),
        Some(Json::StructValue(fields)) => map(fields.fields),
        Some(Json::NullValue(_)) | None => cel::Value::Null,
    }
}

/// A time, as expressions see it.
pub(super) type Moment = DateTime<FixedOffset>;

fn time(bytes: Bytes) -> Moment {
    moment(&prost::Message::decode(bytes).unwrap_or_default())
}

/// One that is no time is the first of 1970.
pub(super) fn moment(wire: &prost_types::Timestamp) -> Moment {
    let nanos = u32::try_from(wire.nanos).unwrap_or_default();
    DateTime::from_timestamp(wire.seconds, nanos).unwrap_or_default().fixed_offset()
}

impl Val for Message {
    fn get_type(&self) -> &Type {
        made::type_of(self.shape).unwrap_or(&MESSAGE)
    }

    fn cel_type() -> &'static Type {
        &MESSAGE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    /// One encoder wrote both, so equal ones have equal bytes.
    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|o| o.shape.name == self.shape.name && o.bytes == self.bytes)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Message {}

impl Indexer for Message {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = index.downcast_ref::<CelString<'_>>().map_or("", |s| s.inner());
        self.field(name).map(CowVal::Owned).ok_or_else(|| ExecutionError::no_such_key(name))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}
