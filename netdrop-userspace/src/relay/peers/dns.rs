//! Peers from DNS: the addresses of a headless service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Source;
use crate::merge::{PeerAddress, Peers};

/// How often names are looked up; agents come and go with their nodes, which takes longer.
const AGAIN: Duration = Duration::from_secs(5);

/// Looks up `host:port` now and then.
pub fn start(name: String) -> Source {
    Source::spawn(|to| async move {
        let mut failing = false;
        while !to.is_closed() {
            match tokio::net::lookup_host(&name).await {
                Ok(found) => {
                    failing = false;
                    let peers = peers(found.map(|a| a.to_string()).collect());
                    to.send_if_modified(|now| {
                        let changed = now.as_ref() != Some(&peers);
                        *now = Some(peers);
                        changed
                    });
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(name, %error, "cannot look up the peers; those known stay");
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    })
}

fn peers(addresses: BTreeSet<String>) -> Peers {
    let named = |address: String| (Arc::from(&*address), PeerAddress { address, server_name: None });
    addresses.into_iter().map(named).collect()
}
