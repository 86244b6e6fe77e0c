//! `compact`: a line a flow.

use super::columns;
use super::goish;
use super::{Options, time};
use crate::go::quote;
use crate::proto::flow as wire;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::relay::{NodeState, NodeStatusEvent};
use crate::sink::text::push_number;
use crate::wire::json::{FLOW_LOST_EVENT_SOURCE, RELAY_NODE_STATE};

pub(super) fn write(response: &GetFlowsResponse, types: &ResponseTypes, options: Options, out: &mut String) {
    match types {
        ResponseTypes::Flow(f) => flow(f, options, out),
        ResponseTypes::LostEvents(lost) => {
            time(response.time.as_ref(), options, out);
            out.push_str(" EVENTS LOST: ");
            FLOW_LOST_EVENT_SOURCE.push(lost.source, out);
            out.push(' ');
            columns::lost(lost, " ", options, out);
            out.push('\n');
        }
        ResponseTypes::NodeStatus(_) => {}
    }
}

fn flow(flow: &wire::Flow, options: Options, out: &mut String) {
    time(flow.time.as_ref(), options, out);
    if options.print.print_node_name {
        out.push_str(" [");
        options.text().push(&flow.node_name, out);
        out.push(']');
    }
    out.push_str(": ");
    let left = |out: &mut String| {
        columns::source(flow, options, out);
        out.push(' ');
        columns::identity(flow.source.as_ref(), options, out);
    };
    let right = |out: &mut String| {
        columns::destination(flow, options, out);
        out.push(' ');
        columns::identity(flow.destination.as_ref(), options, out);
    };
    match flow.is_reply {
        Some(true) => {
            right(out);
            out.push_str(" <- ");
            left(out);
        }
        reply => {
            left(out);
            out.push_str(if reply.is_none() { " <> " } else { " -> " });
            right(out);
        }
    }
    out.push(' ');
    columns::kind(flow, options, out);
    out.push(' ');
    columns::verdict(flow, options, out);
    out.push_str(" (");
    columns::summary(flow, options, out);
    out.push_str(")\n");
}

pub(super) fn status(
    response: &GetFlowsResponse,
    status: &NodeStatusEvent,
    options: Options,
    out: &mut String,
) {
    let text = options.text();
    time(response.time.as_ref(), options, out);
    out.push_str(" [");
    text.push(&response.node_name, out);
    out.push_str("]: ");
    let count = |out: &mut String| push_number(status.node_names.len(), out);
    match NodeState::try_from(status.state_change) {
        Ok(NodeState::NodeConnected) => {
            out.push_str("Receiving flows from ");
            count(out);
            out.push_str(" nodes: ");
        }
        Ok(NodeState::NodeUnavailable) => {
            count(out);
            out.push_str(" nodes are unavailable: ");
        }
        Ok(NodeState::NodeGone) => {
            count(out);
            out.push_str(" nodes removed from cluster: ");
        }
        Ok(NodeState::NodeError) => {
            out.push_str("Error ");
            text.push(&quote(&status.message), out);
            out.push_str(" on ");
            count(out);
            out.push_str(" nodes: ");
        }
        _ => {
            out.push_str("unknown node status event ");
            RELAY_NODE_STATE.push(status.state_change, out);
            out.push_str(": ");
        }
    }
    goish::join_with_cut(&status.node_names, |name| text.push(name, out));
    out.push('\n');
}
