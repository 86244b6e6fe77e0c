//! Bytes to [`DropEvent`], and to headers. Total functions: any bytes give a value or a counted error.

mod event;
mod packet;

pub use event::{DecodeError, DropEvent};
pub use packet::parse;
