//! Who: an end of a flow.

use std::sync::Arc;

/// A security identity, as Hubble numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub u32);

impl Identity {
    /// Nobody knows.
    pub const UNKNOWN: Self = Self(0);
    /// This node.
    pub const HOST: Self = Self(1);
    /// Outside of the cluster.
    pub const WORLD: Self = Self(2);
    /// Another node of the cluster.
    pub const REMOTE_NODE: Self = Self(6);
    /// The Kubernetes API server.
    pub const KUBE_APISERVER: Self = Self(7);

    const RESERVED: [&'static str; 15] = [
        "unknown",
        "host",
        "world",
        "unmanaged",
        "health",
        "init",
        "remote-node",
        "kube-apiserver",
        "ingress",
        "world-ipv4",
        "world-ipv6",
        "aggregate-endpoints",
        "aggregate-world",
        "aggregate-world-ipv4",
        "aggregate-world-ipv6",
    ];

    /// The reserved name of this number, if it has one.
    pub fn reserved_name(self) -> Option<&'static str> {
        Self::RESERVED.get(self.0 as usize).copied()
    }

    /// The identity of a reserved name.
    pub fn from_reserved_name(name: &str) -> Option<Self> {
        (0u32..).zip(Self::RESERVED).find(|(_, n)| *n == name).map(|(i, _)| Self(i))
    }
}

/// A workload that owns a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Name, as `checkout-api`.
    pub name: Arc<str>,
    /// Kind, as `Deployment`.
    pub kind: Arc<str>,
}

/// What the cluster (or a names file) knows of an endpoint. Shared between all flows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointInfo {
    /// Kubernetes namespace; empty where there is none.
    pub namespace: Arc<str>,
    /// Pod name; empty where it is no pod.
    pub pod_name: Arc<str>,
    /// `k8s:app=x`, `reserved:host` ..., sorted.
    pub labels: Vec<Arc<str>>,
    /// The owners, the nearest to the user first.
    pub workloads: Vec<Workload>,
    /// Node it runs on, where known.
    pub node: Option<Arc<str>>,
}

/// An end of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Number of the endpoint on its node, as another server gave it; 0: none.
    pub id: u32,
    /// Security identity.
    pub identity: Identity,
    /// Names, where known.
    pub info: Option<Arc<EndpointInfo>>,
}

impl Endpoint {
    /// Kubernetes namespace, or "".
    pub fn namespace(&self) -> &str {
        self.info.as_ref().map_or("", |i| &i.namespace)
    }

    /// Pod name, or "".
    pub fn pod_name(&self) -> &str {
        self.info.as_ref().map_or("", |i| &i.pod_name)
    }

    /// Labels, with their source prefix.
    pub fn labels(&self) -> &[Arc<str>] {
        self.info.as_ref().map_or(&[], |i| &i.labels)
    }

    /// Owning workloads.
    pub fn workloads(&self) -> &[Workload] {
        self.info.as_ref().map_or(&[], |i| &i.workloads)
    }
}

/// A Kubernetes service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceName {
    /// Name.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
}
