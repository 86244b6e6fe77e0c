//! Messages that an expression makes, and names of their types: `IP{source: '10.0.0.1'}`, `type(_flow) == flow.Flow`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use cel::common::ast::{EntryExpr, Expr, SelectExpr, StructExpr};
use cel::common::types::{
    CelBool, CelInt, CelList, CelNull, CelString, CelTimestamp, CelUInt, Type as Named,
};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError, IdedExpr, StructType};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::check::{Checker, Type};
use super::schema::{Field, Kind, SHAPES, Shape};
use super::value::Message;

/// The types of messages, as expressions name them.
fn types() -> &'static [(&'static Shape, Named)] {
    static TYPES: OnceLock<Vec<(&'static Shape, Named)>> = OnceLock::new();
    TYPES.get_or_init(|| {
        SHAPES.iter().map(|shape| (shape, Named::new_struct(format!("flow.{}", shape.name)))).collect()
    })
}

/// The type of a shape.
pub(super) fn type_of(shape: &Shape) -> Option<&'static Named> {
    types().iter().find(|(of, _)| of.name == shape.name).map(|(_, of)| of)
}

/// A message's shape by its name, which may begin with its package.
fn named(name: &str) -> Option<&'static Shape> {
    let name = name.strip_prefix('.').unwrap_or(name);
    Shape::of(name.strip_prefix("flow.").unwrap_or(name))
}

/// The name of a type, in full, as the interpreter knows it.
pub(super) fn type_name(name: &str) -> Option<Expr> {
    let (package, rest) = match name.strip_prefix('.').unwrap_or(name) {
        "google.protobuf.Timestamp" => ("google", "protobuf.Timestamp"),
        "google.protobuf.Duration" => ("google", "protobuf.Duration"),
        _ => ("flow", named(name)?.name),
    };
    let mut full = Expr::Ident(package.to_owned());
    for field in rest.split('.') {
        let operand = Box::new(IdedExpr { id: 0, expr: full });
        full = Expr::Select(SelectExpr { operand, field: field.to_owned(), test: false });
    }
    Some(full)
}

impl Checker {
    /// That a message's fields are there, and of their types.
    pub(super) fn message(&mut self, message: &mut StructExpr) -> Result<Type, String> {
        let shape = named(&message.type_name).ok_or_else(|| {
            format!("undeclared reference to '{}' (in container 'flow')", message.type_name)
        })?;
        message.type_name = format!("flow.{}", shape.name);
        for entry in &mut message.entries {
            let EntryExpr::StructField(entry) = &mut entry.expr else { continue };
            let field =
                shape.field(&entry.field).ok_or_else(|| format!("undefined field '{}'", entry.field))?;
            if entry.optional || field.kind == Kind::Any {
                return Err(format!("the field '{}' can't be set here", entry.field));
            }
            let (wanted, given) = (Type::of(field), self.check(&mut entry.value)?);
            if !wanted.fits(&given) {
                return Err(format!(
                    "expected type of field '{}' is '{wanted}' but provided type is '{given}'",
                    entry.field
                ));
            }
        }
        Ok(Type::Message(shape.name))
    }
}

/// Makes the messages of a shape.
struct Maker(&'static Shape, &'static Named);

impl StructType for Maker {
    fn get_type(&self) -> &Named {
        self.1
    }

    /// As the encoder of the API writes it, so that equal messages have equal bytes.
    fn new_value<'b, 'v>(
        &self,
        fields: BTreeMap<String, CowVal<'b, 'v>>,
    ) -> Result<Box<dyn Val + 'v>, ExecutionError> {
        let mut given: Vec<(&Field, &CowVal<'_, '_>)> = fields
            .iter()
            .map(|(name, value)| {
                let field = self.0.field(name).ok_or_else(|| ExecutionError::no_such_key(name))?;
                Ok((field, value))
            })
            .collect::<Result<_, ExecutionError>>()?;
        given.sort_by_key(|(field, _)| field.number);
        let mut bytes = Vec::new();
        for (field, value) in given {
            put(field, &**value, &mut bytes)
                .ok_or_else(|| ExecutionError::function_error(field.name, "a value of another type"))?;
        }
        Ok(Box::new(Message { shape: self.0, bytes: Bytes::from(bytes) }))
    }
}

/// Makes them known to an interpreter.
pub(super) fn declare(env: &mut Env) {
    for (shape, of) in types() {
        // Only a name that is taken is refused.
        drop(env.add_type(Maker(shape, of)));
    }
}

/// A value on the wire.
enum Wire {
    Unset,
    Number(u64),
    Bytes(Vec<u8>),
}

fn put(field: &Field, value: &dyn Val, out: &mut Vec<u8>) -> Option<()> {
    if !field.list {
        return put_one(field.number, one(field.kind, value, false)?, out);
    }
    let list = value.downcast_ref::<CelList<'_>>()?;
    let values = list.inner().iter().map(|value| one(field.kind, &**value, true));
    let values = values.collect::<Option<Vec<Wire>>>()?;
    let mut packed = Vec::new();
    for value in values {
        match value {
            Wire::Number(number) => encode_varint(number, &mut packed),
            other => put_one(field.number, other, out)?,
        }
    }
    let packed = if packed.is_empty() { Wire::Unset } else { Wire::Bytes(packed) };
    put_one(field.number, packed, out)
}

fn put_one(number: u32, value: Wire, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Wire::Unset => {}
        Wire::Number(value) => {
            encode_key(number, WireType::Varint, out);
            encode_varint(value, out);
        }
        Wire::Bytes(bytes) => {
            encode_key(number, WireType::LengthDelimited, out);
            encode_varint(u64::try_from(bytes.len()).ok()?, out);
            out.extend_from_slice(&bytes);
        }
    }
    Some(())
}

/// `None`: it is of another type. A default is not sent, but for one in a list.
fn one(kind: Kind, value: &dyn Val, in_list: bool) -> Option<Wire> {
    let number = |n: u64| if n == 0 && !in_list { Wire::Unset } else { Wire::Number(n) };
    let wrapped = |n: u64| {
        let mut bytes = Vec::new();
        put_one(1, if n == 0 { Wire::Unset } else { Wire::Number(n) }, &mut bytes)?;
        Some(Wire::Bytes(bytes))
    };
    let bool = || value.downcast_ref::<CelBool>().map(|is| u64::from(*is.inner()));
    let int = || value.downcast_ref::<CelInt>().map(|n| n.inner().cast_unsigned());
    let uint = || value.downcast_ref::<CelUInt>().map(|n| *n.inner());
    if value.downcast_ref::<CelNull>().is_some() {
        return (!matches!(kind, Kind::Bool | Kind::Int | Kind::Uint | Kind::Text)).then_some(Wire::Unset);
    }
    Some(match kind {
        Kind::Bool => number(bool()?),
        Kind::Int => number(int()?),
        Kind::Uint => number(uint()?),
        Kind::MaybeBool => wrapped(bool()?)?,
        Kind::MaybeInt => wrapped(int()?)?,
        Kind::MaybeUint => wrapped(uint()?)?,
        Kind::Text => {
            let text = value.downcast_ref::<CelString<'_>>()?.inner();
            if text.is_empty() && !in_list { Wire::Unset } else { Wire::Bytes(text.as_bytes().to_vec()) }
        }
        Kind::Time => {
            let time = value.downcast_ref::<CelTimestamp>()?.inner();
            let nanos = i32::try_from(time.timestamp_subsec_nanos()).ok()?;
            Wire::Bytes(prost_types::Timestamp { seconds: time.timestamp(), nanos }.encode_to_vec())
        }
        Kind::Message(name) => {
            let message = value.downcast_ref::<Message>().filter(|message| message.shape.name == name)?;
            Wire::Bytes(message.bytes.to_vec())
        }
        Kind::Any => return None,
    })
}
