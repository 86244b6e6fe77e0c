//! Bytes to [`DropEvent`], and to headers. Total functions: any bytes give a value or a counted error.

mod bytes;
mod event;
mod packet;

pub use event::{DecodeError, DropEvent};
pub use packet::{parse, parse_ethernet, parse_network};
