//! Protobuf's JSON mapping, as Go's protojson with `UseProtoNames` and then `encoding/json` write it: fields in the order of their
//! declaration, unset ones left out, 64-bit numbers as texts, unknown enum numbers as numbers, `<`, `>` and `&` escaped.
//!
//! How each message is written and read is generated from the API's definitions (`build/codec.rs`).

mod any;
mod codec;
mod exact;
mod field;
mod known;
pub(crate) mod number;
mod read;
mod some;
mod structs;
mod when;

use std::fmt;

pub use codec::{Message, Names};
pub use generated::*;
pub use read::Reader;

pub(crate) use codec::{Branch, Tree};
pub(super) use field::Field;
pub use some::is_exact;
pub(crate) use some::read_some;

use codec::{EnumSlot, Slot, Value, keep_one, message_value, write_always};

/// The code that build.rs wrote.
// Not every package trips every lint, so these can't be expectations.
#[allow(
    clippy::pedantic,
    clippy::style,
    clippy::complexity,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod generated {
    use super::any::Embedded;
    use super::field::Kind;
    use super::known::*;
    use super::{
        EnumSlot, Field, JsonError, Message, Names, Reader, Slot, Tree, Value, keep_one, message_value,
        write_always,
    };

    include!(concat!(env!("OUT_DIR"), "/codec.rs"));
}

/// Why a message can't be written to JSON, or read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    what: String,
    /// Where in the text, counted from 1 in characters; `None` for what was to be written.
    column: Option<usize>,
}

impl JsonError {
    fn output(what: impl Into<String>) -> Self {
        Self { what: what.into(), column: None }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(f, "column {column}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for JsonError {}

/// Appends a message as JSON. What was written before an error is left to the caller to cut.
pub fn write<M: Message>(message: &M, out: &mut String) -> Result<(), JsonError> {
    codec::write_message(message, out)
}

/// Unknown fields and names of enums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Are an error.
    Refuse,
    /// Are passed over.
    Ignore,
}

/// Reads one message, by both spellings of its fields' names; enums by name or number.
pub fn read<M: Message>(text: &str, unknown: Unknown) -> Result<M, JsonError> {
    let mut reader = Reader::new(text, unknown);
    let message = reader.message()?;
    reader.end()?;
    Ok(message)
}

#[cfg(test)]
mod tests;
