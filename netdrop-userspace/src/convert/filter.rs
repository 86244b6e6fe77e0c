//! Filters, there and back.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Any, Struct};

use super::STRUCT_URL;
use crate::filter::{EventTypeFilter, Filters, FlowFilter, InterfaceFilter, TcpFlagsFilter, WorkloadFilter};
use crate::flow::{Verdict, hubble};
use crate::proto::flow as wire;

/// A filter as a client sent it. Fields that netdrop does not match by are an error that names them: a filter that is silently
/// wider shows what was not asked for.
pub fn filter_from_wire(w: wire::FlowFilter) -> Result<FlowFilter, String> {
    let unsupported = [
        ("source_ip_xlated", !w.source_ip_xlated.is_empty()),
        ("http_status_code", !w.http_status_code.is_empty()),
        ("http_method", !w.http_method.is_empty()),
        ("http_path", !w.http_path.is_empty()),
        ("http_url", !w.http_url.is_empty()),
        ("http_header", !w.http_header.is_empty()),
        ("dns_query", !w.dns_query.is_empty()),
        ("node_labels", !w.node_labels.is_empty()),
        ("trace_id", !w.trace_id.is_empty()),
        ("ip_trace_id", !w.ip_trace_id.is_empty()),
        ("encrypted", !w.encrypted.is_empty()),
        ("source_cluster_name", !w.source_cluster_name.is_empty()),
        ("destination_cluster_name", !w.destination_cluster_name.is_empty()),
        ("experimental.cel_expression", w.experimental.is_some_and(|e| !e.cel_expression.is_empty())),
    ];
    if let Some((name, _)) = unsupported.iter().find(|(_, set)| *set) {
        return Err(format!("filters by {name} are not supported by this netdrop"));
    }
    let workloads = |list: Vec<wire::Workload>| {
        list.into_iter().map(|w| WorkloadFilter { name: w.name, kind: w.kind }).collect()
    };
    Ok(FlowFilter {
        uuid: w.uuid,
        source_ip: w.source_ip,
        source_pod: w.source_pod,
        source_fqdn: w.source_fqdn,
        source_label: w.source_label,
        source_service: w.source_service,
        source_workload: workloads(w.source_workload),
        destination_ip: w.destination_ip,
        destination_pod: w.destination_pod,
        destination_fqdn: w.destination_fqdn,
        destination_label: w.destination_label,
        destination_service: w.destination_service,
        destination_workload: workloads(w.destination_workload),
        traffic_direction: numbers(&w.traffic_direction),
        verdict: numbers(&w.verdict),
        drop_reason_desc: numbers(&w.drop_reason_desc),
        interface: w
            .interface
            .into_iter()
            .map(|i| InterfaceFilter { index: i.index, name: i.name })
            .collect(),
        event_type: w
            .event_type
            .into_iter()
            .map(|e| EventTypeFilter {
                kind: e.r#type,
                match_sub_type: e.match_sub_type,
                sub_type: e.sub_type,
            })
            .collect(),
        protocol: w.protocol,
        source_port: w.source_port,
        destination_port: w.destination_port,
        reply: w.reply,
        source_identity: w.source_identity,
        destination_identity: w.destination_identity,
        tcp_flags: w.tcp_flags.iter().map(tcp_flags_from_wire).collect(),
        node_name: w.node_name,
        ip_version: numbers(&w.ip_version),
        reason: Vec::new(),
        netns: Vec::new(),
    })
}

/// A filter as a server takes it. netdrop's own fields have no place on the wire: the client applies them itself.
pub fn filter_to_wire(f: &FlowFilter) -> wire::FlowFilter {
    let workloads = |list: &[WorkloadFilter]| {
        list.iter().map(|w| wire::Workload { name: w.name.clone(), kind: w.kind.clone() }).collect()
    };
    wire::FlowFilter {
        uuid: f.uuid.clone(),
        source_ip: f.source_ip.clone(),
        source_pod: f.source_pod.clone(),
        source_fqdn: f.source_fqdn.clone(),
        source_label: f.source_label.clone(),
        source_service: f.source_service.clone(),
        source_workload: workloads(&f.source_workload),
        destination_ip: f.destination_ip.clone(),
        destination_pod: f.destination_pod.clone(),
        destination_fqdn: f.destination_fqdn.clone(),
        destination_label: f.destination_label.clone(),
        destination_service: f.destination_service.clone(),
        destination_workload: workloads(&f.destination_workload),
        traffic_direction: by_name(&f.traffic_direction, |n| match n {
            "INGRESS" => Some(1),
            "EGRESS" => Some(2),
            _ => None,
        }),
        verdict: by_name(&f.verdict, |n| Verdict::ALL.iter().find(|v| v.name() == n).map(|v| *v as i32)),
        drop_reason_desc: by_name(&f.drop_reason_desc, hubble::drop_reason_number),
        interface: f
            .interface
            .iter()
            .map(|i| wire::NetworkInterface { index: i.index, name: i.name.clone() })
            .collect(),
        event_type: f
            .event_type
            .iter()
            .map(|e| wire::EventTypeFilter {
                r#type: e.kind,
                match_sub_type: e.match_sub_type,
                sub_type: e.sub_type,
            })
            .collect(),
        protocol: f.protocol.clone(),
        source_port: f.source_port.clone(),
        destination_port: f.destination_port.clone(),
        reply: f.reply.clone(),
        source_identity: f.source_identity.clone(),
        destination_identity: f.destination_identity.clone(),
        tcp_flags: f.tcp_flags.iter().map(tcp_flags_to_wire).collect(),
        node_name: f.node_name.clone(),
        ip_version: by_name(&f.ip_version, |n| match n {
            "IPv4" => Some(1),
            "IPv6" => Some(2),
            _ => None,
        }),
        ..wire::FlowFilter::default()
    }
}

/// Key of the Struct in a request's `extensions` that holds netdrop's filters, whole, as JSON.
const KEY: &str = "netdrop_filters";

/// The filters for a netdrop server, where they use fields that `flow.FlowFilter` does not have. Any other server leaves them
/// aside, and the client applies them itself.
pub fn filters_to_extension(filters: &Filters) -> Option<Any> {
    let own = filters.allow.iter().chain(&filters.deny).any(|f| !f.reason.is_empty() || !f.netns.is_empty());
    let json = serde_json::to_string(&(&filters.allow, &filters.deny)).ok().filter(|_| own)?;
    let value = prost_types::Value { kind: Some(Kind::StringValue(json)) };
    let fields = [(KEY.to_owned(), value)].into();
    Some(Any { type_url: STRUCT_URL.to_owned(), value: Struct { fields }.encode_to_vec() })
}

/// The filters that a netdrop client sent that way; `None`: it sent none.
pub fn filters_from_extension(any: Option<&Any>) -> Option<Result<Filters, String>> {
    let any = any.filter(|a| a.type_url == STRUCT_URL)?;
    let facts = Struct::decode(any.value.as_slice()).ok()?;
    let Some(Kind::StringValue(json)) = &facts.fields.get(KEY)?.kind else { return None };
    let lists: Result<(Vec<FlowFilter>, Vec<FlowFilter>), _> = serde_json::from_str(json);
    Some(lists.map(|(allow, deny)| Filters { allow, deny }).map_err(|e| format!("invalid {KEY}: {e}")))
}

/// Enums travel as numbers; a filter takes either.
fn numbers(values: &[i32]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn by_name(values: &[String], number: impl Fn(&str) -> Option<i32>) -> Vec<i32> {
    values.iter().map(|v| number(v).or_else(|| v.parse().ok()).unwrap_or(0)).collect()
}

fn tcp_flags_from_wire(f: &wire::TcpFlags) -> TcpFlagsFilter {
    TcpFlagsFilter {
        fin: f.fin,
        syn: f.syn,
        rst: f.rst,
        psh: f.psh,
        ack: f.ack,
        urg: f.urg,
        ece: f.ece,
        cwr: f.cwr,
        ns: f.ns,
    }
}

fn tcp_flags_to_wire(f: &TcpFlagsFilter) -> wire::TcpFlags {
    wire::TcpFlags {
        fin: f.fin,
        syn: f.syn,
        rst: f.rst,
        psh: f.psh,
        ack: f.ack,
        urg: f.urg,
        ece: f.ece,
        cwr: f.cwr,
        ns: f.ns,
    }
}
