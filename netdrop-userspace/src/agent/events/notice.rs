//! Changes of a cluster as Hubble's agent events. What Cilium alone has is left out: netdrop gives no numbers to endpoints and no identities to
//! pods, and who is behind a service it does not watch.

use std::net::IpAddr;

use crate::enrich::change::{Address, Change, Policy, Service};
use crate::flow::EndpointInfo;
use crate::proto::flow::agent_event::Notification;
use crate::proto::flow::{
    AgentEventType, EndpointUpdateNotification, IpCacheNotification, PolicyUpdateNotification,
    ServiceDeleteNotification, ServiceUpsertNotification, ServiceUpsertNotificationAddr,
};

/// What a change is called, and what is told of it.
pub(super) fn of(change: Change) -> (AgentEventType, Notification) {
    use AgentEventType as Type;
    match change {
        Change::EndpointCreated(pod) => (Type::EndpointCreated, endpoint(&pod)),
        Change::EndpointDeleted(pod) => (Type::EndpointDeleted, endpoint(&pod)),
        Change::AddressTaken(address) => (Type::IpcacheUpserted, ipcache(&address, true)),
        Change::AddressFreed(address) => (Type::IpcacheDeleted, ipcache(&address, false)),
        Change::ServiceUpserted(service) => (Type::ServiceUpserted, upsert(&service)),
        Change::ServiceDeleted(id) => {
            (Type::ServiceDeleted, Notification::ServiceDelete(ServiceDeleteNotification { id }))
        }
        Change::PolicyUpdated(policy) => (Type::PolicyUpdated, policy_update(&policy, labels(&policy))),
        Change::PolicyDeleted(policy) => {
            let Policy { namespace, name, .. } = &policy;
            let label = format!("cilium.io/resource=netpol/{namespace}/{name}");
            (Type::PolicyDeleted, policy_update(&policy, vec![label]))
        }
    }
}

fn endpoint(pod: &EndpointInfo) -> Notification {
    Notification::EndpointUpdate(EndpointUpdateNotification {
        id: 0,
        labels: pod.labels.iter().map(ToString::to_string).collect(),
        error: String::new(),
        pod_name: pod.pod_name.to_string(),
        namespace: pod.namespace.to_string(),
    })
}

fn ipcache(address: &Address, taken: bool) -> Notification {
    let length = if address.address.is_ipv4() { 32 } else { 128 };
    let host = address.host.map(|ip: IpAddr| ip.to_string()).unwrap_or_default();
    let (host_ip, old_host_ip) = if taken { (host, String::new()) } else { (String::new(), host) };
    let pod = address.pod.as_ref();
    Notification::IpcacheUpdate(IpCacheNotification {
        cidr: format!("{}/{length}", address.address),
        identity: address.identity.0,
        old_identity: address.before.map(|identity| identity.0),
        host_ip,
        old_host_ip,
        encrypt_key: 0,
        namespace: pod.map(|p| p.namespace.to_string()).unwrap_or_default(),
        pod_name: pod.map(|p| p.pod_name.to_string()).unwrap_or_default(),
    })
}

fn upsert(service: &Service) -> Notification {
    let external = service.external_policy.to_string();
    Notification::ServiceUpsert(ServiceUpsertNotification {
        id: service.id,
        frontend_address: Some(ServiceUpsertNotificationAddr {
            ip: service.address.to_string(),
            port: service.port.into(),
        }),
        backend_addresses: Vec::new(),
        r#type: service.kind.to_owned(),
        traffic_policy: external.clone(),
        name: service.name.name.to_string(),
        namespace: service.name.namespace.to_string(),
        ext_traffic_policy: external,
        int_traffic_policy: service.internal_policy.to_string(),
    })
}

fn policy_update(policy: &Policy, labels: Vec<String>) -> Notification {
    Notification::PolicyUpdate(PolicyUpdateNotification {
        labels,
        revision: policy.revision,
        rule_count: policy.rules.into(),
    })
}

/// What Cilium labels each rule of a policy with; here once.
fn labels(policy: &Policy) -> Vec<String> {
    let Policy { namespace, name, uid, .. } = policy;
    let label = |key: &str, value: &str| format!("k8s:io.cilium.k8s.policy.{key}={value}");
    vec![
        label("derived-from", "NetworkPolicy"),
        label("name", name),
        label("namespace", namespace),
        label("uid", uid),
    ]
}
