//! A filter as it is written: the fields of Hubble's `flow.FlowFilter`, in the order and with the names of the proto.

use serde::{Deserialize, Serialize};

use super::json;

/// `flow.FlowFilter`, and netdrop's `reason` and `netns`. In JSON it is written as protobuf does; names are read in both of its
/// spellings (`source_ip`, `sourceIp`), enums by name or number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowFilter {
    /// Flow ids.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub uuid: Vec<String>,
    /// Addresses (equal as text) or CIDR prefixes.
    #[serde(
        alias = "sourceIp",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_ip: Vec<String>,
    /// As `source_ip`, of the source address after translation.
    #[serde(
        alias = "sourceIpXlated",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_ip_xlated: Vec<String>,
    /// `namespace/prefix`, `prefix` (namespace default), `/prefix`, `namespace/`.
    #[serde(
        alias = "sourcePod",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_pod: Vec<String>,
    /// DNS name patterns.
    #[serde(
        alias = "sourceFqdn",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_fqdn: Vec<String>,
    /// Label selectors.
    #[serde(
        alias = "sourceLabel",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_label: Vec<String>,
    /// As `source_pod`.
    #[serde(
        alias = "sourceService",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_service: Vec<String>,
    /// Workloads.
    #[serde(
        alias = "sourceWorkload",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_workload: Vec<WorkloadFilter>,
    /// Clusters, exactly.
    #[serde(
        alias = "sourceClusterName",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_cluster_name: Vec<String>,
    /// As `source_ip`.
    #[serde(
        alias = "destinationIp",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_ip: Vec<String>,
    /// As `source_pod`.
    #[serde(
        alias = "destinationPod",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_pod: Vec<String>,
    /// As `source_fqdn`.
    #[serde(
        alias = "destinationFqdn",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_fqdn: Vec<String>,
    /// As `source_label`.
    #[serde(
        alias = "destinationLabel",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_label: Vec<String>,
    /// As `source_pod`.
    #[serde(
        alias = "destinationService",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_service: Vec<String>,
    /// Workloads.
    #[serde(
        alias = "destinationWorkload",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_workload: Vec<WorkloadFilter>,
    /// Clusters, exactly.
    #[serde(
        alias = "destinationClusterName",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_cluster_name: Vec<String>,
    /// Numbers of `flow.TrafficDirection`.
    #[serde(alias = "trafficDirection", with = "json::directions", skip_serializing_if = "Vec::is_empty")]
    pub traffic_direction: Vec<i32>,
    /// Numbers of `flow.Verdict`.
    #[serde(with = "json::verdicts", skip_serializing_if = "Vec::is_empty")]
    pub verdict: Vec<i32>,
    /// Numbers of Hubble's `flow.DropReason`.
    #[serde(alias = "dropReasonDesc", with = "json::drop_reasons", skip_serializing_if = "Vec::is_empty")]
    pub drop_reason_desc: Vec<i32>,
    /// Interfaces.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub interface: Vec<InterfaceFilter>,
    /// Event types.
    #[serde(
        alias = "eventType",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub event_type: Vec<EventTypeFilter>,
    /// Status codes, or their beginning: `404`, `5+`.
    #[serde(
        alias = "httpStatusCode",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub http_status_code: Vec<String>,
    /// `tcp`, `udp` ...
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub protocol: Vec<String>,
    /// Decimal ports.
    #[serde(
        alias = "sourcePort",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_port: Vec<String>,
    /// Decimal ports.
    #[serde(
        alias = "destinationPort",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_port: Vec<String>,
    /// Direction in the connection.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub reply: Vec<bool>,
    /// Regular expressions on the query.
    #[serde(
        alias = "dnsQuery",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub dns_query: Vec<String>,
    /// Security identities.
    #[serde(
        alias = "sourceIdentity",
        deserialize_with = "json::numbers",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub source_identity: Vec<u32>,
    /// Security identities.
    #[serde(
        alias = "destinationIdentity",
        deserialize_with = "json::numbers",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub destination_identity: Vec<u32>,
    /// Methods, in any case.
    #[serde(
        alias = "httpMethod",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub http_method: Vec<String>,
    /// Regular expressions on the path of the URL.
    #[serde(
        alias = "httpPath",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub http_path: Vec<String>,
    /// Regular expressions on the URL.
    #[serde(alias = "httpUrl", deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub http_url: Vec<String>,
    /// Headers, exactly.
    #[serde(
        alias = "httpHeader",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub http_header: Vec<HttpHeaderFilter>,
    /// All flags of an entry must be set.
    #[serde(
        alias = "tcpFlags",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tcp_flags: Vec<TcpFlagsFilter>,
    /// `[cluster/]node` patterns.
    #[serde(
        alias = "nodeName",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_name: Vec<String>,
    /// Label selectors on the node.
    #[serde(
        alias = "nodeLabels",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_labels: Vec<String>,
    /// Numbers of `flow.IPVersion`.
    #[serde(alias = "ipVersion", with = "json::ip_versions", skip_serializing_if = "Vec::is_empty")]
    pub ip_version: Vec<i32>,
    /// Trace ids of layer 7, exactly.
    #[serde(alias = "traceId", deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub trace_id: Vec<String>,
    /// Trace ids of an IP option.
    #[serde(
        alias = "ipTraceId",
        deserialize_with = "json::numbers",
        serialize_with = "json::long_numbers",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ip_trace_id: Vec<u64>,
    /// Whether the packet was encrypted on its way.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub encrypted: Vec<bool>,
    /// What Hubble may still change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experimental: Option<Experimental>,
    /// netdrop's own: kernel reasons, by name, `*` pattern or `SUBSYS:NUMBER`.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<String>,
    /// netdrop's own: inodes of network namespaces.
    #[serde(deserialize_with = "json::numbers", skip_serializing_if = "Vec::is_empty")]
    pub netns: Vec<u32>,
    /// netdrop's own: processes whose packet it was.
    #[serde(deserialize_with = "json::numbers", skip_serializing_if = "Vec::is_empty")]
    pub pid: Vec<u32>,
    /// netdrop's own: their names, or `*` patterns.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub comm: Vec<String>,
    /// netdrop's own: kernel functions where it died, by name or `*` pattern.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<String>,
}

impl FlowFilter {
    /// Whether it asks for something that only netdrop knows, and `flow.FlowFilter` has no field for.
    pub fn is_own(&self) -> bool {
        let texts = [&self.reason, &self.comm, &self.site];
        texts.iter().any(|t| !t.is_empty()) || !self.netns.is_empty() || !self.pid.is_empty()
    }

    /// One or several JSON objects in a row.
    pub fn several(text: &str) -> serde_json::Result<Vec<Self>> {
        json::several(text)
    }

    /// As the stock client writes it.
    pub fn to_json(&self) -> serde_json::Result<String> {
        json::escaped(self)
    }
}

/// `flow.FlowFilter.Experimental`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experimental {
    /// Expressions in the Common Expression Language; one of them must be true.
    #[serde(
        alias = "celExpression",
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cel_expression: Vec<String>,
}

/// `flow.Workload`: an empty part matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkloadFilter {
    /// Name.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Kind.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// `flow.HTTPHeader`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpHeaderFilter {
    /// Name, in the case of the flow.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Value.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// `flow.NetworkInterface`: unset matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterfaceFilter {
    /// Index.
    #[serde(deserialize_with = "json::number", skip_serializing_if = "is_zero")]
    pub index: u32,
    /// Name.
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// `flow.EventTypeFilter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventTypeFilter {
    /// 1 drop, 4 trace ...; 0: any.
    #[serde(rename = "type", deserialize_with = "json::number", skip_serializing_if = "is_zero_i32")]
    pub kind: i32,
    /// Whether the sub type counts.
    #[serde(
        alias = "matchSubType",
        deserialize_with = "json::or_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub match_sub_type: bool,
    /// Sub type.
    #[serde(alias = "subType", deserialize_with = "json::number", skip_serializing_if = "is_zero_i32")]
    pub sub_type: i32,
}

/// `flow.TCPFlags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the flags' names say all")]
pub struct TcpFlagsFilter {
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub fin: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub syn: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub rst: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub psh: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub ack: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub urg: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub ece: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub cwr: bool,
    #[serde(deserialize_with = "json::or_default", skip_serializing_if = "std::ops::Not::not")]
    pub ns: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero_i32(n: &i32) -> bool {
    *n == 0
}
