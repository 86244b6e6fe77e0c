//! A filter as it is written: the fields of Hubble's `flow.FlowFilter`, in the order and with the names of the proto.

use serde::{Deserialize, Serialize};

/// `flow.FlowFilter`, and netdrop's `reason` and `netns`. Enums by name or number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowFilter {
    /// Flow ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uuid: Vec<String>,
    /// Addresses (equal as text) or CIDR prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_ip: Vec<String>,
    /// `namespace/prefix`, `prefix` (namespace default), `/prefix`, `namespace/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_pod: Vec<String>,
    /// DNS name patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_fqdn: Vec<String>,
    /// Label selectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_label: Vec<String>,
    /// As `source_pod`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_service: Vec<String>,
    /// Workloads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_workload: Vec<WorkloadFilter>,
    /// As `source_ip`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_ip: Vec<String>,
    /// As `source_pod`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_pod: Vec<String>,
    /// As `source_fqdn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_fqdn: Vec<String>,
    /// As `source_label`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_label: Vec<String>,
    /// As `source_pod`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_service: Vec<String>,
    /// Workloads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_workload: Vec<WorkloadFilter>,
    /// `INGRESS`, `EGRESS`, `TRAFFIC_DIRECTION_UNKNOWN`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traffic_direction: Vec<String>,
    /// `DROPPED` ...
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdict: Vec<String>,
    /// Hubble's drop reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_reason_desc: Vec<String>,
    /// Interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interface: Vec<InterfaceFilter>,
    /// Event types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub event_type: Vec<EventTypeFilter>,
    /// `tcp`, `udp` ...
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocol: Vec<String>,
    /// Decimal ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_port: Vec<String>,
    /// Decimal ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_port: Vec<String>,
    /// Direction in the connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply: Vec<bool>,
    /// Security identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_identity: Vec<u32>,
    /// Security identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_identity: Vec<u32>,
    /// All flags of an entry must be set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp_flags: Vec<TcpFlagsFilter>,
    /// `[cluster/]node` patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_name: Vec<String>,
    /// `IP_NOT_USED`, `IPv4`, `IPv6`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_version: Vec<String>,
    /// netdrop's own: kernel reasons, by name, `*` pattern or `SUBSYS:NUMBER`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reason: Vec<String>,
    /// netdrop's own: inodes of network namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub netns: Vec<u32>,
}

/// `flow.Workload`: an empty part matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkloadFilter {
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// `flow.NetworkInterface`: unset matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterfaceFilter {
    /// Index.
    #[serde(skip_serializing_if = "is_zero")]
    pub index: u32,
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// `flow.EventTypeFilter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventTypeFilter {
    /// 1 drop, 4 trace ...
    #[serde(rename = "type", skip_serializing_if = "is_zero_i32")]
    pub kind: i32,
    /// Whether the sub type counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub match_sub_type: bool,
    /// Sub type.
    #[serde(skip_serializing_if = "is_zero_i32")]
    pub sub_type: i32,
}

/// `flow.TCPFlags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the flags' names say all")]
pub struct TcpFlagsFilter {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fin: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub syn: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rst: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub psh: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ack: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub urg: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ece: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cwr: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
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
