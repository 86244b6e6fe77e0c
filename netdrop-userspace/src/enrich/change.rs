//! What comes and goes in a cluster: differences between what its API server said before and what it says now. What it says first is no
//! change, however much that is.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::flow::{EndpointInfo, Identity, ServiceName};

/// Something is different now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pod of this node has got its addresses.
    EndpointCreated(Arc<EndpointInfo>),
    /// A pod of this node has given them up.
    EndpointDeleted(Arc<EndpointInfo>),
    /// An address has an owner, another than before.
    AddressTaken(Address),
    /// An address has none any more.
    AddressFreed(Address),
    /// A service is reached here, or in another way than before.
    ServiceUpserted(Arc<Service>),
    /// Nothing is reached any more at the place with this number.
    ServiceDeleted(u32),
    /// A network policy is new, or says something else.
    PolicyUpdated(Policy),
    /// A network policy is gone.
    PolicyDeleted(Policy),
}

/// An address and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Identity of its owner; unknown for a pod.
    pub identity: Identity,
    /// Identity of the owner before, where there was one.
    pub before: Option<Identity>,
    /// Address of the node that the owner is on, for a pod.
    pub host: Option<IpAddr>,
    /// The owner, where it is a pod.
    pub pod: Option<Arc<EndpointInfo>>,
}

/// A place where a service is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Number of the place on this node: it stays the same as long as the place is there.
    pub id: u32,
    /// Address; unspecified for all addresses of a node.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// `ClusterIP`, `ExternalIPs`, `LoadBalancer` or `NodePort`.
    pub kind: &'static str,
    /// `Cluster` or `Local`, for traffic from outside of the cluster.
    pub external_policy: Arc<str>,
    /// The same for traffic from inside.
    pub internal_policy: Arc<str>,
    /// The service.
    pub name: Arc<ServiceName>,
}

/// A network policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Which one of this name.
    pub uid: Arc<str>,
    /// Rules of which it consists, counted as Cilium does: one for each peer of each rule.
    pub rules: u32,
    /// How many changes of policies this process had seen.
    pub revision: u64,
}

/// Who hears of changes, at once and in their order; by default nobody.
#[derive(Clone, Default)]
pub struct Listener(Option<Arc<dyn Fn(Change) + Send + Sync>>);

impl Listener {
    /// `hear` must neither wait nor call back.
    pub fn new(hear: impl Fn(Change) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    /// Whether anybody does.
    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Tells it.
    pub fn tell(&self, change: Change) {
        if let Some(hear) = &self.0 {
            hear(change);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.is_there()).finish()
    }
}
