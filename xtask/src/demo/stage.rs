//! The network of the demo, and who lives in it.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use netdrop_tests::netns::Netns;
use netdrop_tests::topology::{Cluster, Pod};
use serde_json::Value;

use super::cleanup::{self, Cleanup};

/// Names of the pods, by node.
pub(super) const PODS: [[&str; 2]; 2] = [
    ["production/checkout-api", "staging/load-generator"],
    ["production/payments-db", "monitoring/prometheus"],
];

/// Two nodes with two pods each.
pub(super) struct Stage {
    /// The network.
    pub(super) cluster: Cluster,
    names_file: PathBuf,
}

impl Stage {
    pub(super) fn build(cleanup: &Cleanup) -> Result<Self> {
        let cluster = Cluster::with(cleanup::netns).context("can't build the demo's network")?;
        let names_file = cleanup.names_file().to_owned();
        fs::write(&names_file, names(&cluster))
            .with_context(|| format!("can't write {}", names_file.display()))?;
        Ok(Self { cluster, names_file })
    }

    /// production/checkout-api, on worker-1.
    pub(super) fn checkout(&self) -> &Pod {
        &self.cluster.nodes[0].pods[0]
    }

    /// staging/load-generator, on worker-1.
    pub(super) fn load_generator(&self) -> &Pod {
        &self.cluster.nodes[0].pods[1]
    }

    /// production/payments-db, on worker-2.
    pub(super) fn payments(&self) -> &Pod {
        &self.cluster.nodes[1].pods[0]
    }

    /// monitoring/prometheus, on worker-2.
    pub(super) fn prometheus(&self) -> &Pod {
        &self.cluster.nodes[1].pods[1]
    }

    /// The node of the first two.
    pub(super) fn worker_1(&self) -> &Netns {
        &self.cluster.nodes[0].netns
    }

    fn namespaces(&self) -> impl Iterator<Item = &Netns> {
        self.cluster
            .nodes
            .iter()
            .flat_map(|node| std::iter::once(&node.netns).chain(node.pods.iter().map(|pod| &pod.netns)))
    }

    /// Arguments of `netdrop observe`, without the output format.
    pub(super) fn observe_args(&self) -> Vec<String> {
        let mut args = vec!["--verdict=DROPPED".to_owned(), "-f".to_owned()];
        args.push(format!("--names={}", self.names_file.display()));
        args.extend(self.namespaces().map(|netns| format!("--netns={}", netns.name())));
        args
    }

    /// The command as a person would type it.
    pub(super) fn observe_line(&self) -> String {
        let count = self.namespaces().count();
        format!(
            "netdrop observe --verdict=DROPPED -f --names {} --netns ... ({count} namespaces)",
            self.names_file.display()
        )
    }
}

/// The names file: who has which address.
fn names(cluster: &Cluster) -> String {
    let mut text = String::from("# address  namespace/name  labels\n");
    for ((n, node), pods) in (1..).zip(&cluster.nodes).zip(PODS) {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{} node:worker-{n}", node.address);
        for (pod, name) in node.pods.iter().zip(pods) {
            let app = name.rsplit('/').next().unwrap_or(name);
            let _ = writeln!(text, "{} {name} app={app}", pod.v4);
        }
    }
    text
}

/// Destination port of a flow as `-o json` prints it.
pub(super) fn destination_port(flow: &Value) -> Option<u16> {
    let l4 = flow["l4"].as_object()?.values().next()?;
    l4["destination_port"].as_u64().and_then(|port| u16::try_from(port).ok())
}

/// From a pod, by a port that no case sends to.
pub(super) fn source(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 40_000)
}
