//! Peers from a server's peer service: an agent's of netdrop, or of Cilium.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::{AGENT_PORT, Source, with_port};
use crate::connect::{Dial, Target, words};
use crate::merge::{PeerAddress, Peers};
use crate::proto::peer::peer_client::PeerClient;
use crate::proto::peer::{ChangeNotification, ChangeNotificationType, NotifyRequest};

/// After this a server that was asked anew has told of all that there are.
const TOLD: Duration = Duration::from_secs(2);

/// Asks the server, and again after `retry` when it was lost; peers that were known stay meanwhile.
pub fn start(target: Target, dial: Dial, server_name: Option<String>, retry: Duration) -> Source {
    Source::spawn(move |to| async move {
        let mut failing = false;
        while !to.is_closed() {
            let why = match listen(&target, &dial, server_name.as_deref(), &to, &mut failing).await {
                Ok(()) => "it has ended the stream".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(%target, why, "the peer service is out of reach; peers known stay");
            }
            sleep(retry).await;
        }
    })
}

async fn listen(
    target: &Target,
    dial: &Dial,
    server_name: Option<&str>,
    to: &watch::Sender<Option<Peers>>,
    failing: &mut bool,
) -> anyhow::Result<()> {
    let connection = dial.connect_as(target, server_name).await?;
    let asked = PeerClient::new(connection).notify(NotifyRequest {}).await;
    let mut told = asked.map_err(|s| words(&s))?.into_inner();
    // What is not told of again is gone.
    let mut stale: BTreeSet<Arc<str>> =
        to.borrow().iter().flatten().map(|(name, _)| Arc::clone(name)).collect();
    let complete = Instant::now() + TOLD;
    let mut swept = false;
    loop {
        tokio::select! {
            change = told.message() => {
                let Some(change) = change.map_err(|s| words(&s))? else {
                    return Ok(());
                };
                if std::mem::take(failing) {
                    tracing::info!(%target, "the peer service answers again");
                }
                stale.remove(&*change.name);
                to.send_if_modified(|peers| apply(peers.get_or_insert_default(), change));
            }
            () = sleep_until(complete), if !swept => {
                swept = true;
                let gone = std::mem::take(&mut stale);
                to.send_if_modified(|peers| {
                    let known = peers.is_some();
                    let peers = peers.get_or_insert_default();
                    peers.retain(|name, _| !gone.contains(name));
                    !known || !gone.is_empty()
                });
            }
        }
    }
}

/// Returns whether it changes anything.
fn apply(peers: &mut Peers, change: ChangeNotification) -> bool {
    let kind = change.r#type();
    let name: Arc<str> = change.name.into();
    let address = PeerAddress {
        address: with_port(&change.address, AGENT_PORT),
        server_name: change.tls.map(|tls| tls.server_name),
    };
    match kind {
        ChangeNotificationType::PeerDeleted => peers.remove(&name).is_some(),
        ChangeNotificationType::PeerAdded | ChangeNotificationType::PeerUpdated => {
            let changed = peers.get(&name) != Some(&address);
            peers.insert(name, address);
            changed
        }
        ChangeNotificationType::Unknown => false,
    }
}
