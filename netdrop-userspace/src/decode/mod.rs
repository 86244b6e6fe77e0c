//! Bytes to [`DropEvent`], and to headers. Total functions: any bytes give a value or a counted error.

mod bytes;
mod counted;
mod event;
mod frame;
mod packet;

pub use counted::{FlowCount, RestCount};
pub use event::{DecodeError, DropEvent};
pub use frame::frame;
pub use packet::{parse, parse_ethernet, parse_network};
