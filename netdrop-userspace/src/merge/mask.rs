//! What a client did not ask for and merging needed.

use super::wire::{Wire, WireKind};
use crate::proto::observer::get_flows_response::ResponseTypes;

/// A flow as it is for a field mask without the time.
pub(super) fn without_time(wire: Wire) -> Wire {
    if wire.kind != WireKind::Flow {
        return wire;
    }
    // What can't be read here goes on as it is: the client says so.
    let Ok(mut response) = wire.response() else {
        return wire;
    };
    response.time = None;
    if let Some(ResponseTypes::Flow(flow)) = &mut response.response_types {
        flow.time = None;
    }
    Wire::of(&response)
}
