//! What a client did not ask for and merging needed.

use super::wire::{Wire, WireKind};
use crate::proto::observer::get_flows_response::ResponseTypes;

/// Takes out of flows what was added to their field mask.
#[derive(Debug)]
pub(super) struct Mask(());

impl Mask {
    /// The time was added.
    pub(super) fn without_time() -> Self {
        Self(())
    }

    /// As the client asked for it.
    #[expect(clippy::unused_self, reason = "there is one thing to take out, so far")]
    pub(super) fn apply(&self, wire: Wire) -> Wire {
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
}
