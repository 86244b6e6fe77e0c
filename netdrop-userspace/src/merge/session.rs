//! One call to all servers of a crew.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status};

use super::PeerId;
use super::asked::Asked;
use super::course::{Course, CourseLimits, Item, Plan, Step};
use super::crew::{Peer, PeerState, Roster, Task};
use super::mask::without_time;
use super::merger::MergerLimits;
use super::status::{News, lost};
use super::stream::{Event, Place, SharedPlace, Stream, TAKE};
use super::tally::{Call, Tally};
use super::wire::{Wire, WireKind};
use crate::flow::NodeState;

/// What streams have told and the call has not heard yet.
const INBOX: usize = 64;
/// How many of these are heard at once.
const HEAR: usize = 32;

/// How a call goes.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Who tells the news of nodes.
    pub reporter: Arc<str>,
    /// No line is held for longer; and so late a line may be and still find its place.
    pub hold: Duration,
    /// A server that is not followed is given up when it says nothing for so long.
    pub patience: Duration,
    /// A server that is followed has told its past when it says nothing for so long.
    pub quiet: Duration,
    /// Responses held of all servers.
    pub most: usize,
    /// What goes through is counted here.
    pub tally: Arc<Tally>,
}

impl SessionConfig {
    /// Ordering within a second, told in the name of `reporter`.
    pub fn new(reporter: Arc<str>) -> Self {
        // With what comes on top (the network, a timer) a line is told within a second.
        let hold = Duration::from_millis(900);
        let (quiet, patience) = (Duration::from_millis(250), Duration::from_secs(5));
        Self { reporter, hold, patience, quiet, most: 131_072, tally: Arc::default() }
    }

    fn limits(&self, room: usize) -> CourseLimits {
        let (slack, full) = (Duration::from_millis(50), room.saturating_sub(TAKE));
        CourseLimits {
            merger: MergerLimits { hold: self.hold, slack, most: self.most, full },
            quiet: self.quiet.min(self.hold / 3),
            patience: self.patience,
            most_last: self.most * 4,
        }
    }
}

/// Responses of one server that may be under way. A history is merged by waiting for the slowest, so all must fit together; what is
/// followed is not waited for, so it needs room for what comes meanwhile.
fn room(follow: bool, most: usize, servers: usize) -> usize {
    let one = (most / 8).max(2 * TAKE);
    if follow { one } else { (most / servers.max(1)).clamp(2 * TAKE, one) }
}

/// Responses in order, as many as there are at once.
pub type Told = Result<Vec<Wire>, Status>;

/// A call under way.
pub struct Session {
    config: SessionConfig,
    asked: Asked,
    /// The client has not asked for the time of flows.
    strip_time: bool,
    course: Course<Wire>,
    news: News,
    parts: HashMap<PeerId, Part>,
    /// Peers by name, so that one that comes back goes on, also at another address.
    known: HashMap<Arc<str>, Known>,
    next: PeerId,
    /// Of each server, see [`room`].
    room: usize,
    tell: mpsc::Sender<(PeerId, Event)>,
    events: mpsc::Receiver<(PeerId, Event)>,
    started: Instant,
    /// Time spent on a client that does not read: no server's fault.
    blocked: Duration,
    refused: Option<Status>,
    accepted: bool,
}

/// What outlasts a peer's connections, and the peer: a node's agent may be replaced by another one.
struct Known {
    place: SharedPlace,
    /// Out of reach since; that it is was told.
    cut: Option<Instant>,
    /// It was told that flows come of it.
    told_connected: bool,
}

/// A server's part in it.
struct Part {
    peer: Arc<Peer>,
    room: Arc<Semaphore>,
    /// Responses that take up room.
    owed: usize,
    /// The course knows of it.
    joined: bool,
    _stream: Task,
}

impl Known {
    /// It is out of reach; false: that was told already, and it has not been back since.
    fn is_news_cut(&mut self) -> bool {
        self.cut.replace(self.cut.unwrap_or_else(Instant::now)).is_none()
    }
}

impl Session {
    /// Asks all that are in the roster, and tells what they answer until the end, or until nobody listens.
    pub async fn run(
        roster: watch::Receiver<Roster>,
        asked: Asked,
        config: SessionConfig,
        to: mpsc::Sender<Told>,
    ) {
        let widened = asked.with_time();
        let strip_time = widened.is_some();
        let asked = widened.unwrap_or(asked);
        let wall = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        let (tell, events) = mpsc::channel(INBOX);
        let room = room(asked.request.follow, config.most, roster.borrow().peers.len());
        let _call = Call::begin(&config.tally);
        let session = Self {
            course: Course::new(Plan::of(&asked.request), config.limits(room), Duration::ZERO, wall),
            news: News::new(Arc::clone(&config.reporter)),
            config,
            asked,
            strip_time,
            parts: HashMap::new(),
            known: HashMap::new(),
            next: 0,
            room,
            tell,
            events,
            started: Instant::now(),
            blocked: Duration::ZERO,
            refused: None,
            accepted: false,
        };
        tokio::select! {
            () = to.closed() => {}
            () = session.go_on(roster, &to) => {}
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.blocked)
    }

    fn follow(&self) -> bool {
        self.asked.request.follow
    }

    async fn go_on(mut self, mut roster: watch::Receiver<Roster>, to: &mpsc::Sender<Told>) {
        let began = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        let first = roster.borrow_and_update().clone();
        for peer in first.peers.values() {
            self.ask(peer, Place::new(self.asked.clone()));
        }
        let mut out: Vec<Wire> = self.news.take().collect();
        let mut events = Vec::with_capacity(HEAR);
        loop {
            for (peer, event) in events.drain(..) {
                self.hear(peer, event);
            }
            let now = self.now();
            if self.news.due().is_some_and(|due| due <= now) {
                out.extend(self.news.take());
            }
            let Step { done, wake, .. } = self.step(now, &mut out);
            if done {
                out.extend(self.news.take());
            }
            if !out.is_empty() && !self.send(std::mem::take(&mut out), to).await {
                return;
            }
            if let Some(status) = self.refused.take_if(|_| !self.accepted && self.parts.is_empty()) {
                drop(to.send(Err(status)).await);
                return;
            }
            if done {
                return;
            }
            let wake = wake.into_iter().chain(self.news.due()).min().unwrap_or(Duration::from_hours(1));
            let until = self.started + self.blocked + wake;
            tokio::select! {
                _ = self.events.recv_many(&mut events, HEAR) => {}
                changed = roster.changed(), if self.follow() => match changed {
                    Ok(()) => {
                        let new = roster.borrow_and_update().clone();
                        self.meet(&new, began);
                    }
                    // The relay itself ends.
                    Err(_) => return,
                },
                () = sleep_until(until) => {}
            }
        }
    }

    /// Hands over; false: nobody listens.
    async fn send(&mut self, out: Vec<Wire>, to: &mpsc::Sender<Told>) -> bool {
        let before = Instant::now();
        let out = if self.strip_time { out.into_iter().map(without_time).collect() } else { out };
        self.config.tally.tell(&out);
        let sent = to.send(Ok(out)).await.is_ok();
        self.blocked += before.elapsed();
        sent
    }

    /// Moves out what is due.
    fn step(&mut self, now: Duration, out: &mut Vec<Wire>) -> Step {
        let step = self.course.step(now, |_, wire| out.push(wire));
        let tally = &self.config.tally;
        tally.late.fetch_add(self.course.take_late(), Relaxed);
        tally.given_up.fetch_add(step.given_up.len() as u64, Relaxed);
        for peer in &step.given_up {
            if let Some(part) = self.parts.remove(peer) {
                let message = "no answer in time: its flows are missing".to_owned();
                self.news.add(now, &part.peer.shown(), NodeState::Error, message);
            }
        }
        for (peer, count) in self.course.take_crowded_out() {
            tally.lost_here.fetch_add(count, Relaxed);
            if let Some(part) = self.parts.get(&peer) {
                out.push(lost(&part.peer.shown(), count));
            }
        }
        for (id, part) in self.parts.iter_mut().filter(|(_, part)| part.owed > 0) {
            let held = self.course.held(*id);
            part.room.add_permits(part.owed.saturating_sub(held));
            part.owed = held;
        }
        step
    }

    /// Peers have come or gone.
    fn meet(&mut self, roster: &Roster, began: i64) {
        let now = self.now();
        let same =
            |part: &Part| roster.peers.get(&part.peer.name).is_some_and(|p| Arc::ptr_eq(p, &part.peer));
        let gone: Vec<_> = self.parts.iter().filter(|(_, part)| !same(part)).map(|(id, _)| *id).collect();
        for id in gone {
            self.course.leave(id);
            if let Some(part) = self.parts.remove(&id)
                && !roster.peers.contains_key(&part.peer.name)
            {
                self.news.add(now, &part.peer.shown(), NodeState::Gone, String::new());
                if let Some(known) = self.known.get_mut(&part.peer.name) {
                    known.told_connected &= known.cut.is_some();
                }
            }
        }
        for peer in roster.peers.values() {
            if !self.parts.values().any(|part| Arc::ptr_eq(&part.peer, peer)) {
                self.ask(peer, Place::since(self.asked.clone(), began));
            }
        }
    }

    fn ask(&mut self, peer: &Arc<Peer>, place: Place) {
        let now = self.now();
        let state = peer.state.borrow().clone();
        let known = self.known.entry(Arc::clone(&peer.name)).or_insert_with(|| {
            let place = Arc::new(Mutex::new(place));
            Known { place, cut: None, told_connected: false }
        });
        let reachable = match state {
            PeerState::Up(_) | PeerState::Connecting => true,
            PeerState::Stalled(why) | PeerState::Down(why) => {
                if known.is_news_cut() {
                    self.news.add(now, &peer.shown(), NodeState::Unavailable, why.to_string());
                }
                false
            }
        };
        let place = Arc::clone(&known.place);
        if !reachable && !self.follow() {
            return;
        }
        let id = self.next;
        self.next += 1;
        let room = Arc::new(Semaphore::new(self.room));
        let stream = Stream {
            id,
            peer: Arc::clone(peer),
            place,
            follow: self.asked.request.follow,
            to: self.tell.clone(),
            room: Arc::clone(&room),
        };
        let stream = Task(tokio::spawn(stream.run()).abort_handle());
        let part = Part { peer: Arc::clone(peer), room, owed: 0, joined: reachable, _stream: stream };
        self.parts.insert(id, part);
        if reachable {
            self.course.join(now, id);
        }
    }

    fn hear(&mut self, id: PeerId, event: Event) {
        let now = self.now();
        let Some(part) = self.parts.get_mut(&id) else {
            return;
        };
        let Some(known) = self.known.get_mut(&part.peer.name) else {
            return;
        };
        let name = part.peer.shown();
        let mut say = |state, message| self.news.add(now, &name, state, message);
        match event {
            Event::Opened => {
                match known.cut.take().filter(|_| known.told_connected) {
                    Some(cut) => {
                        let back = format!("back after {:.1} s", cut.elapsed().as_secs_f64());
                        say(NodeState::Connected, back);
                    }
                    None if !known.told_connected => say(NodeState::Connected, String::new()),
                    None => {}
                }
                known.told_connected = true;
                if !std::mem::replace(&mut part.joined, true) {
                    self.course.join(now, id);
                }
                self.course.opened(now, id);
            }
            Event::Items(wires) => {
                part.owed += wires.len();
                self.accepted = true;
                self.course.items(now, id, wires.into_iter().map(item).collect());
            }
            Event::Stalled(why) => {
                say(NodeState::Error, format!("{why}: not waited for"));
                self.course.stalled(id, true);
            }
            Event::Answers => {
                say(NodeState::Connected, "answers again".to_owned());
                self.course.stalled(id, false);
            }
            Event::Cut(why) => {
                if known.is_news_cut() {
                    say(NodeState::Unavailable, why);
                }
                part.joined = false;
                self.course.leave(id);
            }
            Event::Failed(why) => {
                say(NodeState::Unavailable, why);
                self.drop_part(id);
            }
            Event::Refused(status) => {
                say(NodeState::Error, crate::connect::words(&status).to_string());
                let invalid = matches!(status.code(), Code::InvalidArgument | Code::Unknown);
                self.refused = Some(status).filter(|_| invalid).or(self.refused.take());
                self.drop_part(id);
            }
            Event::Ended => {
                self.accepted = true;
                self.drop_part(id);
            }
        }
    }

    fn drop_part(&mut self, id: PeerId) {
        self.course.leave(id);
        self.parts.remove(&id);
    }
}

fn item(wire: Wire) -> Item<Wire> {
    Item { time: wire.time, flow: wire.kind == WireKind::Flow, body: wire }
}
