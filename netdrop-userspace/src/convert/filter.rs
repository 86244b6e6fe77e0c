//! Filters, there and back.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Any, Struct};

use super::STRUCT_URL;
use crate::filter::{
    EventTypeFilter, Experimental, Filters, FlowFilter, HttpHeaderFilter, InterfaceFilter, TcpFlagsFilter,
    WorkloadFilter,
};
use crate::proto::flow as wire;

/// A filter as a client sent it. An error says what of it this build can't match by: nothing now, but a filter that is silently
/// wider shows what was not asked for.
pub fn filter_from_wire(w: wire::FlowFilter) -> Result<FlowFilter, String> {
    let workloads = |list: Vec<wire::Workload>| {
        list.into_iter().map(|w| WorkloadFilter { name: w.name, kind: w.kind }).collect()
    };
    Ok(FlowFilter {
        uuid: w.uuid,
        source_ip: w.source_ip,
        source_ip_xlated: w.source_ip_xlated,
        source_pod: w.source_pod,
        source_fqdn: w.source_fqdn,
        source_label: w.source_label,
        source_service: w.source_service,
        source_cluster_name: w.source_cluster_name,
        destination_ip: w.destination_ip,
        destination_pod: w.destination_pod,
        destination_fqdn: w.destination_fqdn,
        destination_label: w.destination_label,
        destination_service: w.destination_service,
        destination_cluster_name: w.destination_cluster_name,
        traffic_direction: w.traffic_direction,
        verdict: w.verdict,
        drop_reason_desc: w.drop_reason_desc,
        http_status_code: w.http_status_code,
        protocol: w.protocol,
        source_port: w.source_port,
        destination_port: w.destination_port,
        reply: w.reply,
        dns_query: w.dns_query,
        source_identity: w.source_identity,
        destination_identity: w.destination_identity,
        http_method: w.http_method,
        http_path: w.http_path,
        http_url: w.http_url,
        node_name: w.node_name,
        node_labels: w.node_labels,
        ip_version: w.ip_version,
        trace_id: w.trace_id,
        ip_trace_id: w.ip_trace_id,
        encrypted: w.encrypted,
        source_workload: workloads(w.source_workload),
        destination_workload: workloads(w.destination_workload),
        interface: w
            .interface
            .into_iter()
            .map(|i| InterfaceFilter { index: i.index, name: i.name })
            .collect(),
        event_type: w.event_type.iter().map(event_type_from_wire).collect(),
        http_header: w
            .http_header
            .into_iter()
            .map(|h| HttpHeaderFilter { key: h.key, value: h.value })
            .collect(),
        tcp_flags: w.tcp_flags.iter().map(tcp_flags_from_wire).collect(),
        experimental: w.experimental.map(|e| Experimental { cel_expression: e.cel_expression }),
        reason: Vec::new(),
        netns: Vec::new(),
        pid: Vec::new(),
        comm: Vec::new(),
        site: Vec::new(),
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
        source_ip_xlated: f.source_ip_xlated.clone(),
        source_pod: f.source_pod.clone(),
        source_fqdn: f.source_fqdn.clone(),
        source_label: f.source_label.clone(),
        source_service: f.source_service.clone(),
        source_cluster_name: f.source_cluster_name.clone(),
        destination_ip: f.destination_ip.clone(),
        destination_pod: f.destination_pod.clone(),
        destination_fqdn: f.destination_fqdn.clone(),
        destination_label: f.destination_label.clone(),
        destination_service: f.destination_service.clone(),
        destination_cluster_name: f.destination_cluster_name.clone(),
        traffic_direction: f.traffic_direction.clone(),
        verdict: f.verdict.clone(),
        drop_reason_desc: f.drop_reason_desc.clone(),
        http_status_code: f.http_status_code.clone(),
        protocol: f.protocol.clone(),
        source_port: f.source_port.clone(),
        destination_port: f.destination_port.clone(),
        reply: f.reply.clone(),
        dns_query: f.dns_query.clone(),
        source_identity: f.source_identity.clone(),
        destination_identity: f.destination_identity.clone(),
        http_method: f.http_method.clone(),
        http_path: f.http_path.clone(),
        http_url: f.http_url.clone(),
        node_name: f.node_name.clone(),
        node_labels: f.node_labels.clone(),
        ip_version: f.ip_version.clone(),
        trace_id: f.trace_id.clone(),
        ip_trace_id: f.ip_trace_id.clone(),
        encrypted: f.encrypted.clone(),
        source_workload: workloads(&f.source_workload),
        destination_workload: workloads(&f.destination_workload),
        interface: f
            .interface
            .iter()
            .map(|i| wire::NetworkInterface { index: i.index, name: i.name.clone() })
            .collect(),
        event_type: f.event_type.iter().map(event_type_to_wire).collect(),
        http_header: f
            .http_header
            .iter()
            .map(|h| wire::HttpHeader { key: h.key.clone(), value: h.value.clone() })
            .collect(),
        tcp_flags: f.tcp_flags.iter().map(tcp_flags_to_wire).collect(),
        experimental: f
            .experimental
            .as_ref()
            .map(|e| wire::flow_filter::Experimental { cel_expression: e.cel_expression.clone() }),
    }
}

fn event_type_from_wire(e: &wire::EventTypeFilter) -> EventTypeFilter {
    EventTypeFilter { kind: e.r#type, match_sub_type: e.match_sub_type, sub_type: e.sub_type }
}

fn event_type_to_wire(e: &EventTypeFilter) -> wire::EventTypeFilter {
    wire::EventTypeFilter { r#type: e.kind, match_sub_type: e.match_sub_type, sub_type: e.sub_type }
}

/// Key of the Struct in a request's `extensions` that holds netdrop's filters, whole, as JSON.
const KEY: &str = "netdrop_filters";

/// The filters for a netdrop server, where they use fields that `flow.FlowFilter` does not have. Any other server leaves them
/// aside, and the client applies them itself.
pub fn filters_to_extension(filters: &Filters) -> Option<Any> {
    let own = filters.allow.iter().chain(&filters.deny).any(FlowFilter::is_own);
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
