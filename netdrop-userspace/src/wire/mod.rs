//! What comes from a server or a file, as it came: Hubble's messages, printed as Hubble's own client prints them.

pub mod json;
pub mod mask;
pub mod print;
pub mod run;
pub mod window;

use crate::convert::from_wire;
use crate::filter::Compiled;
use crate::flow::Observation;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;

/// Whether a filter lets a message pass. To Hubble's client an event that is no flow is a flow without any field.
pub fn matches(filter: &Compiled, response: &GetFlowsResponse) -> bool {
    if filter.is_empty() {
        return true;
    }
    let flow = match &response.response_types {
        Some(ResponseTypes::Flow(flow)) => flow.clone(),
        _ => crate::proto::flow::Flow::default(),
    };
    let response =
        GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() };
    match from_wire(response) {
        Some(Observation::Flow(flow)) => filter.matches(&flow),
        _ => false,
    }
}
