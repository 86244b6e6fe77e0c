//! One server's part of a call: its stream, and where it goes on after it was cut.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryFutureExt as _};
use jiff::Timestamp;
use rustc_hash::FxHasher;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::asked::Asked;
use super::backoff::Backoff;
use super::crew::{Peer, PeerState};
use super::wire::{Wire, WireKind};
use super::{PeerId, uncoded};
use crate::connect::{Connection, MAX_RESPONSE, is_transport, root, words};

/// Most responses handed on at once.
pub(super) const TAKE: usize = 128;
/// Between two attempts at a stream that a living server ends: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// What happens with a stream.
#[derive(Debug)]
pub(super) enum Event {
    /// It was accepted.
    Opened,
    /// Responses.
    Items(Vec<Wire>),
    /// Its server does not answer; the stream stands.
    Stalled(String),
    /// It does again.
    Answers,
    /// It is cut; it will be asked for again.
    Cut(String),
    /// It could not be had, or was cut, and that is its end.
    Failed(String),
    /// The server does not take the request.
    Refused(Status),
    /// The server has told all.
    Ended,
}

/// How far a server has told.
#[derive(Debug)]
pub(super) struct Place {
    asked: Asked,
    /// Its latest time, and what it told of that time.
    latest: Option<i64>,
    at_latest: HashSet<u64, BuildHasherDefault<FxHasher>>,
    /// When it was asked first.
    began: Option<i64>,
}

/// Shared by the streams that a server has one after the other.
pub(super) type SharedPlace = Arc<Mutex<Place>>;

impl Place {
    /// Nothing was told yet.
    pub(super) fn new(asked: Asked) -> Self {
        Self { asked, latest: None, at_latest: HashSet::default(), began: None }
    }

    /// For a server that has come after the call began: what has happened since then.
    pub(super) fn since(asked: Asked, began: i64) -> Self {
        Self { began: Some(began), ..Self::new(asked) }
    }

    /// What to ask now.
    fn ask(&mut self) -> Asked {
        let asked = &self.asked.request;
        let only_new = asked.follow && asked.number == 0 && asked.since.is_none();
        match (self.latest, self.began) {
            (Some(latest), _) => self.asked.since(latest),
            (None, Some(began)) if only_new => self.asked.since(began),
            (None, Some(began)) if asked.since.is_none() && asked.follow => self.asked.since(began),
            _ => {
                let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
                self.began = only_new.then_some(now);
                self.asked.clone()
            }
        }
    }

    /// Whether this was not told before.
    fn is_new(&mut self, wire: &Wire) -> bool {
        let (Some(time), WireKind::Flow) = (wire.time, wire.kind) else {
            return true;
        };
        if self.latest.is_some_and(|latest| time < latest) {
            return true;
        }
        if self.latest != Some(time) {
            self.latest = Some(time);
            self.at_latest.clear();
        }
        self.at_latest.insert(self.at_latest.hasher().hash_one(&wire.bytes))
    }
}

/// One stream.
pub(super) struct Stream {
    pub(super) id: PeerId,
    pub(super) peer: Arc<Peer>,
    pub(super) place: SharedPlace,
    pub(super) follow: bool,
    pub(super) to: mpsc::Sender<(PeerId, Event)>,
    /// Responses that may be under way; then the server must wait.
    pub(super) room: Arc<Semaphore>,
}

/// Servers in Go accept a call by their first response; without one it is deemed accepted after this.
const DEEMED: Duration = Duration::from_millis(200);

/// Why a stream is over.
enum End {
    /// Nobody listens any more, or the peer is gone.
    Over,
    Told,
    Cut(String),
    Refused(Status),
}

impl Stream {
    /// Runs until the end, or until its task is ended.
    pub(super) async fn run(self) {
        let mut state = self.peer.state.clone();
        let mut backoff = Backoff::new(PAUSES);
        loop {
            let connection = match self.connection(&mut state).await {
                Ok(Some(connection)) => connection,
                Ok(None) => return,
                Err(why) => return self.tell(Event::Failed(why)).await,
            };
            let asked = self.place.lock().unwrap_or_else(PoisonError::into_inner).ask();
            let began = Instant::now();
            match self.read(connection, asked, &mut state).await {
                End::Over => return,
                End::Told if !self.follow => return self.tell(Event::Ended).await,
                End::Told => self.tell(Event::Cut("the server has ended the stream".to_owned())).await,
                End::Cut(why) if !self.follow => return self.tell(Event::Failed(why)).await,
                End::Cut(why) => self.tell(Event::Cut(why)).await,
                End::Refused(status) => return self.tell(Event::Refused(status)).await,
            }
            self.peer.suspect();
            sleep(backoff.pause(began.elapsed())).await;
        }
    }

    async fn tell(&self, event: Event) {
        // Without a listener the task is about to be ended.
        drop(self.to.send((self.id, event)).await);
    }

    /// Waits for a connection; `None`: the peer is gone. The error says why there will be none.
    async fn connection(&self, state: &mut watch::Receiver<PeerState>) -> Result<Option<Connection>, String> {
        let mut told = false;
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                PeerState::Up(connection) => return Ok(Some(connection)),
                PeerState::Connecting => {}
                PeerState::Stalled(why) | PeerState::Down(why) if !self.follow => return Err(why.to_string()),
                PeerState::Stalled(why) | PeerState::Down(why) => {
                    if !std::mem::replace(&mut told, true) {
                        self.tell(Event::Cut(why.to_string())).await;
                    }
                }
            }
            if state.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn read(
        &self,
        connection: Connection,
        asked: Asked,
        state: &mut watch::Receiver<PeerState>,
    ) -> End {
        let mut client =
            uncoded::observer_client::ObserverClient::new(connection).max_decoding_message_size(MAX_RESPONSE);
        let accepted = Notify::new();
        let call = async {
            let response = client.get_flows(asked).await;
            if response.is_ok() {
                accepted.notify_one();
            }
            response.map(tonic::Response::into_inner)
        };
        let mut responses = Box::pin(call.try_flatten_stream().ready_chunks(TAKE));
        let mut opened = false;
        let deemed = sleep(DEEMED);
        tokio::pin!(deemed);
        loop {
            tokio::select! {
                biased;
                () = accepted.notified(), if !opened => self.open(&mut opened).await,
                () = &mut deemed, if !opened => self.open(&mut opened).await,
                chunk = responses.next() => {
                    let Some(chunk) = chunk else {
                        return End::Told;
                    };
                    if chunk.iter().any(Result::is_ok) {
                        self.open(&mut opened).await;
                    }
                    if let Some(end) = self.hand_on(chunk, opened).await {
                        return end;
                    }
                }
                changed = state.changed() => {
                    if changed.is_err() {
                        return End::Over;
                    }
                    let now = state.borrow_and_update().clone();
                    match now {
                        PeerState::Up(_) => self.tell(Event::Answers).await,
                        PeerState::Stalled(why) => self.tell(Event::Stalled(why.to_string())).await,
                        PeerState::Down(why) => return End::Cut(why.to_string()),
                        PeerState::Connecting => {}
                    }
                }
            }
        }
    }

    async fn open(&self, opened: &mut bool) {
        if !std::mem::replace(opened, true) {
            self.tell(Event::Opened).await;
        }
    }

    async fn hand_on(&self, chunk: Vec<Result<Wire, Status>>, opened: bool) -> Option<End> {
        let mut wires = Vec::with_capacity(chunk.len());
        let mut end = None;
        {
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            for response in chunk {
                match response {
                    Ok(wire) if place.is_new(&wire) => wires.push(wire),
                    Ok(_) => {}
                    Err(status) => end = Some(ending(status, opened)),
                }
            }
        }
        if !wires.is_empty() {
            let number = u32::try_from(wires.len()).unwrap_or(u32::MAX);
            match self.room.acquire_many(number).await {
                // It comes back when they have gone on.
                Ok(permit) => permit.forget(),
                Err(_) => return Some(End::Over),
            }
            self.tell(Event::Items(wires)).await;
        }
        end
    }
}

fn ending(status: Status, opened: bool) -> End {
    if is_transport(&status) {
        return End::Cut(match std::error::Error::source(&status) {
            Some(why) => format!("the connection is lost: {}", root(why)),
            None => status.message().to_owned(),
        });
    }
    match status.code() {
        // In place of a first response: Hubble's server gives what is wrong with a request no code.
        Code::Unknown if !opened => End::Refused(status),
        Code::InvalidArgument | Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated => {
            End::Refused(status)
        }
        _ => End::Cut(words(&status).to_string()),
    }
}
