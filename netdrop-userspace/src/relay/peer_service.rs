//! `peer.Peer`: tells which nodes there are, to Hubble's relay and to netdrop's.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::merge::{PeerAddress, Peers};
use crate::proto::peer::peer_server::Peer;
use crate::proto::peer::{ChangeNotification, ChangeNotificationType, NotifyRequest, Tls};

/// Notifications under way to one client; a change after these waits, and is told as it is by then.
const IN_FLIGHT: usize = 64;

/// Tells of a list of peers and of its changes.
#[derive(Clone, Debug)]
pub struct PeerService {
    peers: watch::Receiver<Option<Peers>>,
    stopped: watch::Receiver<bool>,
}

impl PeerService {
    /// Of peers as they are known (`None`: not yet), until `stopped` turns true.
    pub fn new(peers: watch::Receiver<Option<Peers>>, stopped: watch::Receiver<bool>) -> Self {
        Self { peers, stopped }
    }
}

type Told = Result<ChangeNotification, Status>;

#[tonic::async_trait]
impl Peer for PeerService {
    type NotifyStream = Pin<Box<dyn Stream<Item = Told> + Send>>;

    async fn notify(&self, _request: Request<NotifyRequest>) -> Result<Response<Self::NotifyStream>, Status> {
        let (to, from) = mpsc::channel(IN_FLIGHT);
        let (peers, mut stopped) = (self.peers.clone(), self.stopped.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = tell(peers, &to) => {}
                () = to.closed() => {}
                // Whoever watches has not come to an end of his own. One who does not read is not waited for.
                _ = stopped.wait_for(|stop| *stop) => drop(to.try_send(Err(Status::unavailable("the server stops")))),
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(from))))
    }
}

/// Ends when nobody listens, or when nobody knows of changes any more and all is told.
async fn tell(mut peers: watch::Receiver<Option<Peers>>, to: &mpsc::Sender<Told>) {
    let mut told = Peers::new();
    loop {
        let now = peers.borrow_and_update().clone().unwrap_or_else(|| told.clone());
        for change in changes(&told, &now) {
            if to.send(Ok(change)).await.is_err() {
                return;
            }
        }
        told = now;
        if peers.changed().await.is_err() {
            // The list is final; the stream goes on, as it would with a list that happens not to change.
            to.closed().await;
            return;
        }
    }
}

fn changes(before: &Peers, now: &Peers) -> Vec<ChangeNotification> {
    use ChangeNotificationType::{PeerAdded, PeerDeleted, PeerUpdated};
    let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
    let gone = gone.map(|(name, address)| notification(PeerDeleted, name, address));
    let there = now.iter().filter_map(|(name, address)| match before.get(name) {
        None => Some(notification(PeerAdded, name, address)),
        Some(old) if old != address => Some(notification(PeerUpdated, name, address)),
        Some(_) => None,
    });
    gone.chain(there).collect()
}

fn notification(kind: ChangeNotificationType, name: &Arc<str>, address: &PeerAddress) -> ChangeNotification {
    ChangeNotification {
        name: name.to_string(),
        address: address.address.clone(),
        r#type: kind.into(),
        tls: address.server_name.clone().map(|server_name| Tls { server_name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(list: &[(&str, &str)]) -> Peers {
        let address = |a: &str| PeerAddress { address: a.to_owned(), server_name: None };
        list.iter().map(|(name, a)| (Arc::from(*name), address(a))).collect()
    }

    #[test]
    fn only_changes_are_told() {
        let kinds = |before: &[(&str, &str)], now: &[(&str, &str)]| -> Vec<_> {
            let told = changes(&peers(before), &peers(now));
            told.into_iter().map(|c| (c.r#type().as_str_name(), c.name, c.address)).collect()
        };
        assert_eq!(kinds(&[("a", "1")], &[("a", "1")]), []);
        assert_eq!(
            kinds(&[("a", "1"), ("b", "2")], &[("b", "3"), ("c", "4")]),
            [
                ("PEER_DELETED", "a".into(), "1".into()),
                ("PEER_UPDATED", "b".into(), "3".into()),
                ("PEER_ADDED", "c".into(), "4".into()),
            ]
        );
    }
}
