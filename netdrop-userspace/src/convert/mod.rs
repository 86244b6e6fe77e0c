//! Domain types to the wire and back: the one place that knows both. Hostile wire values become absent, never a panic.

mod benign;
mod filter;
mod flow;
mod packet;

use std::sync::Arc;

use jiff::Timestamp;
use prost_types::Timestamp as WireTime;

pub use benign::{ask_for_benign, asks_for_benign};
pub use filter::{filter_from_wire, filter_to_wire, filters_from_extension, filters_to_extension};
pub use flow::{
    Roots, kernel_reason, netns, owner, part_to_wire as flow_to_wire_part, site, to_wire as flow_to_wire,
};
pub(crate) use packet::l4 as l4_to_wire;

use crate::flow::{LostEvents, LostSource, NodeState, NodeStatus, Observation};
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::{flow as wire, relay};

/// The one type of `Any` that the stock client can print without knowing netdrop.
const STRUCT_URL: &str = "type.googleapis.com/google.protobuf.Struct";

/// An observation as a server sends it.
pub fn to_wire(observation: &Observation) -> GetFlowsResponse {
    let (node, time, types) = match observation {
        Observation::Flow(f) => (f.node_name.as_deref(), f.time, ResponseTypes::Flow(flow::to_wire(f))),
        Observation::Lost(l) => (l.node_name.as_deref(), l.time, ResponseTypes::LostEvents(lost_to_wire(l))),
        Observation::Status(s) => {
            (s.reporter.as_deref(), s.time, ResponseTypes::NodeStatus(status_to_wire(s)))
        }
    };
    GetFlowsResponse {
        node_name: node.unwrap_or_default().to_owned(),
        time: Some(time_to_wire(time)),
        response_types: Some(types),
    }
}

/// What a server sent; `None` for a kind this build does not know.
pub fn from_wire(response: GetFlowsResponse) -> Option<Observation> {
    let node: Option<Arc<str>> = Some(response.node_name).filter(|n| !n.is_empty()).map(Into::into);
    let time = response.time.as_ref().and_then(time_from_wire);
    Some(match response.response_types? {
        ResponseTypes::Flow(f) => {
            let mut flow = flow::from_wire(f, time);
            if flow.node_name.is_none() {
                flow.node_name = node;
            }
            Observation::Flow(flow)
        }
        ResponseTypes::LostEvents(l) => Observation::Lost(LostEvents {
            source: lost_source(l.source),
            count: l.num_events_lost,
            cpu: l.cpu,
            time: time.unwrap_or(Timestamp::UNIX_EPOCH),
            first: l.first.as_ref().and_then(time_from_wire),
            last: l.last.as_ref().and_then(time_from_wire),
            node_name: node,
        }),
        ResponseTypes::NodeStatus(s) => Observation::Status(NodeStatus {
            time: time.unwrap_or(Timestamp::UNIX_EPOCH),
            reporter: node,
            state: node_state(s.state_change),
            nodes: s.node_names.into_iter().map(Into::into).collect(),
            message: s.message,
        }),
    })
}

fn lost_to_wire(l: &LostEvents) -> wire::LostEvent {
    wire::LostEvent {
        source: l.source as i32,
        num_events_lost: l.count,
        cpu: l.cpu,
        first: l.first.map(time_to_wire),
        last: l.last.map(time_to_wire),
    }
}

fn status_to_wire(s: &NodeStatus) -> relay::NodeStatusEvent {
    relay::NodeStatusEvent {
        state_change: s.state as i32,
        node_names: s.nodes.iter().map(ToString::to_string).collect(),
        message: s.message.clone(),
    }
}

fn lost_source(number: i32) -> LostSource {
    [LostSource::PerfEventRingBuffer, LostSource::ObserverEventsQueue, LostSource::HubbleRingBuffer]
        .into_iter()
        .find(|s| *s as i32 == number)
        .unwrap_or_default()
}

fn node_state(number: i32) -> NodeState {
    [NodeState::Connected, NodeState::Unavailable, NodeState::Gone, NodeState::Error]
        .into_iter()
        .find(|s| *s as i32 == number)
        .unwrap_or_default()
}

/// A time on the wire.
pub fn time_to_wire(time: Timestamp) -> WireTime {
    nanos_to_wire(time.as_nanosecond())
}

/// Of nanoseconds since 1970.
pub(crate) fn nanos_to_wire(nanos: i128) -> WireTime {
    const SECOND: i64 = 1_000_000_000;
    // Nanoseconds of a protobuf timestamp count forward from the second, also before the epoch.
    let (seconds, nanos) = match i64::try_from(nanos) {
        // Until 2262. A division of 128 bits is a call.
        Ok(nanos) => (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND)),
        Err(_) => (
            i64::try_from(nanos.div_euclid(SECOND.into())).unwrap_or_default(),
            i64::try_from(nanos.rem_euclid(SECOND.into())).unwrap_or_default(),
        ),
    };
    WireTime { seconds, nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// A time off the wire; `None` if it is none.
pub fn time_from_wire(time: &WireTime) -> Option<Timestamp> {
    if !(0..1_000_000_000).contains(&time.nanos) {
        return None;
    }
    Timestamp::from_nanosecond(i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)).ok()
}

#[cfg(test)]
mod tests;
