//! How a message's fields are written, read and masked, by their types.

use super::field::Field;
use super::read::Reader;
use super::{JsonError, number};
use crate::sink::text::{push_json, push_number};

/// A generated message.
pub trait Message: Default {
    /// Full name in protobuf.
    const NAME: &'static str;
    /// Fields in the order of their declaration.
    fn fields() -> &'static [Field];
    /// Appends all that are set.
    fn write_fields(&self, out: &mut String) -> Result<(), JsonError>;
    /// Reads the field of an index in [`Message::fields`].
    fn read_field(&mut self, index: usize, input: &mut Reader<'_>) -> Result<(), JsonError>;
    /// Clears what the tree does not keep.
    fn keep(&mut self, tree: &Tree);
}

/// Which fields of a message are kept, by index.
#[derive(Clone, Debug, Default)]
pub struct Tree(pub(in crate::wire) Box<[Branch]>);

/// What becomes of a field.
#[derive(Clone, Debug, Default)]
pub enum Branch {
    /// It is cleared.
    #[default]
    Clear,
    /// It stays as it is.
    Keep,
    /// Only some of its own fields stay.
    Within(Tree),
}

impl Tree {
    pub(super) fn at(&self, index: usize) -> &Branch {
        self.0.get(index).unwrap_or(&Branch::Clear)
    }
}

/// Names of an enum, sorted by number.
#[derive(Debug)]
pub struct Names(pub(super) &'static [(i32, &'static str)]);

impl Names {
    /// The name of a number.
    pub fn name(&self, number: i32) -> Option<&'static str> {
        self.0.binary_search_by_key(&number, |n| n.0).ok().map(|i| self.0[i].1)
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.0.iter().find(|n| n.1 == name).map(|n| n.0)
    }

    /// All numbers, from the lowest on.
    pub fn numbers(&self) -> impl Iterator<Item = i32> {
        self.0.iter().map(|n| n.0)
    }

    /// The name, or the number where it has none, as a text format has it.
    pub fn push(&self, number: i32, out: &mut String) {
        match self.name(number) {
            Some(name) => out.push_str(name),
            None => push_number(number, out),
        }
    }
}

/// A value of a JSON text.
pub trait Value: Default {
    /// Appends it.
    fn write(&self, out: &mut String) -> Result<(), JsonError>;
    /// Reads it.
    fn read(input: &mut Reader<'_>) -> Result<Self, JsonError>;
    /// Clears what the tree does not keep, where it has fields.
    fn keep(&mut self, _tree: &Tree) {}
}

/// A field's place in a message: a scalar with its default for unset, an optional value, a list.
pub trait Slot {
    /// Appends key and value, if it is set.
    fn write(key: &str, slot: &Self, out: &mut String) -> Result<(), JsonError>;
    /// Reads it.
    fn read(slot: &mut Self, input: &mut Reader<'_>) -> Result<(), JsonError>;
    /// Clears it, or what is in it.
    fn keep(slot: &mut Self, branch: &Branch);
}

/// A place of an enum's number, or of a list of them.
pub trait EnumSlot {
    /// Appends key and name, if it is set.
    fn write(key: &str, slot: &Self, names: &Names, out: &mut String);
    /// Reads a name or number.
    fn read(slot: &mut Self, names: &Names, input: &mut Reader<'_>) -> Result<(), JsonError>;
    /// Clears it.
    fn keep(slot: &mut Self, branch: &Branch);
}

fn put_key(key: &str, out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(key);
}

/// Appends a field that has a presence of its own.
pub fn write_always<T: Value>(key: &str, value: &T, out: &mut String) -> Result<(), JsonError> {
    put_key(key, out);
    value.write(out)
}

/// Masks the field that a oneof holds; whether it stays.
pub fn keep_one<T: Value>(value: &mut T, branch: &Branch) -> bool {
    match branch {
        Branch::Clear => return false,
        Branch::Keep => {}
        Branch::Within(tree) => value.keep(tree),
    }
    true
}

pub(super) fn write_message<M: Message>(message: &M, out: &mut String) -> Result<(), JsonError> {
    out.push('{');
    message.write_fields(out)?;
    out.push('}');
    Ok(())
}

/// A message is a value.
macro_rules! message_value {
    ($path:path) => {
        impl Value for $path {
            fn write(&self, out: &mut String) -> Result<(), JsonError> {
                super::codec::write_message(self, out)
            }

            fn read(input: &mut Reader<'_>) -> Result<Self, JsonError> {
                input.message()
            }

            fn keep(&mut self, tree: &Tree) {
                Message::keep(self, tree);
            }
        }
    };
}
pub(super) use message_value;

impl<T: Value> Slot for Option<T> {
    fn write(key: &str, slot: &Self, out: &mut String) -> Result<(), JsonError> {
        slot.as_ref().map_or(Ok(()), |value| write_always(key, value, out))
    }

    fn read(slot: &mut Self, input: &mut Reader<'_>) -> Result<(), JsonError> {
        *slot = Some(T::read(input)?);
        Ok(())
    }

    /// As Hubble's server does it, a mask of some of a message's fields leaves the message there, if empty.
    fn keep(slot: &mut Self, branch: &Branch) {
        match branch {
            Branch::Clear => *slot = None,
            Branch::Keep => {}
            Branch::Within(tree) => slot.get_or_insert_default().keep(tree),
        }
    }
}

impl<T: Value> Slot for Vec<T> {
    fn write(key: &str, slot: &Self, out: &mut String) -> Result<(), JsonError> {
        if slot.is_empty() {
            return Ok(());
        }
        put_key(key, out);
        write_list(slot, out)
    }

    fn read(slot: &mut Self, input: &mut Reader<'_>) -> Result<(), JsonError> {
        input.array(|input| {
            slot.push(T::read(input)?);
            Ok(())
        })
    }

    fn keep(slot: &mut Self, branch: &Branch) {
        if matches!(branch, Branch::Clear) {
            slot.clear();
        }
    }
}

pub(super) fn write_list<T: Value>(list: &[T], out: &mut String) -> Result<(), JsonError> {
    out.push('[');
    for (i, value) in list.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        value.write(out)?;
    }
    out.push(']');
    Ok(())
}

impl EnumSlot for i32 {
    fn write(key: &str, slot: &Self, names: &Names, out: &mut String) {
        if *slot != 0 {
            put_key(key, out);
            write_enum(*slot, names, out);
        }
    }

    fn read(slot: &mut Self, names: &Names, input: &mut Reader<'_>) -> Result<(), JsonError> {
        *slot = input.enumeration(names)?.unwrap_or_default();
        Ok(())
    }

    fn keep(slot: &mut Self, branch: &Branch) {
        Slot::keep(slot, branch);
    }
}

impl EnumSlot for Vec<i32> {
    fn write(key: &str, slot: &Self, names: &Names, out: &mut String) {
        if slot.is_empty() {
            return;
        }
        put_key(key, out);
        for (i, number) in slot.iter().enumerate() {
            out.push(if i == 0 { '[' } else { ',' });
            write_enum(*number, names, out);
        }
        out.push(']');
    }

    fn read(slot: &mut Self, names: &Names, input: &mut Reader<'_>) -> Result<(), JsonError> {
        input.array(|input| {
            slot.extend(input.enumeration(names)?);
            Ok(())
        })
    }

    fn keep(slot: &mut Self, branch: &Branch) {
        Slot::keep(slot, branch);
    }
}

fn write_enum(number: i32, names: &Names, out: &mut String) {
    match names.name(number) {
        Some(name) => {
            out.push('"');
            out.push_str(name);
            out.push('"');
        }
        None => push_number(number, out),
    }
}

/// A scalar that is unset when it is its type's default.
macro_rules! scalar {
    ($type:ty, |$value:ident, $out:ident| $write:expr, |$input:ident| $read:expr, $unset:expr) => {
        impl Value for $type {
            fn write(&self, $out: &mut String) -> Result<(), JsonError> {
                let $value = self;
                $write;
                Ok(())
            }

            fn read($input: &mut Reader<'_>) -> Result<Self, JsonError> {
                $read
            }
        }

        impl Slot for $type {
            fn write(key: &str, slot: &Self, out: &mut String) -> Result<(), JsonError> {
                let unset: fn(&$type) -> bool = $unset;
                if unset(slot) { Ok(()) } else { write_always(key, slot, out) }
            }

            fn read(slot: &mut Self, input: &mut Reader<'_>) -> Result<(), JsonError> {
                *slot = <$type as Value>::read(input)?;
                Ok(())
            }

            fn keep(slot: &mut Self, branch: &Branch) {
                if matches!(branch, Branch::Clear) {
                    *slot = <$type>::default();
                }
            }
        }
    };
}

scalar!(String, |v, out| push_json(v, out), |input| input.text().map(Into::into), String::is_empty);
scalar!(bool, |v, out| out.push_str(if *v { "true" } else { "false" }), |input| input.boolean(), |v| !v);
scalar!(u32, |v, out| push_number(*v, out), |input| input.whole("uint32"), |v| *v == 0);
scalar!(i32, |v, out| push_number(*v, out), |input| input.whole("int32"), |v| *v == 0);
scalar!(u64, |v, out| quoted(*v, out), |input| input.whole("uint64"), |v| *v == 0);
scalar!(i64, |v, out| quoted(*v, out), |input| input.whole("int64"), |v| *v == 0);
scalar!(f64, |v, out| number::push_float(*v, out), |input| input.float(), |v| v.to_bits() == 0);

fn quoted(number: impl itoa::Integer, out: &mut String) {
    out.push('"');
    push_number(number, out);
    out.push('"');
}
