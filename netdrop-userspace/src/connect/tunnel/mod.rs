//! A tunnel to the relay of a cluster, through its API server and a node's kubelet. The stream ends in netdrop itself; a port of this
//! machine that leads to the same relay is for others.

pub(super) mod listen;
mod place;
mod stream;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use tokio::sync::oneshot;

use super::dial::root;
pub use listen::{Port, Tell};
use place::Place;
pub use stream::TunnelEnd;
pub(super) use stream::TunnelStream;

/// Relays, and where they are by default: netdrop's own, else Hubble's.
const RELAYS: [(&str, &str); 2] = [("netdrop", "netdrop-relay"), ("kube-system", "hubble-relay")];

/// Which cluster, and where in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// `None`: the usual files, else the cluster around this process.
    pub kubeconfig: Option<PathBuf>,
    /// `None`: the file's current one.
    pub context: Option<String>,
    /// `None`: where relays are by default.
    pub namespace: Option<String>,
    /// Of this machine, for other clients.
    pub port: Port,
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the relay of the cluster")?;
        match &self.context {
            Some(context) => write!(f, " {context}"),
            None => Ok(()),
        }
    }
}

/// An open one.
pub(super) struct Opened {
    pub(super) stream: TunnelStream,
    /// Whether anybody answers at the far end.
    pub(super) heard: oneshot::Receiver<Result<(), TunnelEnd>>,
    /// The service's name in the cluster's DNS, which its certificate may have.
    pub(super) name: String,
}

impl Tunnel {
    /// Looks for the relay and opens a stream to a pod of it.
    pub(super) async fn open(&self, timeout: Duration) -> anyhow::Result<Opened> {
        let opened = tokio::time::timeout(timeout, self.try_open(timeout)).await;
        opened.unwrap_or_else(|_| {
            Err(anyhow!(
                "--port-forward: the cluster gave no answer within {} s; --timeout gives it longer",
                timeout.as_secs_f64()
            ))
        })
    }

    async fn try_open(&self, timeout: Duration) -> anyhow::Result<Opened> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(timeout);
        // A tunnel may be silent for as long as nothing is dropped.
        (config.read_timeout, config.write_timeout) = (None, None);
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).context("--port-forward: cannot make a Kubernetes client")?;
        let refused = |e: kube::Error| Self::refused(&e, &server);
        let service = self.service(&client).await.map_err(refused)?.ok_or_else(|| self.no_relay())?;
        let namespace = service.metadata.namespace.clone().unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(client, &namespace);
        let selector = place::selector(&service)?;
        let found = pods.list(&ListParams::default().labels(&selector)).await.map_err(refused)?;
        let Place { pod, port, service } = place::choose(&service, found.items)?;
        let mut forwarder = pods.portforward(&pod, &[port]).await.map_err(refused)?;
        let (stream, error) = (forwarder.take_stream(port), forwarder.take_error(port));
        let (Some(stream), Some(error)) = (stream, error) else {
            bail!("--port-forward: the API server at {server} opened no stream to pod {namespace}/{pod}");
        };
        tracing::debug!(%server, namespace, pod, port, "tunnel is open");
        let to = format!("pod {namespace}/{pod}, port {port}");
        let (stream, heard) = TunnelStream::new(stream, error, to);
        Ok(Opened { stream, heard, name: format!("{service}.{namespace}.svc") })
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let file = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let file = match file {
            Ok(file) => file,
            Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath) if self.is_open_to_any() => {
                return Config::incluster().map_err(|_| {
                    anyhow!("--port-forward: no cluster is known here; name one with --kubeconfig FILE, or in KUBECONFIG")
                });
            }
            Err(e) => bail!("--port-forward: {}", self.unreadable(&e)),
        };
        let known: Vec<String> = file.contexts.iter().map(|c| c.name.clone()).collect();
        Config::from_custom_kubeconfig(file, &options).await.map_err(|e| match (e, &self.context) {
            (KubeconfigError::LoadContext(_), Some(context)) => {
                anyhow!(
                    "--port-forward: the kubeconfig has no context {context}; it has {}",
                    or_none(&known.join(", "))
                )
            }
            (KubeconfigError::CurrentContextNotSet | KubeconfigError::LoadContext(_), _) => anyhow!(
                "--port-forward: the kubeconfig says of no context that it is the current one; name one with --kube-context"
            ),
            (e, _) => anyhow!("--port-forward: the kubeconfig names no usable cluster: {}", root(&e)),
        })
    }

    fn unreadable(&self, error: &KubeconfigError) -> String {
        if let KubeconfigError::ReadConfig(why, path) = error {
            return format!("cannot read the kubeconfig {}: {why}", path.display());
        }
        let named = self.kubeconfig.as_ref().map_or_else(String::new, |path| format!(" {}", path.display()));
        let why = root(error);
        let why = why.lines().next().unwrap_or_default().trim_start_matches("error: ");
        format!("the kubeconfig{named} makes no sense: {why}")
    }

    /// Nothing was said about where the cluster is.
    fn is_open_to_any(&self) -> bool {
        self.kubeconfig.is_none() && self.context.is_none() && std::env::var_os("KUBECONFIG").is_none()
    }

    /// Namespaces and names to look for, in this order.
    fn wanted(&self) -> [(&str, &str); 2] {
        match &self.namespace {
            Some(namespace) => RELAYS.map(|(_, name)| (namespace.as_str(), name)),
            None => RELAYS,
        }
    }

    async fn service(&self, client: &Client) -> Result<Option<Service>, kube::Error> {
        for (namespace, name) in self.wanted() {
            let services: Api<Service> = Api::namespaced(client.clone(), namespace);
            let found = services.get_opt(name).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn no_relay(&self) -> anyhow::Error {
        let [(first, own), (second, other)] = self.wanted();
        anyhow!(
            "--port-forward: the cluster has no relay: neither service {first}/{own} nor {second}/{other}; --kube-namespace says where it is"
        )
    }

    fn refused(error: &kube::Error, server: &str) -> anyhow::Error {
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                anyhow!(
                    "--port-forward: {server} does not know who asks: the login of the kubeconfig is wrong or out of date"
                )
            }
            kube::Error::Api(status) if status.code == 403 => anyhow!(
                "--port-forward: not allowed: {}; it takes get on services, list on pods, get and create on pods/portforward",
                status.message
            ),
            kube::Error::Api(status) => anyhow!("--port-forward: {server}: {}", status.message),
            e => anyhow!("--port-forward: cannot ask the API server at {server}: {}", root(e)),
        }
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
