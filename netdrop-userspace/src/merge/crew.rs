//! Connections to servers that come and go: one to each, watched over, for all calls together.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::monitor::Watch;
use crate::connect::{Connection, Dial, Target};

/// How to reach a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAddress {
    /// host:port, or unix://PATH.
    pub address: String,
    /// Name in its certificate, where that is not the address's host.
    pub server_name: Option<String>,
}

/// Peers by name.
pub type Peers = BTreeMap<Arc<str>, PeerAddress>;

/// How a peer is.
#[derive(Clone, Debug)]
pub enum PeerState {
    /// Not known yet.
    Connecting,
    /// It answers.
    Up(Connection),
    /// Its connection stands, and it does not answer.
    Stalled(Arc<str>),
    /// It can't be reached.
    Down(Arc<str>),
}

/// One peer.
#[derive(Debug)]
pub struct Peer {
    /// Its node's name.
    pub name: Arc<str>,
    /// Where it is.
    pub address: PeerAddress,
    /// It is asked over TLS.
    pub tls: bool,
    /// How it is.
    pub state: watch::Receiver<PeerState>,
    /// What it calls itself, where its name is only its address.
    own_name: Arc<OnceLock<Arc<str>>>,
    suspect: Arc<Notify>,
    _monitor: Task,
}

impl Peer {
    /// Something is wrong with it, a call says: look at once.
    pub fn suspect(&self) {
        self.suspect.notify_one();
    }

    /// The name to show.
    pub fn shown(&self) -> Arc<str> {
        Arc::clone(self.own_name.get().unwrap_or(&self.name))
    }

    /// Its connection, if it answers.
    pub fn connection(&self) -> Option<Connection> {
        match &*self.state.borrow() {
            PeerState::Up(connection) => Some(connection.clone()),
            _ => None,
        }
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct Task(pub(super) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How often peers are looked after.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// From one sign of life to the next.
    pub interval: Duration,
    /// A peer that takes longer to answer has stalled.
    pub patience: Duration,
    /// A stalled one is connected to anew after this.
    pub give_up: Duration,
    /// Pauses between attempts to connect: the first, and the longest.
    pub pauses: (Duration, Duration),
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            patience: Duration::from_secs(2),
            give_up: Duration::from_secs(10),
            pauses: (Duration::from_millis(250), Duration::from_secs(10)),
        }
    }
}

/// Who is there.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// The list of peers has been had.
    pub known: bool,
    /// By name.
    pub peers: BTreeMap<Arc<str>, Arc<Peer>>,
}

/// Peers, and the connections to them.
#[derive(Debug)]
pub struct Crew {
    roster: watch::Receiver<Roster>,
    pulse: watch::Receiver<()>,
    _keeper: Task,
}

/// How peers are hired.
struct Terms {
    dial: Dial,
    tempo: Tempo,
    /// Beats when anything changes.
    pulse: watch::Sender<()>,
}

impl Crew {
    /// Keeps connections to those whom `list` names; `None`: not known yet.
    pub fn start(list: watch::Receiver<Option<Peers>>, dial: Dial, tempo: Tempo) -> Self {
        let (to, roster) = watch::channel(Roster::default());
        let (pulse, beats) = watch::channel(());
        let terms = Terms { dial, tempo, pulse };
        // Who is known already is there before the first call.
        if let Some(peers) = &*list.borrow() {
            update(&to, peers, &terms);
        }
        let keeper = Task(tokio::spawn(keep(list, terms, to)).abort_handle());
        Self { roster, pulse: beats, _keeper: keeper }
    }

    /// Of peers that stay the same.
    pub fn fixed(peers: &Peers, dial: Dial, tempo: Tempo) -> Self {
        let to = watch::Sender::new(Roster::default());
        let (pulse, beats) = watch::channel(());
        update(&to, peers, &Terms { dial, tempo, pulse });
        let roster = to.subscribe();
        // The sender lives as long as the crew.
        let keeper = Task(tokio::spawn(async move { to.closed().await }).abort_handle());
        Self { roster, pulse: beats, _keeper: keeper }
    }

    /// Changes when anything does: who is there, or how one of them is.
    pub fn pulse(&self) -> watch::Receiver<()> {
        self.pulse.clone()
    }

    /// Who is there, now and later.
    pub fn roster(&self) -> watch::Receiver<Roster> {
        self.roster.clone()
    }
}

async fn keep(mut list: watch::Receiver<Option<Peers>>, terms: Terms, roster: watch::Sender<Roster>) {
    loop {
        let peers = list.borrow_and_update().clone();
        if let Some(peers) = peers {
            update(&roster, &peers, &terms);
        }
        if list.changed().await.is_err() {
            // Whoever knew the peers has gone; these stay.
            roster.closed().await;
            return;
        }
    }
}

fn update(roster: &watch::Sender<Roster>, peers: &Peers, terms: &Terms) {
    roster.send_if_modified(|roster| {
        let before = roster.peers.len();
        roster.peers.retain(|name, peer| peers.get(name) == Some(&peer.address));
        let mut changed = roster.peers.len() != before || !roster.known;
        for (name, address) in peers {
            if !roster.peers.contains_key(name) {
                roster.peers.insert(Arc::clone(name), Arc::new(hire(name, address, terms)));
                changed = true;
            }
        }
        roster.known = true;
        changed
    });
    terms.pulse.send_replace(());
}

fn hire(name: &Arc<str>, address: &PeerAddress, terms: &Terms) -> Peer {
    let (to, state) = watch::channel(PeerState::Connecting);
    let suspect = Arc::new(Notify::new());
    let own_name = Arc::default();
    let watch = Watch {
        address: address.clone(),
        dial: terms.dial.clone(),
        tempo: terms.tempo,
        suspect: Arc::clone(&suspect),
        state: to,
        pulse: terms.pulse.clone(),
        own_name: (**name == *address.address).then(|| Arc::clone(&own_name)),
    };
    let target = Target::parse(&address.address).ok();
    Peer {
        name: Arc::clone(name),
        address: address.clone(),
        tls: terms.dial.tls.is_some() && target.is_some_and(|t| t.tls || terms.dial.tls_always),
        state,
        own_name,
        suspect,
        _monitor: Task(tokio::spawn(watch.over()).abort_handle()),
    }
}
