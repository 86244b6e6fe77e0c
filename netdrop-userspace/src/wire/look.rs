//! How much of a message has to be read to show it.

use super::json::{Branch, Message as _, Tree};
use super::mask::FieldMask;
use super::print::Options;
use crate::filter::Compiled;
use crate::proto::observer::GetFlowsResponse;
use crate::sink::Format;

/// What the columns of the text formats show of a flow.
const COLUMNS: [&str; 29] = [
    "time",
    "verdict",
    "ethernet",
    "IP.source",
    "IP.destination",
    "l4.TCP.source_port",
    "l4.TCP.destination_port",
    "l4.UDP",
    "l4.SCTP",
    "source.identity",
    "source.namespace",
    "source.pod_name",
    "destination.identity",
    "destination.namespace",
    "destination.pod_name",
    "source_names",
    "destination_names",
    "l7",
    "event_type",
    "source_service",
    "destination_service",
    "traffic_direction",
    "policy_match_type",
    "is_reply",
    "ip_trace_id",
    "auth_type",
    "debug_capture_point",
    "sock_xlate_point",
    "Summary",
];

const POLICIES: [&str; 4] =
    ["ingress_allowed_by", "ingress_denied_by", "egress_allowed_by", "egress_denied_by"];

/// What of a response a filter looks at; `None`: all of it.
pub(crate) fn to_filter(filter: &Compiled) -> Option<Tree> {
    tree(filter, &[])
}

/// What of a response is looked at by a filter and to show it so; `None`: all of it.
pub(crate) fn to_show(filter: &Compiled, options: &Options) -> Option<Tree> {
    let some = |names: &'static [&'static str], is: bool| if is { names } else { &[] };
    let format = options.print.format;
    let shown = [
        &COLUMNS,
        some(&POLICIES, options.policy_names),
        some(&["node_name"], options.print.print_node_name),
        some(&["interface", "extensions"], format == Format::Wide),
        some(&["extensions"], options.stack),
    ];
    if format == Format::Json { None } else { tree(filter, &shown.concat()) }
}

/// With these fields of a flow. What is no flow is there as a whole.
fn tree(filter: &Compiled, shown: &[&str]) -> Option<Tree> {
    let mut paths = filter.looks_at()?;
    // A mask of nothing is one of everything.
    paths.extend(["time"].iter().chain(shown).map(|path| (*path).to_owned()));
    let mut flow = FieldMask::parse(&paths).ok()?.into_tree();
    let fields = GetFlowsResponse::fields().iter();
    let tree = fields.map(|field| match flow.take_if(|_| field.name == "flow") {
        Some(flow) => Branch::Within(flow),
        None => Branch::Keep,
    });
    Some(Tree(tree.collect()))
}
