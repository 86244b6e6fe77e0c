//! `dict`: keys and values, a dashed line between records.

use super::columns::{self, put};
use super::{Painter, PrintOptions, escape};
use crate::flow::Observation;

const SEPARATOR: &str = "------------\n";

/// `records`: how many were written before.
pub(super) fn write(observation: &Observation, options: PrintOptions, records: u64, out: &mut String) {
    if records != 0 {
        out.push_str(SEPARATOR);
    }
    out.push_str("  TIMESTAMP: ");
    match observation {
        Observation::Flow(flow) => {
            options.time_format.write(flow.time, out);
            node(flow.node_name.as_deref(), options, out);
            out.push_str("\n     SOURCE: ");
            columns::source(flow, options, out);
            out.push_str("\nDESTINATION: ");
            columns::destination(flow, options, out);
            out.push_str("\n       TYPE: ");
            columns::kind(flow, out);
            out.push_str("\n    VERDICT: ");
            columns::verdict(flow, Painter(options.color), out);
            out.push_str("\n    SUMMARY: ");
            columns::summary(flow, out);
        }
        Observation::Lost(lost) => {
            options.time_format.write(lost.time, out);
            node(lost.node_name.as_deref(), options, out);
            put(out, format_args!("\n     SOURCE: {}", lost.source.name()));
            out.push_str("\n       TYPE: EVENTS LOST\n    VERDICT: -\n    SUMMARY: ");
            columns::lost(lost, options, out);
        }
        Observation::Status(status) => {
            options.time_format.write(status.time, out);
            put(out, format_args!("\n      STATE: {}\n      NODES: ", status.state.name()));
            columns::nodes(&status.nodes, out);
            out.push_str("\n    MESSAGE: ");
            if status.message.is_empty() {
                out.push_str("N/A");
            } else {
                put(out, format_args!("\"{}\"", escape(&status.message).replace('"', "\\\"")));
            }
        }
    }
    out.push('\n');
}

fn node(name: Option<&str>, options: PrintOptions, out: &mut String) {
    if options.print_node_name {
        put(out, format_args!("\n       NODE: {}", escape(name.unwrap_or(""))));
    }
}
