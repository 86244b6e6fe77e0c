//! The index of addresses: written by a names file or by the Kubernetes watchers, read for every flow.

mod own;
mod uids;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use rustc_hash::{FxHashMap as HashMap, FxHashSet};

use super::file;
use crate::flow::{Endpoint, EndpointInfo, Identity, ServiceName};
use own::{is_unicast, own_addresses};

/// A deleted pod stays known for this long: its last packets are still dying.
const REMEMBER: Duration = Duration::from_mins(1);
/// How often the forgotten are swept out, at most.
const SWEEP: Duration = Duration::from_secs(5);

/// Where names come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamesSource {
    /// Nowhere.
    #[default]
    None,
    /// A file.
    File,
    /// A Kubernetes API server.
    Kubernetes,
}

impl fmt::Display for NamesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nowhere (--names or --kubeconfig brings them)",
            Self::File => "file",
            Self::Kubernetes => "kubernetes",
        })
    }
}

/// State of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamesStatus {
    /// Where they come from.
    pub source: NamesSource,
    /// Whether the source has been read once in full.
    pub synced: bool,
    /// Addresses of pods that are known.
    pub pods: usize,
    /// Addresses of services.
    pub services: usize,
    /// Nodes.
    pub nodes: usize,
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its names.
    pub info: Arc<EndpointInfo>,
    /// Identity, where it is a reserved one.
    pub identity: Identity,
}

/// One tenancy of an address: from when, until when.
#[derive(Clone, Debug)]
struct Tenant {
    /// Which object, so that a late deletion does not end the next tenant's stay.
    key: Arc<str>,
    info: Arc<EndpointInfo>,
    since: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Default)]
struct Index {
    source: NamesSource,
    synced: bool,
    pods: HashMap<IpAddr, Vec<Tenant>>,
    uids: uids::Uids,
    /// Networks of a names file, the longest prefix first.
    networks: Vec<(IpNet, Arc<EndpointInfo>)>,
    services: HashMap<IpAddr, Arc<ServiceName>>,
    node_addresses: HashMap<IpAddr, Arc<str>>,
    node_networks: Vec<(IpNet, Arc<str>)>,
    api_servers: Vec<IpAddr>,
    own_addresses: Vec<IpAddr>,
    own_node: Option<Arc<str>>,
    swept: Option<Timestamp>,
    reserved: Reserved,
}

/// The shared names of reserved endpoints.
struct Reserved {
    host: Arc<EndpointInfo>,
    world: Arc<EndpointInfo>,
    remote_node: Arc<EndpointInfo>,
    api_server: Arc<EndpointInfo>,
}

impl Default for Reserved {
    fn default() -> Self {
        let of =
            |label: &str| Arc::new(EndpointInfo { labels: vec![label.into()], ..EndpointInfo::default() });
        Self {
            host: of("reserved:host"),
            world: of("reserved:world"),
            remote_node: of("reserved:remote-node"),
            api_server: of("reserved:kube-apiserver"),
        }
    }
}

/// Handle on the index; clones share it. A lock is held for a hash look-up only.
#[derive(Clone, Default)]
pub struct Names(Arc<RwLock<Index>>);

impl Names {
    /// Knows nothing but this machine's own addresses.
    pub fn new() -> Self {
        let names = Self::default();
        names.refresh_own_addresses();
        names
    }

    /// Asks the kernel again which addresses are this machine's: a bridge may have come with its first pod.
    pub fn refresh_own_addresses(&self) {
        self.set_own_addresses(own_addresses());
    }

    /// A panic elsewhere leaves the index whole: every change is a single insert or remove.
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a names file, in place of what was known. See `file` for its form.
    pub fn load_file(&self, path: &Path) -> anyhow::Result<()> {
        let entries = file::read(path)?;
        let mut index = self.write();
        for entry in entries {
            match entry {
                file::Entry::Endpoint(net, info) => index.networks.push((net, info)),
                file::Entry::Service(net, name) => drop(index.services.insert(net.addr(), name)),
                file::Entry::Node(net, name) if net.prefix_len() == net.max_prefix_len() => {
                    index.node_addresses.insert(net.addr(), name);
                }
                file::Entry::Node(net, name) => index.node_networks.push((net, name)),
            }
        }
        index.networks.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        index.node_networks.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        index.source = NamesSource::File;
        index.synced = true;
        Ok(())
    }

    /// Who had `address` at a time.
    pub fn endpoint(&self, address: IpAddr, at: Timestamp) -> Endpoint {
        self.read().endpoint(address, at)
    }

    /// The service whose address this is.
    pub fn service(&self, address: IpAddr) -> Option<Arc<ServiceName>> {
        self.read().services.get(&address).cloned()
    }

    /// Both for both ends of a flow, under one lock.
    pub fn ends(&self, addresses: [IpAddr; 2], at: Timestamp) -> [(Endpoint, Option<Arc<ServiceName>>); 2] {
        let index = self.read();
        addresses.map(|address| (index.endpoint(address, at), index.services.get(&address).cloned()))
    }

    /// The node that an address is on: a pod's, its own, or one of its pod network.
    pub fn node_of(&self, address: IpAddr, at: Timestamp) -> Option<Arc<str>> {
        let index = self.read();
        if let Some(node) = index.pod(address, at).and_then(|info| info.node.clone()) {
            return Some(node);
        }
        index
            .node_addresses
            .get(&address)
            .or_else(|| {
                index.node_networks.iter().find(|(net, _)| net.contains(&address)).map(|(_, node)| node)
            })
            .cloned()
    }

    /// Namespace and name of every pod that is known, also of one that ended within the last minute.
    pub fn known_pods(&self, now: Timestamp) -> FxHashSet<(Arc<str>, Arc<str>)> {
        let limit = jiff::SignedDuration::try_from(REMEMBER).unwrap_or_default();
        let there = |t: &&Tenant| t.until.is_none_or(|until| now.duration_since(until) <= limit);
        let index = self.read();
        let tenants = index.pods.values().flatten().filter(there).map(|t| &t.info);
        let of_file = index.networks.iter().map(|(_, info)| info);
        tenants.chain(of_file).map(|i| (Arc::clone(&i.namespace), Arc::clone(&i.pod_name))).collect()
    }

    /// State of the names.
    pub fn status(&self) -> NamesStatus {
        let index = self.read();
        NamesStatus {
            source: index.source,
            synced: index.synced,
            pods: index.pods.len() + index.networks.len(),
            services: index.services.len(),
            nodes: index.node_addresses.len(),
        }
    }

    /// This machine's addresses are the host's.
    pub fn set_own_addresses(&self, addresses: Vec<IpAddr>) {
        self.write().own_addresses = addresses;
    }

    /// Names come from Kubernetes, and this is the node's name.
    pub(super) fn expect_kubernetes(&self, own_node: Option<Arc<str>>) {
        let mut index = self.write();
        index.source = NamesSource::Kubernetes;
        index.own_node = own_node;
    }

    /// Everything has been read once.
    pub(super) fn set_synced(&self) {
        self.write().synced = true;
    }

    /// A pod has these addresses from `since` on. Addresses it had before and has no longer end now.
    pub(super) fn set_pod(
        &self,
        key: &Arc<str>,
        info: &Arc<EndpointInfo>,
        addresses: &[IpAddr],
        since: Timestamp,
        now: Timestamp,
    ) {
        let mut index = self.write();
        for address in addresses {
            let tenants = index.pods.entry(*address).or_default();
            if let Some(tenant) = tenants.iter_mut().find(|t| t.key == *key && t.until.is_none()) {
                tenant.info = Arc::clone(info);
            } else {
                // The address has one tenant at a time: whoever is still there has left unnoticed.
                for tenant in tenants.iter_mut().filter(|t| t.until.is_none()) {
                    tenant.until = Some(since.max(tenant.since));
                }
                tenants.push(Tenant { key: Arc::clone(key), info: Arc::clone(info), since, until: None });
            }
        }
        index.sweep(now);
    }

    /// A pod has left these addresses.
    pub(super) fn end_pod(&self, key: &str, addresses: &[IpAddr], now: Timestamp) {
        let mut index = self.write();
        for address in addresses {
            if let Some(tenants) = index.pods.get_mut(address) {
                for tenant in tenants.iter_mut().filter(|t| *t.key == *key && t.until.is_none()) {
                    tenant.until = Some(now);
                }
            }
        }
        index.sweep(now);
    }

    /// Whether a pod has this address.
    pub(super) fn is_taken(&self, address: IpAddr) -> bool {
        let index = self.read();
        index.pods.get(&address).is_some_and(|tenants| tenants.iter().any(|t| t.until.is_none()))
    }

    /// What the addresses of nodes and of the API server mean.
    pub(super) fn reserved_identities(&self) -> std::collections::HashMap<IpAddr, Identity> {
        let index = self.read();
        let addresses = index.node_addresses.keys().chain(&index.api_servers);
        addresses.map(|address| (*address, index.reserved(*address).0)).collect()
    }

    /// Replaces what is known of all services.
    pub(super) fn set_services(&self, services: HashMap<IpAddr, Arc<ServiceName>>) {
        self.write().services = services;
    }

    /// Replaces what is known of all nodes.
    pub(super) fn set_nodes(
        &self,
        addresses: HashMap<IpAddr, Arc<str>>,
        mut networks: Vec<(IpNet, Arc<str>)>,
    ) {
        networks.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        let mut index = self.write();
        index.node_addresses = addresses;
        index.node_networks = networks;
    }

    /// Replaces the addresses of the API server.
    pub(super) fn set_api_servers(&self, addresses: Vec<IpAddr>) {
        self.write().api_servers = addresses;
    }
}

impl Index {
    fn endpoint(&self, address: IpAddr, at: Timestamp) -> Endpoint {
        let named = self
            .pod(address, at)
            .or_else(|| self.networks.iter().find(|(net, _)| net.contains(&address)).map(|(_, info)| info));
        if let Some(info) = named {
            return Endpoint { id: 0, identity: Identity::UNKNOWN, info: Some(Arc::clone(info)) };
        }
        let (identity, info) = self.reserved(address);
        Endpoint { id: 0, identity, info: info.cloned() }
    }

    /// The tenant at a time. One whose pod came to be known only after the packet still is the best guess, unless another had
    /// the address then.
    fn pod(&self, address: IpAddr, at: Timestamp) -> Option<&Arc<EndpointInfo>> {
        let tenants = self.pods.get(&address)?;
        let there = |t: &&Tenant| t.since <= at && t.until.is_none_or(|until| at <= until);
        tenants
            .iter()
            .rev()
            .find(there)
            .or_else(|| tenants.iter().rev().find(|t| t.since <= at))
            .or_else(|| tenants.first())
            .map(|t| &t.info)
    }

    fn reserved(&self, address: IpAddr) -> (Identity, Option<&Arc<EndpointInfo>>) {
        let own = address.is_loopback() || self.own_addresses.contains(&address);
        if own || self.node_addresses.get(&address).is_some_and(|n| self.own_node.as_ref() == Some(n)) {
            return (Identity::HOST, Some(&self.reserved.host));
        }
        if self.api_servers.contains(&address) {
            return (Identity::KUBE_APISERVER, Some(&self.reserved.api_server));
        }
        if self.node_addresses.contains_key(&address) {
            return (Identity::REMOTE_NODE, Some(&self.reserved.remote_node));
        }
        let inside = self.services.contains_key(&address)
            || self.node_networks.iter().any(|(net, _)| net.contains(&address));
        if !self.synced || inside || !is_unicast(address) {
            return (Identity::UNKNOWN, None);
        }
        (Identity::WORLD, Some(&self.reserved.world))
    }

    /// Forgets tenants that left long ago.
    fn sweep(&mut self, now: Timestamp) {
        if self.swept.is_some_and(|at| {
            now.duration_since(at) < jiff::SignedDuration::try_from(SWEEP).unwrap_or_default()
        }) {
            return;
        }
        self.swept = Some(now);
        let limit = jiff::SignedDuration::try_from(REMEMBER).unwrap_or_default();
        self.pods.retain(|_, tenants| {
            tenants.retain(|t| t.until.is_none_or(|until| now.duration_since(until) <= limit));
            !tenants.is_empty()
        });
        self.uids.sweep(now, limit);
    }
}

#[cfg(test)]
mod tests;
