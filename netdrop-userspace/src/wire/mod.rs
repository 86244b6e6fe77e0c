//! What comes from a server or a file, as it came: Hubble's messages, printed as Hubble's own client prints them.

pub mod json;
pub(crate) mod lines;
pub(crate) mod look;
pub mod mask;
pub mod print;
pub mod run;
pub mod window;

use crate::filter::Compiled;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;

/// Whether a filter lets a message pass. To Hubble's client an event that is no flow has no field: what asks for a value does not match
/// it, not even if the value asked for is the default.
pub fn matches(filter: &Compiled, response: &GetFlowsResponse) -> bool {
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => filter.matches_wire(flow),
        _ => filter.matches_no_flow(),
    }
}
