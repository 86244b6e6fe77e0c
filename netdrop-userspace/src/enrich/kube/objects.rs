//! Kubernetes objects to the few facts that a flow shows. Pure functions.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::flow::{EndpointInfo, ServiceName, Workload};

/// What is kept of a pod.
#[derive(Debug)]
pub(super) struct PodFacts {
    pub(super) uid: Arc<str>,
    /// What kubelet calls a static pod, which the API knows by another uid.
    pub(super) hash: Option<Arc<str>>,
    pub(super) info: Arc<EndpointInfo>,
    pub(super) addresses: Vec<IpAddr>,
    /// Address of its node.
    pub(super) host: Option<IpAddr>,
    /// When it started, where it says so.
    pub(super) since: Option<Timestamp>,
    /// It has finished and holds its addresses no more.
    pub(super) ended: bool,
}

/// Annotation of a static pod's mirror (kubelet, pkg/kubelet/types).
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// A pod. One on the host's network has no addresses: the node's tells nothing.
pub(super) fn pod(pod: &Pod, namespaces: &HashMap<String, Vec<Arc<str>>>) -> Option<PodFacts> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let several = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let own = several.chain(status.pod_ip.as_deref()).filter(|_| spec.host_network != Some(true));
    let mut addresses: Vec<IpAddr> = own.filter_map(|ip| ip.parse().ok()).collect();
    addresses.sort();
    addresses.dedup();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut labels = prefixed(pod.metadata.labels.as_ref(), "k8s:");
    labels.push(format!("k8s:io.kubernetes.pod.namespace={namespace}").into());
    labels.extend(namespaces.get(namespace).into_iter().flatten().cloned());
    labels.sort();
    let info = EndpointInfo {
        namespace: namespace.into(),
        pod_name: pod.metadata.name.as_deref().unwrap_or_default().into(),
        labels,
        workloads: workload(pod).into_iter().collect(),
        node: spec.node_name.as_deref().map(Arc::from),
    };
    Some(PodFacts {
        uid: pod.metadata.uid.as_deref()?.into(),
        hash: pod
            .metadata
            .annotations
            .as_ref()
            .and_then(|a| a.get(CONFIG_HASH))
            .map(|hash| hash.as_str().into()),
        info: Arc::new(info),
        addresses,
        host: status.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
        since: status.start_time.as_ref().and_then(|t| t.0.to_string().parse().ok()),
        ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
    })
}

fn prefixed(labels: Option<&BTreeMap<String, String>>, prefix: &str) -> Vec<Arc<str>> {
    labels.into_iter().flatten().map(|(k, v)| Arc::from(format!("{prefix}{k}={v}"))).collect()
}

/// The owner as a person knows it: a ReplicaSet's Deployment, a Job's CronJob. Their names are the owned one's without its suffix.
fn workload(pod: &Pod) -> Option<Workload> {
    let owner: &OwnerReference =
        pod.metadata.owner_references.iter().flatten().find(|o| o.controller == Some(true))?;
    let hash = pod.metadata.labels.as_ref().and_then(|l| l.get("pod-template-hash"));
    let (kind, name) = match owner.kind.as_str() {
        "ReplicaSet" => match hash.and_then(|h| owner.name.strip_suffix(&format!("-{h}"))) {
            Some(deployment) => ("Deployment", deployment),
            None => ("ReplicaSet", owner.name.as_str()),
        },
        // A CronJob's Jobs end in the minutes since the epoch of their schedule, eight digits since 1989.
        "Job" => match owner.name.rsplit_once('-') {
            Some((cron, minutes)) if minutes.len() >= 8 && minutes.bytes().all(|b| b.is_ascii_digit()) => {
                ("CronJob", cron)
            }
            _ => ("Job", owner.name.as_str()),
        },
        kind => (kind, owner.name.as_str()),
    };
    Some(Workload { name: name.into(), kind: kind.into() })
}

/// Where a service is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// Unspecified: at all addresses of a node.
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// Several protocols may have the same port.
    protocol: Arc<str>,
}

/// What is kept of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceFacts {
    pub(super) name: Arc<ServiceName>,
    /// ClusterIPs, external ones and those of its load balancer; none for a headless one.
    pub(super) addresses: Vec<IpAddr>,
    /// Each with the kind of its address.
    pub(super) places: BTreeMap<Place, &'static str>,
    pub(super) external_policy: Arc<str>,
    pub(super) internal_policy: Arc<str>,
}

/// A service's names, addresses and places.
pub(super) fn service(service: &Service) -> ServiceFacts {
    let spec = service.spec.as_ref();
    let own = spec.into_iter().flat_map(|s| s.cluster_ips.iter().flatten().chain(&s.cluster_ip));
    let external = spec.into_iter().flat_map(|s| s.external_ips.iter().flatten());
    let ingress =
        service.status.iter().flat_map(|s| &s.load_balancer).flat_map(|l| l.ingress.iter().flatten());
    let of = |kind: &'static str, text: &str| text.parse().ok().map(|ip: IpAddr| (ip, kind));
    // An address of several kinds is of the last.
    let kinds: BTreeMap<IpAddr, &'static str> = ingress
        .filter_map(|i| of("LoadBalancer", i.ip.as_deref()?))
        .chain(external.filter_map(|ip| of("ExternalIPs", ip)))
        .chain(own.filter_map(|ip| of("ClusterIP", ip)))
        .collect();
    let mut places = BTreeMap::new();
    for port in spec.iter().flat_map(|s| s.ports.iter().flatten()) {
        let protocol: Arc<str> = port.protocol.as_deref().unwrap_or("TCP").into();
        let place = |address: IpAddr, port: i32| {
            let port = u16::try_from(port).ok()?;
            Some(Place { address, port, protocol: Arc::clone(&protocol) })
        };
        let reached = kinds.iter().filter_map(|(ip, kind)| Some((place(*ip, port.port)?, *kind)));
        let families = kinds.iter().filter(|(_, kind)| **kind == "ClusterIP").map(|(ip, _)| match ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        });
        let on_nodes = port.node_port.filter(|p| *p != 0);
        let on_nodes = on_nodes.into_iter().flat_map(|p| families.clone().filter_map(move |ip| place(ip, p)));
        places.extend(reached.chain(on_nodes.map(|p| (p, "NodePort"))));
    }
    let policy = |text: Option<&String>| text.map_or("Cluster", String::as_str).into();
    let name = ServiceName {
        name: service.metadata.name.as_deref().unwrap_or_default().into(),
        namespace: service.metadata.namespace.as_deref().unwrap_or_default().into(),
    };
    ServiceFacts {
        name: Arc::new(name),
        addresses: kinds.into_keys().collect(),
        places,
        external_policy: policy(spec.and_then(|s| s.external_traffic_policy.as_ref())),
        internal_policy: policy(spec.and_then(|s| s.internal_traffic_policy.as_ref())),
    }
}

/// A node's name, its own addresses and the networks of its pods.
pub(super) fn node(node: &Node) -> (Arc<str>, Vec<IpAddr>, Vec<IpNet>) {
    let name = node.metadata.name.as_deref().unwrap_or_default().into();
    let addresses = node.status.iter().flat_map(|s| s.addresses.iter().flatten());
    let ips = addresses.filter(|a| a.type_ != "Hostname").filter_map(|a| a.address.parse().ok()).collect();
    let spec = node.spec.as_ref();
    let mut networks: Vec<IpNet> = spec
        .into_iter()
        .flat_map(|s| s.pod_cidrs.iter().flatten().chain(&s.pod_cidr))
        .filter_map(|net| net.parse().ok())
        .collect();
    networks.sort();
    networks.dedup();
    (name, ips, networks)
}

/// Addresses of a slice.
pub(super) fn slice(slice: &EndpointSlice) -> Vec<IpAddr> {
    slice.endpoints.iter().flat_map(|e| &e.addresses).filter_map(|a| a.parse().ok()).collect()
}

/// A namespace's name, and its labels as Hubble shows them on its pods.
pub(super) fn namespace(namespace: &Namespace) -> (String, Vec<Arc<str>>) {
    let labels = prefixed(namespace.metadata.labels.as_ref(), "k8s:io.cilium.k8s.namespace.labels.");
    (namespace.metadata.name.clone().unwrap_or_default(), labels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_deployments_pod() {
        let p = example(json!({
            "metadata": {"name": "api-6b7-x", "namespace": "production", "uid": "u1",
                "labels": {"app": "api", "pod-template-hash": "6b7"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-6b7", "uid": "r", "controller": true}]},
            "spec": {"containers": [], "nodeName": "n1"},
            "status": {"phase": "Running", "podIP": "10.0.1.5", "podIPs": [{"ip": "10.0.1.5"}, {"ip": "fd00::5"}],
                "startTime": "2025-01-02T03:04:05Z"}
        }));
        let namespaces =
            [("production".to_owned(), vec![Arc::from("k8s:io.cilium.k8s.namespace.labels.team=a")])].into();
        let f = pod(&p, &namespaces).unwrap();
        assert_eq!(f.addresses.len(), 2);
        assert_eq!(f.info.workloads, [Workload { name: "api".into(), kind: "Deployment".into() }]);
        let labels: Vec<&str> = f.info.labels.iter().map(|l| &**l).collect();
        assert_eq!(
            labels,
            [
                "k8s:app=api",
                "k8s:io.cilium.k8s.namespace.labels.team=a",
                "k8s:io.kubernetes.pod.namespace=production",
                "k8s:pod-template-hash=6b7"
            ]
        );
        assert_eq!(f.info.node.as_deref(), Some("n1"));
        assert_eq!(f.since.unwrap().to_string(), "2025-01-02T03:04:05Z");
        assert!(!f.ended);
    }

    #[test]
    fn host_network_pods_have_no_address_and_finished_ones_end() {
        let mut p = example(
            json!({"metadata": {"name": "x", "uid": "u", "annotations": {"kubernetes.io/config.hash": "h"}},
            "spec": {"containers": [], "hostNetwork": true}, "status": {"podIP": "192.168.0.1"}}),
        );
        let facts = pod(&p, &HashMap::new()).unwrap();
        assert_eq!((facts.addresses, facts.hash.as_deref(), &*facts.uid), (vec![], Some("h"), "u"));
        p.spec.as_mut().unwrap().host_network = None;
        p.status.as_mut().unwrap().phase = Some("Succeeded".into());
        assert!(pod(&p, &HashMap::new()).unwrap().ended);
    }

    #[test]
    fn owners() {
        let owned = |kind: &str, name: &str| {
            let p = example(json!({"metadata": {"name": "x", "uid": "u", "ownerReferences":
                [{"apiVersion": "v1", "kind": kind, "name": name, "uid": "r", "controller": true}]}}));
            workload(&p).map(|w| format!("{}/{}", w.kind, w.name)).unwrap()
        };
        assert_eq!(owned("ReplicaSet", "bare"), "ReplicaSet/bare");
        assert_eq!(owned("StatefulSet", "db"), "StatefulSet/db");
        assert_eq!(owned("Job", "backup-29012345"), "CronJob/backup");
        assert_eq!(owned("Job", "migrate-1"), "Job/migrate-1");
    }

    #[test]
    fn services_nodes_and_slices() {
        let s: Service = serde_json::from_value(json!({"metadata": {"name": "dns", "namespace": "kube-system"},
            "spec": {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::a"], "externalIPs": ["1.2.3.4"]}}))
        .unwrap();
        assert_eq!(service(&s).addresses.len(), 3);
        assert!(service(&s).places.is_empty());
        let headless: Service =
            serde_json::from_value(json!({"metadata": {"name": "h"}, "spec": {"clusterIP": "None"}}))
                .unwrap();
        assert_eq!(service(&headless).addresses.len(), 0);
        let n: Node = serde_json::from_value(json!({"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}, {"type": "Hostname", "address": "n1"}]}}))
        .unwrap();
        let (name, ips, nets) = node(&n);
        assert_eq!((&*name, ips.len(), nets.len()), ("n1", 1, 1));
        let e: EndpointSlice = serde_json::from_value(
            json!({"metadata": {}, "addressType": "IPv4", "endpoints": [{"addresses": ["192.168.0.9"]}]}),
        )
        .unwrap();
        assert_eq!(slice(&e).len(), 1);
    }

    #[test]
    fn a_service_is_reached_at_its_addresses_and_on_nodes() {
        let s: Service = serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "externalIPs": ["1.2.3.4"],
                "externalTrafficPolicy": "Local",
                "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}, {"hostname": "x"}]}}}))
        .unwrap();
        let facts = service(&s);
        let places: Vec<String> = facts
            .places
            .iter()
            .map(|(p, kind)| format!("{}:{} {} {kind}", p.address, p.port, p.protocol))
            .collect();
        assert_eq!(
            places,
            [
                "0.0.0.0:30080 TCP NodePort",
                "1.2.3.4:53 UDP ExternalIPs",
                "1.2.3.4:80 TCP ExternalIPs",
                "5.6.7.8:53 UDP LoadBalancer",
                "5.6.7.8:80 TCP LoadBalancer",
                "10.96.0.9:53 UDP ClusterIP",
                "10.96.0.9:80 TCP ClusterIP",
            ]
        );
        assert_eq!((&*facts.external_policy, &*facts.internal_policy), ("Local", "Cluster"));
    }
}
