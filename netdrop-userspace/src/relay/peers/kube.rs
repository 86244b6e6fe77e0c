//! Peers from the Kubernetes API: agents' pods by label, or all nodes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use kube::{Api, Client, Config, ResourceExt as _};

use super::{Source, publish, server_name, with_port};
use crate::merge::{PeerAddress, Peers};

/// The API server gets this long to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// What makes a peer of an object.
#[derive(Clone, Debug)]
pub struct Naming {
    /// Port of agents.
    pub port: u16,
    /// Agents serve over TLS: the cluster's name, which is part of the name in their certificates.
    pub tls_cluster: Option<String>,
}

impl Naming {
    fn peer(&self, node: &str, address: &str) -> (Arc<str>, PeerAddress) {
        let server_name = self.tls_cluster.as_deref().map(|cluster| server_name(node, cluster));
        (Arc::from(node), PeerAddress { address: with_port(address, self.port), server_name })
    }
}

/// A client of the API server: of a kubeconfig, or of the pod's service account.
pub async fn client(kubeconfig: Option<PathBuf>) -> anyhow::Result<Client> {
    let mut config = match &kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("the kubeconfig {} names no usable cluster", path.display()))?
        }
        None => Config::incluster()
            .context("no Kubernetes service account here; name a cluster with --kubeconfig FILE")?,
    };
    config.connect_timeout = Some(CONNECT);
    Client::try_from(config).context("cannot make a Kubernetes client")
}

/// Pods of a namespace that carry these labels, by the node they run on.
pub fn pods(client: Client, namespace: &str, labels: &str, naming: Naming) -> Source {
    let api: Api<Pod> = Api::namespaced(client, namespace);
    let config = watcher::Config::default().labels(labels);
    follow(api, config, move |pod| pod_peer(pod, &naming))
}

fn pod_peer(pod: &Pod, naming: &Naming) -> Option<(Arc<str>, PeerAddress)> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    let status = pod.status.as_ref()?;
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let address = status.pod_ip.as_deref().filter(|_| !ended)?;
    Some(naming.peer(node, address))
}

/// All nodes, by their internal addresses.
pub fn nodes(client: Client, naming: Naming) -> Source {
    follow(Api::<Node>::all(client), watcher::Config::default(), move |node| {
        let addresses = node.status.as_ref()?.addresses.as_ref()?;
        let address = addresses.iter().find(|a| a.type_ == "InternalIP")?;
        Some(naming.peer(&node.name_any(), &address.address))
    })
}

/// What an object tells.
#[derive(Clone, Debug)]
struct Found {
    peer: (Arc<str>, PeerAddress),
    /// Of several on one node the greatest counts: one that is not about to end, the youngest.
    rank: (bool, Option<Time>),
}

impl Found {
    fn new(object: &impl kube::Resource, peer: (Arc<str>, PeerAddress)) -> Self {
        let meta = object.meta();
        Self { peer, rank: (meta.deletion_timestamp.is_none(), meta.creation_timestamp.clone()) }
    }
}

fn peers<'a>(found: impl IntoIterator<Item = &'a Found>) -> Peers {
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by(|a, b| a.rank.cmp(&b.rank));
    found.into_iter().map(|found| found.peer.clone()).collect()
}

fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    peer: impl Fn(&K) -> Option<(Arc<str>, PeerAddress)> + Send + 'static,
) -> Source
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    Source::spawn(|to| async move {
        let mut objects: BTreeMap<String, Found> = BTreeMap::new();
        let mut listing = false;
        let mut failing = false;
        let mut stream = Box::pin(watch_objects(api, config).default_backoff());
        loop {
            match stream.try_next().await {
                Ok(Some(event)) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the Kubernetes API answers again");
                    }
                    match event {
                        Event::Init => {
                            listing = true;
                            objects.clear();
                        }
                        Event::InitApply(object) | Event::Apply(object) => {
                            let key = object.name_any();
                            match peer(&object) {
                                Some(peer) => objects.insert(key, Found::new(&object, peer)),
                                None => objects.remove(&key),
                            };
                        }
                        Event::Delete(object) => {
                            objects.remove(&object.name_any());
                        }
                        Event::InitDone => listing = false,
                    }
                    // Half a list would look as if the rest had gone.
                    if !listing {
                        publish(&to, peers(objects.values()));
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "cannot watch the peers; those known stay");
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// While a DaemonSet puts a new pod in an old one's place, both are there.
    #[test]
    fn of_two_pods_on_a_node_the_one_that_stays_counts() {
        let naming = Naming { port: 4244, tls_cluster: None };
        let pod = |name: &str, ip: &str, created: &str, ends: Option<&str>| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": name, "creationTimestamp": created, "deletionTimestamp": ends},
                "spec": {"nodeName": "n1", "containers": []},
                "status": {"podIP": ip, "phase": "Running"},
            }))
            .unwrap()
        };
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let addresses = |pods: &[Pod]| -> Vec<String> {
            let found: Vec<_> =
                pods.iter().filter_map(|p| Some(Found::new(p, pod_peer(p, &naming)?))).collect();
            peers(&found).into_values().map(|p| p.address).collect()
        };
        let [old, new] = [pod("z", "10.0.0.1", early, Some(late)), pod("a", "10.0.0.2", late, None)];
        assert_eq!(addresses(&[new.clone(), old.clone()]), ["10.0.0.2:4244"]);
        assert_eq!(addresses(std::slice::from_ref(&old)), ["10.0.0.1:4244"], "it answers until its end");
        let young = pod("b", "10.0.0.3", "2026-01-03T00:00:00Z", None);
        assert_eq!(addresses(&[young, new]), ["10.0.0.3:4244"]);
        let mut failed = old;
        failed.status.as_mut().unwrap().phase = Some("Failed".into());
        assert_eq!(addresses(&[failed]), [""; 0]);
    }
}
