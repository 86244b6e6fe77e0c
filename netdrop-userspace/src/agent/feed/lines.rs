//! An observation as a line of an exporter's log: `ExportEvent`, which is written as `GetFlowsResponse` is.

use jiff::Timestamp;

use super::Mask;
use crate::convert::{time_to_wire, to_wire};
use crate::flow::Observation;
use crate::proto::flow::{AgentEvent, Flow as WireFlow};
use crate::proto::observer::export_event::ResponseTypes as Exported;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::{ExportEvent, GetFlowsResponse};
use crate::sink::write_json;

/// Appends a line. A mask is for flows; loss and states of nodes are short.
pub(super) fn push(observation: &Observation, mask: Option<&Mask>, out: &mut String) {
    match (mask, observation) {
        (Some(mask), Observation::Flow(_)) => {
            if let Some(mut flow) = wire_flow(observation) {
                mask.apply(&mut flow);
                push_wire(flow, out);
            }
        }
        _ => write_json(observation, out),
    }
}

/// Appends a flow as it goes over the wire. Outside of the flow stands what is still in it, as Hubble's exporter has it.
pub(super) fn push_wire(flow: WireFlow, out: &mut String) {
    let response = GetFlowsResponse {
        node_name: flow.node_name.clone(),
        time: flow.time,
        response_types: Some(ResponseTypes::Flow(flow)),
    };
    let start = out.len();
    match crate::wire::json::write(&response, out) {
        Ok(()) => out.push('\n'),
        // Only what another server's flow held could be it; netdrop's own are all printable.
        Err(e) => {
            out.truncate(start);
            tracing::debug!("a flow has no JSON: {e}");
        }
    }
}

/// Appends an event of the agent.
pub(super) fn push_event(node: &str, time: Timestamp, event: &AgentEvent, out: &mut String) {
    let line = ExportEvent {
        node_name: node.to_owned(),
        time: Some(time_to_wire(time)),
        response_types: Some(Exported::AgentEvent(event.clone())),
    };
    let start = out.len();
    match crate::wire::json::write(&line, out) {
        Ok(()) => out.push('\n'),
        Err(e) => {
            out.truncate(start);
            tracing::debug!("an event has no JSON: {e}");
        }
    }
}

/// The flow of an observation, as it goes over the wire.
pub(super) fn wire_flow(observation: &Observation) -> Option<WireFlow> {
    match to_wire(observation).response_types {
        Some(ResponseTypes::Flow(flow)) => Some(flow),
        _ => None,
    }
}
