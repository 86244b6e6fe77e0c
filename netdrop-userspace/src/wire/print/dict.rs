//! `dict`: keys and values, a dashed line between records.

use super::columns;
use super::goish;
use super::{Options, time};
use crate::go::quote;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::relay::NodeStatusEvent;
use crate::wire::json::{FLOW_LOST_EVENT_SOURCE, RELAY_NODE_STATE};

const SEPARATOR: &str = "------------\n";

/// `records`: how many were written before.
pub(super) fn write(
    response: &GetFlowsResponse,
    types: &ResponseTypes,
    options: Options,
    records: u64,
    out: &mut String,
) {
    if records != 0 {
        out.push_str(SEPARATOR);
    }
    out.push_str("  TIMESTAMP: ");
    match types {
        ResponseTypes::Flow(flow) => {
            time(flow.time.as_ref(), options, out);
            if options.print.print_node_name {
                out.push_str("\n       NODE: ");
                options.text().push(&flow.node_name, out);
            }
            out.push_str("\n     SOURCE: ");
            columns::source(flow, options, out);
            out.push_str("\nDESTINATION: ");
            columns::destination(flow, options, out);
            out.push_str("\n       TYPE: ");
            columns::kind(flow, options, out);
            out.push_str("\n    VERDICT: ");
            columns::verdict(flow, options, out);
            out.push_str("\n    SUMMARY: ");
            columns::summary(flow, options, out);
        }
        ResponseTypes::LostEvents(lost) => {
            time(response.time.as_ref(), options, out);
            if options.print.print_node_name {
                out.push_str("\n       NODE: ");
                columns::lost_node(&response.node_name, options, out);
            }
            out.push_str("\n     SOURCE: ");
            FLOW_LOST_EVENT_SOURCE.push(lost.source, out);
            out.push_str("\n       TYPE: EVENTS LOST\n    VERDICT: -\n    SUMMARY: ");
            columns::lost(lost, " - ", options, out);
        }
        ResponseTypes::NodeStatus(_) => {}
    }
    out.push('\n');
}

pub(super) fn status(
    response: &GetFlowsResponse,
    status: &NodeStatusEvent,
    options: Options,
    records: u64,
    out: &mut String,
) {
    let text = options.text();
    if records != 0 {
        out.push_str(SEPARATOR);
    }
    out.push_str("  TIMESTAMP: ");
    time(response.time.as_ref(), options, out);
    out.push_str("\n      STATE: ");
    RELAY_NODE_STATE.push(status.state_change, out);
    out.push_str("\n      NODES: ");
    goish::join_with_cut(&status.node_names, |name| text.push(name, out));
    out.push_str("\n    MESSAGE: ");
    if status.message.is_empty() {
        out.push_str("N/A");
    } else {
        text.push(&quote(&status.message), out);
    }
    out.push('\n');
}
