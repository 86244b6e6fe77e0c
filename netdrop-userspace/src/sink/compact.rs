//! `compact`: a line a flow.

use super::columns::{self, put};
use super::{Painter, PrintOptions, escape};
use crate::flow::{Flow, LostEvents, NodeState, NodeStatus, Observation};

pub(super) fn write(observation: &Observation, options: PrintOptions, out: &mut String) {
    match observation {
        Observation::Flow(f) => flow(f, options, out),
        Observation::Lost(l) => lost(l, options, out),
        Observation::Status(s) => status(s, options, out),
    }
}

fn node(name: Option<&str>, options: PrintOptions, out: &mut String) {
    if options.print_node_name {
        put(out, format_args!(" [{}]", escape(name.unwrap_or(""))));
    }
}

fn flow(flow: &Flow, options: PrintOptions, out: &mut String) {
    let painter = Painter(options.color);
    options.time_format.write(flow.time, out);
    node(flow.node_name.as_deref(), options, out);
    out.push_str(": ");
    let left = |out: &mut String| {
        columns::source(flow, options, out);
        out.push(' ');
        columns::identity(flow.source.identity, painter, out);
    };
    let right = |out: &mut String| {
        columns::destination(flow, options, out);
        out.push(' ');
        columns::identity(flow.destination.identity, painter, out);
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
    columns::kind(flow, out);
    out.push(' ');
    columns::verdict(flow, painter, out);
    out.push_str(" (");
    columns::summary(flow, out);
    out.push_str(")\n");
}

fn lost(lost: &LostEvents, options: PrintOptions, out: &mut String) {
    options.time_format.write(lost.time, out);
    put(
        out,
        format_args!(" EVENTS LOST: {} CPU({}) {}", lost.source.name(), lost.cpu.unwrap_or(0), lost.count),
    );
    columns::span(lost, options, out);
    out.push('\n');
}

fn status(status: &NodeStatus, options: PrintOptions, out: &mut String) {
    options.time_format.write(status.time, out);
    put(out, format_args!(" [{}]: ", escape(status.reporter.as_deref().unwrap_or(""))));
    let count = status.nodes.len();
    match status.state {
        NodeState::Connected => put(out, format_args!("Receiving flows from {count} nodes: ")),
        NodeState::Unavailable => put(out, format_args!("{count} nodes are unavailable: ")),
        NodeState::Gone => put(out, format_args!("{count} nodes removed from cluster: ")),
        NodeState::Error => {
            put(out, format_args!("Error \"{}\" on {count} nodes: ", escape(&status.message)));
        }
        NodeState::Unknown => {
            put(out, format_args!("unknown node status event \"{}\": ", escape(&status.message)));
        }
    }
    columns::nodes(&status.nodes, out);
    if status.state == NodeState::Unavailable && !status.message.is_empty() {
        put(out, format_args!(" ({})", escape(&status.message)));
    }
    out.push('\n');
}
