//! Names from a Kubernetes API server: one watcher a kind, keeping only what a flow shows.

mod few;
mod kinds;
mod objects;
mod pods;
mod policies;
mod services;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Config};
use tokio::sync::{mpsc, watch as flag};
use tokio::task::JoinSet;

use super::Names;
use super::change::{Address, Change, Listener};
use crate::connect::root;
use crate::flow::{Identity, NodeState, NodeStatus};
use kinds::{NamespaceState, NodesState, SliceState};
use pods::PodState;
use policies::PolicyState;
use services::ServiceState;

/// The API server gets this long to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// States of the connection under way to whoever reads them.
const QUEUE: usize = 16;
/// Kinds that must have been listed before names are complete.
const KINDS: [&str; 5] =
    [PodState::KIND, ServiceState::KIND, NodesState::KIND, SliceState::KIND, NamespaceState::KIND];
/// How often a kind that this account may not read, and that names do not need, is asked for again.
const FORBIDDEN: Duration = Duration::from_mins(5);

/// Where the API server is.
#[derive(Clone, Debug, Default)]
pub struct KubeConfig {
    /// Kubeconfig file; `None`: the in-cluster service account.
    pub kubeconfig: Option<PathBuf>,
    /// This node's name.
    pub node_name: Option<Arc<str>>,
    /// Who hears of what comes and goes.
    pub listener: Listener,
}

/// The running watchers; dropping it ends them.
pub struct KubeHandle {
    _tasks: JoinSet<()>,
    events: Option<mpsc::Receiver<NodeStatus>>,
}

impl KubeHandle {
    /// News of the connection: lost, and back. Once.
    pub fn take_events(&mut self) -> Option<mpsc::Receiver<NodeStatus>> {
        self.events.take()
    }
}

/// Starts to watch and returns at once: names appear when the server answers. Only a config that can't be read is an error.
pub async fn start(config: KubeConfig, names: &Names) -> anyhow::Result<KubeHandle> {
    let mut kube_config = read_config(&config).await?;
    kube_config.connect_timeout = Some(CONNECT);
    let server = kube_config.cluster_url.to_string();
    let client = Client::try_from(kube_config).context("cannot make a Kubernetes client")?;
    names.expect_kubernetes(config.node_name.clone());
    let (events, receiver) = mpsc::channel(QUEUE);
    let (namespaces_known, wait) = flag::channel(false);
    let shared = Arc::new(Shared {
        names: names.clone(),
        reporter: config.node_name,
        server,
        events,
        state: Mutex::default(),
        namespaces: Mutex::default(),
        namespaces_known,
        listener: config.listener,
        reserved: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(follow::<Namespace, _>(
        Api::all(client.clone()),
        None,
        Arc::clone(&shared),
        NamespaceState::default(),
    ));
    tasks.spawn(follow::<Service, _>(
        Api::all(client.clone()),
        None,
        Arc::clone(&shared),
        ServiceState::default(),
    ));
    tasks.spawn(follow::<Node, _>(
        Api::all(client.clone()),
        None,
        Arc::clone(&shared),
        NodesState::default(),
    ));
    // Names do not need them.
    if shared.listener.is_there() {
        let policies = Api::all(client.clone());
        tasks.spawn(follow::<NetworkPolicy, _>(policies, None, Arc::clone(&shared), PolicyState::default()));
    }
    let of_api = "kubernetes.io/service-name=kubernetes";
    let slices = Api::namespaced(client.clone(), "default");
    tasks.spawn(follow::<EndpointSlice, _>(slices, Some(of_api), Arc::clone(&shared), SliceState::default()));
    tasks.spawn(async move {
        // A pod's labels show its namespace's, so those come first.
        let mut wait = wait;
        if wait.wait_for(|known| *known).await.is_ok() {
            follow::<Pod, _>(Api::all(client), None, shared, PodState::default()).await;
        }
    });
    Ok(KubeHandle { _tasks: tasks, events: Some(receiver) })
}

/// Whether what is said of the API server makes sense; it is not asked.
pub async fn check(config: &KubeConfig) -> anyhow::Result<()> {
    read_config(config).await.map(drop)
}

async fn read_config(config: &KubeConfig) -> anyhow::Result<Config> {
    match &config.kubeconfig {
        Some(path) => {
            // Each of these errors has the words of its causes in its own.
            let file = Kubeconfig::read_from(path)
                .map_err(|e| anyhow!("cannot read the kubeconfig {}: {}", path.display(), root(&e)))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(|e| anyhow!("the kubeconfig {} names no usable cluster: {}", path.display(), root(&e)))
        }
        None => Config::incluster().context(
            "no Kubernetes service account here; name a cluster with --kubeconfig FILE, or names with --names FILE",
        ),
    }
}

/// What all watchers share.
struct Shared {
    names: Names,
    reporter: Option<Arc<str>>,
    server: String,
    events: mpsc::Sender<NodeStatus>,
    state: Mutex<Connection>,
    /// Labels of each namespace.
    namespaces: Mutex<HashMap<String, Vec<Arc<str>>>>,
    namespaces_known: flag::Sender<bool>,
    listener: Listener,
    /// Identities of nodes' and the API server's addresses, as they were told last; `None` before names are complete.
    reserved: Mutex<Option<HashMap<IpAddr, Identity>>>,
}

#[derive(Default)]
struct Connection {
    listed: HashSet<&'static str>,
    failing: HashSet<&'static str>,
}

impl Shared {
    fn failed(&self, kind: &'static str, error: &watcher::Error) {
        let first = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let first = state.failing.is_empty();
            state.failing.insert(kind);
            first
        };
        tracing::debug!(kind, %error, "watch failed");
        if first {
            let why = root_cause(error);
            self.tell(
                NodeState::Error,
                format!("kubernetes API at {}: {why}; capture goes on, names may be stale", self.server),
            );
        }
    }

    fn answered(&self, kind: &'static str) {
        let back = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.failing.remove(kind) && state.failing.is_empty()
        };
        if back {
            self.tell(NodeState::Connected, format!("kubernetes API at {} answers again", self.server));
        }
    }

    fn listed(&self, kind: &'static str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.listed.insert(kind);
        if KINDS.iter().all(|kind| state.listed.contains(kind)) {
            self.names.set_synced();
            let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
            reserved.get_or_insert_with(|| self.names.reserved_identities());
        }
    }

    /// Tells which addresses of nodes and of the API server have come, gone, or mean something else.
    fn tell_reserved(&self) {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = reserved.as_mut().filter(|_| self.listener.is_there()) else { return };
        let now = self.names.reserved_identities();
        let of = |address: &IpAddr, identity: Identity, before: Option<Identity>| Address {
            address: *address,
            identity,
            before,
            host: None,
            pod: None,
        };
        for (address, identity) in before.iter().filter(|(address, _)| !now.contains_key(*address)) {
            self.listener.tell(Change::AddressFreed(of(address, *identity, None)));
        }
        for (address, identity) in &now {
            let old = before.get(address).copied();
            if old != Some(*identity) {
                self.listener.tell(Change::AddressTaken(of(address, *identity, old)));
            }
        }
        *before = now;
    }

    fn tell(&self, state: NodeState, message: String) {
        let nodes = self.reporter.iter().cloned().collect();
        let status =
            NodeStatus { time: Timestamp::now(), reporter: self.reporter.clone(), state, nodes, message };
        // Full: its reader has news enough already.
        drop(self.events.try_send(status));
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// What a kind's objects become.
trait State<K>: Send + 'static {
    const KIND: &'static str;
    /// A new list begins: what is not in it is gone.
    fn begin(&mut self) {}
    fn apply(&mut self, object: K, shared: &Shared);
    fn delete(&mut self, object: K, shared: &Shared);
    /// The list is complete.
    fn complete(&mut self, shared: &Shared);
}

/// Follows one kind for ever: lists, watches, and after a failure again with growing pauses.
async fn follow<K, S>(api: Api<K>, labels: Option<&str>, shared: Arc<Shared>, mut state: S)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    S: State<K>,
{
    let mut config = watcher::Config::default().any_semantic();
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    let mut stream = watch(api, config).default_backoff().boxed();
    let mut said = false;
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                shared.answered(S::KIND);
                match event {
                    Event::Init => state.begin(),
                    Event::InitApply(o) | Event::Apply(o) => state.apply(o, &shared),
                    Event::Delete(o) => state.delete(o, &shared),
                    Event::InitDone => {
                        state.complete(&shared);
                        shared.listed(S::KIND);
                    }
                }
            }
            Ok(None) => return,
            Err(error) if !KINDS.contains(&S::KIND) && is_forbidden(&error) => {
                if !said {
                    tracing::info!(
                        "this account may not watch {}: agent events tell nothing of them; the ClusterRole in deploy/base/rbac.yaml lets it",
                        S::KIND
                    );
                }
                said = true;
                shared.answered(S::KIND);
                tokio::time::sleep(FORBIDDEN).await;
            }
            Err(error) => shared.failed(S::KIND, &error),
        }
    }
}

/// Neither the server nor the way to it is in trouble: this account may not read this kind, or the server does not have it.
fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let (InitialListFailed(kube::Error::Api(status))
    | WatchStartFailed(kube::Error::Api(status))
    | WatchFailed(kube::Error::Api(status))
    | WatchError(status)) = error
    else {
        return false;
    };
    matches!(status.code, 403 | 404)
}

#[cfg(test)]
mod tests;
