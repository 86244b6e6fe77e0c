//! What nodes, the API server's endpoints and namespaces become.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::few::Few;
use super::{Shared, State, objects};

type NodeFacts = (Arc<str>, Vec<IpAddr>, Vec<IpNet>);

#[derive(Default)]
pub(super) struct NodesState(Few<NodeFacts>);

impl NodesState {
    fn publish(&self, shared: &Shared) {
        let addresses =
            self.0.all().flat_map(|(name, ips, _)| ips.iter().map(|ip| (*ip, Arc::clone(name)))).collect();
        let networks =
            self.0.all().flat_map(|(name, _, nets)| nets.iter().map(|n| (*n, Arc::clone(name)))).collect();
        shared.names.set_nodes(addresses, networks);
        shared.tell_reserved();
    }
}

impl State<Node> for NodesState {
    const KIND: &'static str = "nodes";

    fn begin(&mut self) {
        self.0.begin();
    }

    fn apply(&mut self, node: Node, shared: &Shared) {
        let facts = objects::node(&node);
        if self.0.set(node.metadata.uid.unwrap_or_default(), facts).is_some() {
            self.publish(shared);
        }
    }

    fn delete(&mut self, node: Node, shared: &Shared) {
        if self.0.remove(&node.metadata.uid.unwrap_or_default()).is_some() {
            self.publish(shared);
        }
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
        shared.names.set_api_servers(self.0.all().flatten().copied().collect());
        shared.tell_reserved();
    }
}

impl State<EndpointSlice> for SliceState {
    const KIND: &'static str = "endpointslices";

    fn begin(&mut self) {
        self.0.begin();
    }

    fn apply(&mut self, slice: EndpointSlice, shared: &Shared) {
        let facts = objects::slice(&slice);
        if self.0.set(slice.metadata.uid.unwrap_or_default(), facts).is_some() {
            self.publish(shared);
        }
    }

    fn delete(&mut self, slice: EndpointSlice, shared: &Shared) {
        if self.0.remove(&slice.metadata.uid.unwrap_or_default()).is_some() {
            self.publish(shared);
        }
    }

    fn complete(&mut self, shared: &Shared) {
        self.0.complete();
        self.publish(shared);
    }
}

/// Labels by namespace, of a list under way.
#[derive(Default)]
pub(super) struct NamespaceState(Option<HashMap<String, Vec<Arc<str>>>>);

impl State<Namespace> for NamespaceState {
    const KIND: &'static str = "namespaces";

    fn begin(&mut self) {
        self.0 = Some(HashMap::new());
    }

    fn apply(&mut self, namespace: Namespace, shared: &Shared) {
        let (name, labels) = objects::namespace(&namespace);
        if let Some(fresh) = &mut self.0 {
            fresh.insert(name, labels);
        } else {
            shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner).insert(name, labels);
        }
    }

    fn delete(&mut self, namespace: Namespace, shared: &Shared) {
        let name = namespace.metadata.name.unwrap_or_default();
        shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    }

    fn complete(&mut self, shared: &Shared) {
        if let Some(fresh) = self.0.take() {
            *shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        shared.namespaces_known.send_replace(true);
    }
}
