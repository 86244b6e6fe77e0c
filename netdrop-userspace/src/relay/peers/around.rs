//! Peers as an agent tells of them: itself, and the agents of other nodes where the Kubernetes API knows these.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use super::Source;
use crate::merge::PeerAddress;

/// The agent itself, and `others` as they come to be known. Where these have an address for the agent's own node, as other machines
/// reach it, that goes before its own.
pub fn around(name: &str, own: PeerAddress, others: Option<Source>) -> Source {
    let name: Arc<str> = name.into();
    let Some(mut others) = others else {
        return Source::fixed([(name, own)].into());
    };
    Source::spawn(|to| async move {
        loop {
            let mut peers = others.peers.borrow_and_update().clone().unwrap_or_default();
            peers.entry(Arc::clone(&name)).or_insert_with(|| own.clone());
            to.send_replace(Some(peers));
            if others.peers.changed().await.is_err() {
                // What is known stays.
                return to.closed().await;
            }
        }
    })
}

/// Where this machine reaches an agent that listens at a TCP port, or at its socket alone.
pub fn own_address(listen: Option<SocketAddr>, socket: &Path) -> String {
    match listen {
        Some(SocketAddr::V4(a)) if a.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, a.port())).to_string()
        }
        Some(SocketAddr::V6(a)) if a.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, a.port())).to_string()
        }
        Some(address) => address.to_string(),
        None => format!("unix://{}", socket.display()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::merge::Peers;

    fn address(text: &str) -> PeerAddress {
        PeerAddress { address: text.to_owned(), server_name: None }
    }

    #[test]
    fn an_address_that_can_be_asked() {
        let of = |listen: &str| own_address(Some(listen.parse().unwrap()), Path::new("/x"));
        assert_eq!(of("[::]:4244"), "[::1]:4244");
        assert_eq!(of("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(of("10.0.0.1:1"), "10.0.0.1:1");
        assert_eq!(own_address(None, Path::new("/run/a.sock")), "unix:///run/a.sock");
    }

    #[tokio::test]
    async fn itself_first_and_others_when_they_are_known() {
        let (list, peers) = watch::channel(None);
        let others = Source { peers, task: None };
        let around = around("a", address("unix:///a"), Some(others));
        let mut told = around.peers.clone();
        let names = |peers: &Option<Peers>| -> Vec<String> {
            peers.iter().flatten().map(|(name, p)| format!("{name}={}", p.address)).collect()
        };
        let now = told.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(names(&now), ["a=unix:///a"]);
        list.send_replace(Some([("a".into(), address("1:1")), ("b".into(), address("2:1"))].into()));
        let now = told.wait_for(|p| p.as_ref().is_some_and(|p| p.len() == 2)).await.unwrap().clone();
        assert_eq!(names(&now), ["a=1:1", "b=2:1"]);
    }
}
