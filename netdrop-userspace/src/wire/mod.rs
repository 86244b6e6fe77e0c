//! What comes from a server or a file, as it came: Hubble's messages, printed as Hubble's own client prints them.

pub mod json;
pub mod mask;
pub mod print;
pub mod run;
pub mod window;

use std::sync::OnceLock;

use crate::filter::Compiled;
use crate::proto::flow::{Flow, Ip};
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;

/// Whether a filter lets a message pass. To Hubble's client an event that is no flow has no field: what asks for a value does not match
/// it, not even if the value asked for is the default.
pub fn matches(filter: &Compiled, response: &GetFlowsResponse) -> bool {
    static NO_FLOW: OnceLock<Flow> = OnceLock::new();
    match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => filter.matches_wire(flow),
        _ => filter.is_empty() || filter.matches_wire(NO_FLOW.get_or_init(no_flow)),
    }
}

/// Values that nobody asks for, where a filter looks at the value alone.
fn no_flow() -> Flow {
    Flow {
        uuid: "\0".to_owned(),
        verdict: i32::MIN,
        traffic_direction: i32::MIN,
        ip: Some(Ip { ip_version: i32::MIN, ..Ip::default() }),
        ..Flow::default()
    }
}
