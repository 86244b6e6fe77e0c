//! `netdrop relay`: flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;

use super::listen::address;
use super::time;
use crate::agent::DEFAULT_SOCKET;
use crate::agent::tls::{TlsFiles, TlsFlags};
use crate::connect::tls::{ClientTls, ClientTlsConfig};
use crate::connect::{Address, Dial, Pem, Target};
use crate::merge::{Peers, SessionConfig, Tempo};
use crate::relay::{RelayConfig, peers};
use crate::source::merged::hostname;

const EXAMPLES: &str = "\
Examples:
  netdrop relay --peers worker-1=10.0.0.1,worker-2=10.0.0.2
  netdrop relay --peer-dns netdrop-agents.netdrop.svc.cluster.local
  netdrop relay --peer-pods app.kubernetes.io/component=agent --peer-namespace netdrop
  netdrop observe --server relay:4245 -f";

/// Names for what is wrong with files.
const FLAGS: TlsFlags = TlsFlags {
    cert: "--tls-relay-server-cert-file",
    key: "--tls-relay-server-key-file",
    client_ca: "--tls-relay-client-ca-files",
};

/// What was typed after `netdrop relay`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RelayArgs {
    /// Flags that are not typed, from this YAML file, as `listen-address: :4245`
    #[arg(long, value_name = "FILE")]
    pub config: Option<String>,
    /// Serve flows here
    #[arg(long, value_name = "[ADDRESS]:PORT", default_value = ":4245", value_parser = address)]
    pub listen_address: SocketAddr,
    /// Tell health here, too, alone and in the clear, for Kubernetes' probes; `none`: nowhere
    #[arg(long, value_name = "[ADDRESS]:PORT", default_value = ":4222")]
    pub health_listen_address: String,
    /// Serve /metrics, /healthz and /readyz here, by HTTP and in the clear; `none`: nowhere
    #[arg(long, value_name = "[ADDRESS]:PORT", default_value = "none")]
    pub metrics_listen_address: String,
    /// Name of the cluster, part of the names in nodes' certificates
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub cluster_name: String,
    /// Peers from this server's peer service, as unix:///PATH or HOST:PORT
    #[arg(long, value_name = "ADDRESS", env = "NETDROP_PEER_SERVICE", help_heading = "Peers")]
    pub peer_service: Option<String>,
    /// These peers: ADDRESS or NAME=ADDRESS, with a port or that of --peer-port
    #[arg(
        long,
        value_name = "PEER,...",
        value_delimiter = ',',
        env = "NETDROP_PEERS",
        help_heading = "Peers"
    )]
    pub peers: Vec<String>,
    /// Peers at all addresses of this name, as a headless service has them
    #[arg(long, value_name = "HOST[:PORT]", env = "NETDROP_PEER_DNS", help_heading = "Peers")]
    pub peer_dns: Option<String>,
    /// Peers in the pods that carry these labels, as the Kubernetes API tells
    #[arg(long, value_name = "SELECTOR", env = "NETDROP_PEER_PODS", help_heading = "Peers")]
    pub peer_pods: Option<String>,
    /// Namespace of those pods
    #[arg(long, value_name = "NAMESPACE", default_value = "netdrop", help_heading = "Peers")]
    pub peer_namespace: String,
    /// Port of peers whose address has none
    #[arg(long, value_name = "PORT", default_value_t = peers::AGENT_PORT, help_heading = "Peers")]
    pub peer_port: u16,
    /// Cluster of --peer-pods; in a pod its service account is used
    #[arg(long, value_name = "FILE", env = "NETDROP_KUBECONFIG", help_heading = "Peers")]
    pub kubeconfig: Option<PathBuf>,
    /// Between two attempts at the peer service
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span, help_heading = "Peers")]
    pub retry_timeout: Duration,
    /// Most responses held for order, over all nodes; beyond it the earliest go out early
    #[arg(long, value_name = "N", default_value_t = 131_072, value_parser = clap::value_parser!(u32).range(16..=16_777_216), help_heading = "Order")]
    pub sort_buffer_len_max: u32,
    /// No response is held for longer for the sake of order
    #[arg(long, value_name = "TIME", default_value = "900ms", value_parser = span, help_heading = "Order")]
    pub sort_buffer_drain_timeout: Duration,
    /// Ask peers without TLS, whatever files are named
    #[arg(long, help_heading = "TLS")]
    pub disable_client_tls: bool,
    /// Serve without TLS, whatever files are named
    #[arg(long, help_heading = "TLS")]
    pub disable_server_tls: bool,
    /// Certificate to show to peers
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_hubble_client_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_hubble_client_key_file: Option<PathBuf>,
    /// Authorities of peers' certificates; with any, peers are asked over TLS
    #[arg(long, value_name = "FILE,...", value_delimiter = ',', help_heading = "TLS")]
    pub tls_hubble_server_ca_files: Vec<PathBuf>,
    /// Certificate of the relay's server; with it, clients are served over TLS
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_relay_server_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_relay_server_key_file: Option<PathBuf>,
    /// Authorities of clients' certificates; with any, clients must show one
    #[arg(long, value_name = "FILE,...", value_delimiter = ',', help_heading = "TLS")]
    pub tls_relay_client_ca_files: Vec<PathBuf>,
}

fn span(text: &str) -> Result<Duration, String> {
    time::duration(text).filter(|d| !d.is_zero()).ok_or_else(|| "want something like 900ms or 2s".to_owned())
}

fn address_or_none(flag: &str, text: &str) -> anyhow::Result<Option<SocketAddr>> {
    match text {
        "none" | "" => Ok(None),
        text => Ok(Some(address(text).map_err(|e| anyhow::anyhow!("{flag}: {e}"))?)),
    }
}

/// Where peers are known from, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerSource {
    /// They are named.
    List(Peers),
    /// A peer service, and the name in its certificate.
    Service(Target, Option<String>),
    /// A name with many addresses.
    Dns(String),
    /// Pods with these labels.
    Pods(String),
}

impl RelayArgs {
    /// Checks where peers are known from: one source, else the local agent's peer service.
    pub fn peer_source(&self) -> anyhow::Result<PeerSource> {
        let tls = self.client_tls();
        let mut asked = Vec::new();
        if !self.peers.is_empty() {
            let mut list = peers::list(&self.peers, self.peer_port)?;
            for (name, peer) in &mut list {
                let named = tls && **name != *peer.address;
                peer.server_name = named.then(|| peers::server_name(name, &self.cluster_name));
            }
            asked.push(PeerSource::List(list));
        }
        if let Some(service) = &self.peer_service {
            let target = Target::parse(&peers::with_port(service, self.peer_port)).map_err(|_| {
                anyhow::anyhow!("--peer-service {service:?} is neither unix:///PATH nor HOST:PORT")
            })?;
            asked.push(PeerSource::Service(target, self.service_name()));
        }
        if let Some(name) = &self.peer_dns {
            let name = peers::with_port(name, self.peer_port);
            let target = Target::parse(&name).ok().filter(|t| matches!(t.address, Address::Tcp(_)) && !t.tls);
            ensure!(target.is_some(), "--peer-dns {name:?} is neither HOST nor HOST:PORT");
            asked.push(PeerSource::Dns(name));
        }
        if let Some(labels) = &self.peer_pods {
            asked.push(PeerSource::Pods(labels.clone()));
        }
        ensure!(
            asked.len() <= 1,
            "peers are known from one place: of --peers, --peer-service, --peer-dns and --peer-pods leave one"
        );
        match asked.pop() {
            Some(source) => Ok(source),
            None => Ok(PeerSource::Service(
                Target::parse(&format!("unix://{DEFAULT_SOCKET}"))?,
                self.service_name(),
            )),
        }
    }

    fn service_name(&self) -> Option<String> {
        self.client_tls().then(|| peers::server_name("hubble-peer", &self.cluster_name))
    }

    fn client_tls(&self) -> bool {
        let files = !self.tls_hubble_server_ca_files.is_empty() || self.tls_hubble_client_cert_file.is_some();
        files && !self.disable_client_tls
    }

    /// The names in the certificates of pods, if these have any.
    pub fn naming(&self) -> peers::kube::Naming {
        let tls_cluster = self.client_tls().then(|| self.cluster_name.clone());
        peers::kube::Naming { port: self.peer_port, tls_cluster }
    }

    /// Reads files, checks the rest.
    pub fn config(&self) -> anyhow::Result<RelayConfig> {
        let asks =
            Pem::of(self.tls_hubble_client_cert_file.clone(), self.tls_hubble_client_key_file.clone())?;
        let mut dial = Dial { is_relay: true, ..Dial::default() };
        if self.client_tls() {
            let config = ClientTlsConfig {
                ca_files: self.tls_hubble_server_ca_files.clone(),
                identity: asks,
                ..ClientTlsConfig::default()
            };
            dial.tls = Some(Arc::new(ClientTls::new(config)?));
            dial.tls_always = true;
        }
        dial.told_names = matches!(self.peer_source()?, PeerSource::Service(..) | PeerSource::Pods(_));
        let serves =
            Pem::of(self.tls_relay_server_cert_file.clone(), self.tls_relay_server_key_file.clone())?;
        let client_cas = self.tls_relay_client_ca_files.clone();
        let tls = match serves.filter(|_| !self.disable_server_tls) {
            Some(Pem { cert, key }) => Some(TlsFiles { cert, key, client_ca: client_cas, flags: FLAGS }),
            None if client_cas.is_empty() || self.disable_server_tls => None,
            None => bail!(
                "--tls-relay-client-ca-files asks clients for certificates: the relay needs its own by --tls-relay-server-cert-file and --tls-relay-server-key-file"
            ),
        };
        let health = address_or_none("--health-listen-address", &self.health_listen_address)?;
        let metrics = address_or_none("--metrics-listen-address", &self.metrics_listen_address)?;
        let mut session = SessionConfig::new(hostname());
        session.hold = self.sort_buffer_drain_timeout;
        session.most = usize::try_from(self.sort_buffer_len_max)?;
        Ok(RelayConfig {
            listen: self.listen_address,
            health,
            metrics,
            tls,
            dial,
            tempo: Tempo::default(),
            session,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn args(typed: &[&str]) -> RelayArgs {
        let command = RelayArgs::augment_args(Command::new("relay").no_binary_name(true));
        RelayArgs::from_arg_matches(&command.get_matches_from(typed)).unwrap()
    }

    #[test]
    fn peers_are_known_from_one_place() {
        assert!(matches!(args(&[]).peer_source().unwrap(), PeerSource::Service(..)));
        let dns = args(&["--peer-dns", "netdrop.svc"]).peer_source().unwrap();
        assert_eq!(dns, PeerSource::Dns("netdrop.svc:4244".into()));
        let e = args(&["--peer-dns", "a", "--peers", "b"]).peer_source().unwrap_err().to_string();
        assert!(e.contains("leave one"), "{e}");
        let e = args(&["--peer-service", "a:b:c"]).peer_source().unwrap_err().to_string();
        assert!(e.contains("--peer-service"), "{e}");
    }

    #[test]
    fn tls_is_whole_or_not_at_all() {
        let wrong = |typed: &[&str]| args(typed).config().unwrap_err().to_string();
        let half = "certificate and private key are both required, but only one was provided";
        assert_eq!(wrong(&["--tls-relay-server-cert-file", "c"]), half);
        assert_eq!(wrong(&["--tls-hubble-client-key-file", "k"]), half);
        assert!(wrong(&["--tls-relay-client-ca-files", "c"]).contains("--tls-relay-server-cert-file"));
        let off =
            ["--tls-relay-server-cert-file", "c", "--tls-relay-server-key-file", "k", "--disable-server-tls"];
        assert!(args(&off).config().unwrap().tls.is_none());
    }

    #[test]
    fn certificates_of_peers_are_for_their_nodes() {
        let typed =
            ["--peers", "worker.1=a,b:1", "--tls-hubble-server-ca-files", "x", "--cluster-name", "eu"];
        let PeerSource::List(list) = args(&typed).peer_source().unwrap() else {
            panic!("a list");
        };
        let names: Vec<_> = list.values().map(|p| p.server_name.as_deref()).collect();
        assert_eq!(names, [None, Some("worker-1.eu.hubble-grpc.cilium.io")]);
    }
}
