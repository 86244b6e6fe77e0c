//! Where a relay knows its peers from: a list, DNS, another server's peer service, or the Kubernetes API.

pub mod around;
pub mod dns;
pub mod kube;
pub mod service;

use std::sync::Arc;

use anyhow::ensure;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::connect::{TLS_PREFIX, Target};
use crate::merge::{PeerAddress, Peers};

/// Port of agents.
pub const AGENT_PORT: u16 = 4244;

/// Peers as they are known, now and later; ends its work when dropped.
#[derive(Debug)]
pub struct Source {
    /// `None`: not known yet.
    pub peers: watch::Receiver<Option<Peers>>,
    task: Option<AbortHandle>,
}

impl Source {
    fn spawn<F>(work: impl FnOnce(watch::Sender<Option<Peers>>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (to, peers) = watch::channel(None);
        Self { peers, task: Some(tokio::spawn(work(to)).abort_handle()) }
    }

    /// Of peers that stay the same.
    pub fn fixed(peers: Peers) -> Self {
        let (_, peers) = watch::channel(Some(peers));
        Self { peers, task: None }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Tells of them, if that changes anything.
fn publish(to: &watch::Sender<Option<Peers>>, peers: Peers) {
    to.send_if_modified(|now| {
        let changed = now.as_ref() != Some(&peers);
        *now = Some(peers);
        changed
    });
}

/// Peers as they were typed: ADDRESS or NAME=ADDRESS.
pub fn list(typed: &[String], port: u16) -> anyhow::Result<Peers> {
    let mut peers = Peers::new();
    for text in typed {
        let (name, address) = text.split_once('=').unwrap_or((text, text));
        ensure!(!name.is_empty(), "peer {text:?} has no name before the =");
        ensure!(
            !address.starts_with(TLS_PREFIX),
            "peer {text:?}: all peers are asked over TLS or none; --tls-hubble-server-ca-files names whom to trust, and addresses have no {TLS_PREFIX}"
        );
        ensure!(
            address.starts_with("unix:") || !text.contains(char::is_whitespace) && !address.contains('='),
            "peer {text:?} has a space or a second = in it; peers are separated by commas"
        );
        let address = with_port(address, port);
        Target::parse(&address).map_err(|_| {
            anyhow::anyhow!(
                "peer {text:?} is none of HOST, HOST:PORT, unix:///PATH, or NAME= and one of them"
            )
        })?;
        let name = if name == text { address.as_str() } else { name };
        let before =
            peers.insert(Arc::from(name), PeerAddress { address: address.clone(), server_name: None });
        ensure!(before.is_none(), "peer {name:?} is named twice");
    }
    Ok(peers)
}

/// An address with its port.
pub fn with_port(address: &str, port: u16) -> String {
    let is_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    if is_v6 {
        return format!("[{address}]:{port}");
    }
    let plain =
        !address.is_empty() && !address.contains('/') && (!address.contains(':') || address.ends_with(']'));
    if plain { format!("{address}:{port}") } else { address.to_owned() }
}

/// The name in a node's certificate, as Hubble's certificates are made.
pub fn server_name(node: &str, cluster: &str) -> String {
    let dashed = |text: &str| text.replace('.', "-");
    format!("{}.{}.hubble-grpc.cilium.io", dashed(node), dashed(cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_addresses_with_or_without_names() {
        let typed = |list: &[&str]| -> anyhow::Result<Vec<(String, String)>> {
            let typed: Vec<_> = list.iter().map(ToString::to_string).collect();
            Ok(super::list(&typed, AGENT_PORT)?
                .into_iter()
                .map(|(n, a)| (n.to_string(), a.address))
                .collect())
        };
        assert_eq!(
            typed(&["b=10.0.0.2", "10.0.0.1:4000", "c=unix:///c.sock", "d=2001:db8::1"]).unwrap(),
            [
                ("10.0.0.1:4000", "10.0.0.1:4000"),
                ("b", "10.0.0.2:4244"),
                ("c", "unix:///c.sock"),
                ("d", "[2001:db8::1]:4244"),
            ]
            .map(|(n, a)| (n.to_owned(), a.to_owned()))
        );
        for wrong in [
            &["=a:1"][..],
            &["a:b:c"],
            &["a="],
            &[""],
            &["x=a", "x=b"],
            &["a b"],
            &["a=b=c"],
            &["n=tls://x:1"],
        ] {
            assert!(typed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_in_certificates_have_dashes() {
        assert_eq!(server_name("node-1.example", "eu.west"), "node-1-example.eu-west.hubble-grpc.cilium.io");
    }
}
