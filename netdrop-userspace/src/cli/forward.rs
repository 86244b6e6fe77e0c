//! Hubble's flags for a tunnel to its relay, through the API server of a cluster.

use std::path::PathBuf;

use clap::Args;

use super::server_flags::file;
use crate::connect::tunnel::Tunnel;
use crate::go;

/// What was typed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Tunnel into a cluster")]
pub struct ForwardFlags {
    /// Ask the relay of a cluster, through its API server, in place of --server
    #[arg(short = 'P', long)]
    pub port_forward: bool,
    /// Without effect, and here for scripts: Hubble's client listens at this port; netdrop's tunnel needs none
    #[arg(long, value_name = "PORT", default_value = "4245", value_parser = port)]
    pub port_forward_port: u16,
    /// Cluster of -P: a context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub kube_context: Option<String>,
    /// Where -P looks for the service netdrop-relay, then hubble-relay [default: netdrop, then kube-system]
    #[arg(long, value_name = "NAME")]
    pub kube_namespace: Option<String>,
    /// Cluster of -P [default: $KUBECONFIG, ~/.kube/config, or the cluster that netdrop runs in]
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub kubeconfig: Option<PathBuf>,
}

fn port(text: &str) -> Result<u16, String> {
    let port = go::parse_uint(text, 0, 16)?;
    u16::try_from(port).map_err(|e| e.to_string())
}

impl ForwardFlags {
    /// The tunnel that is asked for.
    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        let some = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        self.port_forward.then(|| Tunnel {
            kubeconfig: self.kubeconfig.clone().filter(|path| !path.as_os_str().is_empty()),
            context: some(&self.kube_context),
            namespace: some(&self.kube_namespace),
        })
    }
}
