//! Looks after one peer: connects, asks now and then whether it lives, and connects anew with growing pauses.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::backoff::Backoff;
use super::crew::{PeerAddress, PeerState, Tempo};
use crate::connect::{Connection, Dial, Target, is_transport};
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetNodesRequest, ServerStatusRequest};

/// One peer's.
pub(super) struct Watch {
    pub(super) address: PeerAddress,
    pub(super) dial: Dial,
    pub(super) tempo: Tempo,
    /// Somebody has reason to ask whether it lives.
    pub(super) suspect: Arc<Notify>,
    pub(super) state: watch::Sender<PeerState>,
    /// Beats when the state changes.
    pub(super) pulse: watch::Sender<()>,
    /// Where to put what the peer calls itself; `None`: it has a name.
    pub(super) own_name: Option<Arc<OnceLock<Arc<str>>>>,
}

impl Watch {
    /// Runs until its task is ended.
    pub(super) async fn over(self) {
        let mut backoff = Backoff::new(self.tempo.pauses);
        loop {
            let mut held = Duration::ZERO;
            let why = match self.connect().await {
                Ok(connection) => {
                    let began = Instant::now();
                    self.learn_name(&connection).await;
                    self.tell(PeerState::Up(connection.clone()));
                    let why = self.until_lost(connection).await;
                    held = began.elapsed();
                    why
                }
                Err(why) => why,
            };
            self.tell(PeerState::Down(why.into()));
            sleep(jittered(backoff.pause(held))).await;
        }
    }

    fn tell(&self, state: PeerState) {
        self.state.send_replace(state);
        self.pulse.send_replace(());
    }

    async fn connect(&self) -> Result<Connection, String> {
        let connect = async {
            let target = Target::parse(&self.address.address)?;
            self.dial.connect_as(&target, self.address.server_name.as_deref()).await
        };
        let connection = connect.await.map_err(|e| format!("{e:#}"))?;
        // That somebody listens does not mean that he is alive.
        match probe(&connection, self.tempo.patience).await {
            Probed::Lives => Ok(connection),
            Probed::Silent => Err(silent(self.tempo.patience)),
            Probed::Lost(why) => Err(why),
        }
    }

    /// Netdrop's servers know of one node: their own.
    async fn learn_name(&self, connection: &Connection) {
        let Some(place) = &self.own_name else {
            return;
        };
        let mut client = ObserverClient::new(connection.clone());
        let asked = timeout(self.tempo.patience, client.get_nodes(GetNodesRequest {})).await;
        if let Ok(Ok(nodes)) = asked
            && let [node] = &nodes.into_inner().nodes[..]
            && !node.name.is_empty()
        {
            // A peer that has changed its name keeps the first one.
            drop(place.set(Arc::from(node.name.as_str())));
        }
    }

    /// Returns why the connection is of no use any more.
    async fn until_lost(&self, connection: Connection) -> String {
        let tempo = self.tempo;
        let mut stalled: Option<Instant> = None;
        loop {
            let pause = if stalled.is_some() { tempo.interval / 4 } else { tempo.interval };
            drop(timeout(pause, self.suspect.notified()).await);
            match (probe(&connection, tempo.patience).await, stalled) {
                (Probed::Lives, None) => {}
                (Probed::Lives, Some(_)) => {
                    stalled = None;
                    self.tell(PeerState::Up(connection.clone()));
                }
                (Probed::Silent, None) => {
                    stalled = Some(Instant::now());
                    self.tell(PeerState::Stalled(silent(tempo.patience).into()));
                }
                (Probed::Silent, Some(since)) if since.elapsed() < tempo.give_up => {}
                (Probed::Silent, Some(since)) => return silent(since.elapsed() + tempo.patience),
                (Probed::Lost(why), _) => return why,
            }
        }
    }
}

fn silent(time: Duration) -> String {
    format!("no answer for {:.0} s", time.as_secs_f64())
}

enum Probed {
    Lives,
    Silent,
    Lost(String),
}

/// Any answer is a sign of life, also one that refuses.
async fn probe(connection: &Connection, patience: Duration) -> Probed {
    let mut client = ObserverClient::new(connection.clone());
    match timeout(patience, client.server_status(ServerStatusRequest {})).await {
        Err(_) => Probed::Silent,
        Ok(Err(status)) if is_transport(&status) => Probed::Lost(status.message().to_owned()),
        Ok(_) => Probed::Lives,
    }
}

/// Up to a quarter longer, so that those who lost a server together don't come back together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(pause) % 256;
    pause + pause.mul_f64(f64::from(u32::try_from(random).unwrap_or(0)) / 1024.0)
}
