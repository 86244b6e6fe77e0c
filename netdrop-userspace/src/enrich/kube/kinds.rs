//! What each kind's objects become.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::{Shared, State, objects};
use crate::flow::ServiceName;

#[derive(Default)]
pub(super) struct PodState {
    /// Addresses of each pod, by uid.
    known: HashMap<Arc<str>, Vec<IpAddr>>,
    listed: HashSet<Arc<str>>,
}

impl PodState {
    fn end(&mut self, uid: &str, shared: &Shared) {
        if let Some(addresses) = self.known.remove(uid) {
            shared.names.end_pod(uid, &addresses, Timestamp::now());
        }
    }
}

impl State<Pod> for PodState {
    const KIND: &'static str = "pods";

    fn begin(&mut self) {
        self.listed.clear();
    }

    fn apply(&mut self, pod: Pod, shared: &Shared) {
        let facts = {
            let namespaces = shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
            objects::pod(&pod, &namespaces)
        };
        let Some(facts) = facts else { return };
        self.listed.insert(Arc::clone(&facts.uid));
        if facts.ended {
            self.end(&facts.uid, shared);
            return;
        }
        let now = Timestamp::now();
        let gone: Vec<IpAddr> = self
            .known
            .get(&facts.uid)
            .map(|old| old.iter().filter(|a| !facts.addresses.contains(a)).copied().collect())
            .unwrap_or_default();
        shared.names.end_pod(&facts.uid, &gone, now);
        shared.names.set_pod(&facts.uid, &facts.info, &facts.addresses, facts.since.unwrap_or(now), now);
        self.known.insert(facts.uid, facts.addresses);
    }

    fn delete(&mut self, pod: Pod, shared: &Shared) {
        if let Some(uid) = &pod.metadata.uid {
            self.end(uid, shared);
        }
    }

    fn complete(&mut self, shared: &Shared) {
        let gone: Vec<Arc<str>> =
            self.known.keys().filter(|uid| !self.listed.contains(*uid)).cloned().collect();
        for uid in gone {
            self.end(&uid, shared);
        }
    }
}

/// Keeps the facts of each object under its uid, and republishes them all after a change. For kinds of which there are few.
#[derive(Default)]
struct Few<T> {
    known: HashMap<String, T>,
    fresh: Option<HashMap<String, T>>,
}

impl<T> Few<T> {
    fn begin(&mut self) {
        self.fresh = Some(HashMap::new());
    }
    /// Whether what is known has changed (during a list it changes at its end).
    fn set(&mut self, uid: String, facts: T) -> bool {
        match &mut self.fresh {
            Some(fresh) => drop(fresh.insert(uid, facts)),
            None => drop(self.known.insert(uid, facts)),
        }
        self.fresh.is_none()
    }
    fn complete(&mut self) {
        if let Some(fresh) = self.fresh.take() {
            self.known = fresh;
        }
    }
}

type ServiceFacts = (Vec<IpAddr>, Arc<ServiceName>);
#[derive(Default)]
pub(super) struct ServiceState(Few<ServiceFacts>);

impl ServiceState {
    fn publish(&self, shared: &Shared) {
        let all = self.0.known.values().flat_map(|(ips, name)| ips.iter().map(|ip| (*ip, Arc::clone(name))));
        shared.names.set_services(all.collect());
    }
}

impl State<Service> for ServiceState {
    const KIND: &'static str = "services";
    fn begin(&mut self) {
        self.0.begin();
    }
    fn apply(&mut self, service: Service, shared: &Shared) {
        if self.0.set(service.metadata.uid.clone().unwrap_or_default(), objects::service(&service)) {
            self.publish(shared);
        }
    }
    fn delete(&mut self, service: Service, shared: &Shared) {
        self.0.known.remove(&service.metadata.uid.unwrap_or_default());
        self.publish(shared);
    }
    fn complete(&mut self, shared: &Shared) {
        self.0.complete();
        self.publish(shared);
    }
}

type NodeFacts = (Arc<str>, Vec<IpAddr>, Vec<IpNet>);
#[derive(Default)]
pub(super) struct NodesState(Few<NodeFacts>);

impl NodesState {
    fn publish(&self, shared: &Shared) {
        let nodes = || self.0.known.values();
        let addresses =
            nodes().flat_map(|(name, ips, _)| ips.iter().map(|ip| (*ip, Arc::clone(name)))).collect();
        let networks =
            nodes().flat_map(|(name, _, nets)| nets.iter().map(|n| (*n, Arc::clone(name)))).collect();
        shared.names.set_nodes(addresses, networks);
    }
}

impl State<Node> for NodesState {
    const KIND: &'static str = "nodes";
    fn begin(&mut self) {
        self.0.begin();
    }
    fn apply(&mut self, node: Node, shared: &Shared) {
        if self.0.set(node.metadata.uid.clone().unwrap_or_default(), objects::node(&node)) {
            self.publish(shared);
        }
    }
    fn delete(&mut self, node: Node, shared: &Shared) {
        self.0.known.remove(&node.metadata.uid.unwrap_or_default());
        self.publish(shared);
    }
    fn complete(&mut self, shared: &Shared) {
        self.0.complete();
        self.publish(shared);
    }
}

#[derive(Default)]
pub(super) struct SliceState(Few<Vec<IpAddr>>);

impl SliceState {
    fn publish(&self, shared: &Shared) {
        shared.names.set_api_servers(self.0.known.values().flatten().copied().collect());
    }
}

impl State<EndpointSlice> for SliceState {
    const KIND: &'static str = "endpointslices";
    fn begin(&mut self) {
        self.0.begin();
    }
    fn apply(&mut self, slice: EndpointSlice, shared: &Shared) {
        if self.0.set(slice.metadata.uid.clone().unwrap_or_default(), objects::slice(&slice)) {
            self.publish(shared);
        }
    }
    fn delete(&mut self, slice: EndpointSlice, shared: &Shared) {
        self.0.known.remove(&slice.metadata.uid.unwrap_or_default());
        self.publish(shared);
    }
    fn complete(&mut self, shared: &Shared) {
        self.0.complete();
        self.publish(shared);
    }
}

pub(super) struct NamespaceState;

impl State<Namespace> for NamespaceState {
    const KIND: &'static str = "namespaces";
    fn apply(&mut self, namespace: Namespace, shared: &Shared) {
        let (name, labels) = objects::namespace(&namespace);
        shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner).insert(name, labels);
    }
    fn delete(&mut self, namespace: Namespace, shared: &Shared) {
        let name = namespace.metadata.name.unwrap_or_default();
        shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    }
    fn complete(&mut self, shared: &Shared) {
        shared.namespaces_known.send_replace(true);
    }
}
