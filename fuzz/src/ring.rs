//! Bytes as they come out of the ring buffer, all the way to the printers.

use netdrop::decode::DropEvent;

use crate::flows;

/// Any bytes are a record or an error.
pub fn run(bytes: &[u8]) {
    if let Ok(event) = DropEvent::decode(bytes) {
        flows::check(&event);
    }
}
