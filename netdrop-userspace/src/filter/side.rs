//! What a filter asks of one end of a flow.

use std::net::IpAddr;

use ipnet::IpNet;

use super::compile::{FilterError, any, each};
use super::glob::glob;
use super::label::Selector;
use super::spec::{FlowFilter, WorkloadFilter};
use crate::flow::{Endpoint, Flow, ServiceName};

/// An address filter. Hubble compares an exact one as text: `2001:DB8::1` does not match `2001:db8::1`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum IpMatch {
    Exact(IpAddr),
    /// Valid, but not how an address is printed: matches nothing.
    NeverPrinted,
    Prefix(IpNet),
}

/// `namespace/name`, both may be empty; the name is a prefix.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    namespace: String,
    prefix: String,
}

/// Filters of one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    is_source: bool,
    pub(super) ip: Vec<IpMatch>,
    pub(super) port: Vec<u16>,
    pod: Vec<Named>,
    service: Vec<Named>,
    label: Vec<Selector>,
    workload: Vec<WorkloadFilter>,
    identity: Vec<u32>,
    fqdn: Vec<String>,
}

impl Side {
    pub(super) fn source(f: &FlowFilter) -> Result<Self, FilterError> {
        Ok(Self {
            is_source: true,
            ip: each(&f.source_ip, |v| ip(v))?,
            port: each(&f.source_port, |v| port(v))?,
            pod: f.source_pod.iter().map(|v| named(v)).collect(),
            service: f.source_service.iter().map(|v| named(v)).collect(),
            label: each(&f.source_label, |v| Selector::parse(v))?,
            workload: f.source_workload.clone(),
            identity: f.source_identity.clone(),
            fqdn: f.source_fqdn.iter().map(|v| fqdn(v)).collect(),
        })
    }

    pub(super) fn destination(f: &FlowFilter) -> Result<Self, FilterError> {
        Ok(Self {
            is_source: false,
            ip: each(&f.destination_ip, |v| ip(v))?,
            port: each(&f.destination_port, |v| port(v))?,
            pod: f.destination_pod.iter().map(|v| named(v)).collect(),
            service: f.destination_service.iter().map(|v| named(v)).collect(),
            label: each(&f.destination_label, |v| Selector::parse(v))?,
            workload: f.destination_workload.clone(),
            identity: f.destination_identity.clone(),
            fqdn: f.destination_fqdn.iter().map(|v| fqdn(v)).collect(),
        })
    }

    pub(super) fn matches(&self, flow: &Flow) -> bool {
        let (endpoint, service, names) = if self.is_source {
            (&flow.source, flow.source_service.as_deref(), &flow.source_names)
        } else {
            (&flow.destination, flow.destination_service.as_deref(), &flow.destination_names)
        };
        any(&self.ip, |want| self.address(flow).is_some_and(|have| want.matches(have)))
            && any(&self.port, |want| self.port_of(flow) == Some(*want))
            && any(&self.pod, |want| want.matches(endpoint.namespace(), endpoint.pod_name()))
            && any(&self.service, |want| service.is_some_and(|s| want.matches_service(s)))
            && any(&self.label, |want| want.matches(endpoint.labels()))
            && any(&self.workload, |want| workload_matches(want, endpoint))
            && any(&self.identity, |want| endpoint.identity.0 == *want)
            && any(&self.fqdn, |want| names.iter().any(|n| glob(want, n)))
    }

    fn address(&self, flow: &Flow) -> Option<IpAddr> {
        flow.packet.ip.map(|ip| if self.is_source { ip.source } else { ip.destination })
    }

    fn port_of(&self, flow: &Flow) -> Option<u16> {
        let (source, destination) = flow.packet.l4?.ports()?;
        Some(if self.is_source { source } else { destination })
    }
}

impl IpMatch {
    fn matches(&self, have: IpAddr) -> bool {
        match self {
            Self::Exact(want) => *want == have,
            Self::NeverPrinted => false,
            Self::Prefix(net) => net.contains(&have),
        }
    }
}

impl Named {
    /// A filter for any name still asks for some name.
    fn matches(&self, namespace: &str, name: &str) -> bool {
        !(namespace.is_empty() && name.is_empty())
            && (self.namespace.is_empty() || self.namespace == namespace)
            && name.starts_with(&self.prefix)
    }

    fn matches_service(&self, service: &ServiceName) -> bool {
        self.matches(&service.namespace, &service.name)
    }
}

fn ip(text: &str) -> Result<IpMatch, FilterError> {
    if text.contains('/') {
        return text
            .parse::<IpNet>()
            .map(|net| IpMatch::Prefix(net.trunc()))
            .map_err(|_| FilterError(format!("invalid CIDR in filter: {text:?}")));
    }
    let address: IpAddr =
        text.parse().map_err(|_| FilterError(format!("invalid IP address in filter: {text:?}")))?;
    Ok(if address.to_string() == text { IpMatch::Exact(address) } else { IpMatch::NeverPrinted })
}

fn port(text: &str) -> Result<u16, FilterError> {
    text.parse()
        .map_err(|_| FilterError(format!("invalid port in filter: {text:?}, want a number from 0 to 65535")))
}

/// A name without a namespace is in `default`.
fn named(text: &str) -> Named {
    let (namespace, prefix) = text.split_once('/').unwrap_or(("default", text));
    Named { namespace: namespace.to_owned(), prefix: prefix.to_owned() }
}

fn workload_matches(want: &WorkloadFilter, endpoint: &Endpoint) -> bool {
    endpoint.workloads().iter().any(|have| {
        (want.name.is_empty() || *want.name == *have.name)
            && (want.kind.is_empty() || *want.kind == *have.kind)
    })
}

fn fqdn(pattern: &str) -> String {
    let lower = pattern.to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}
