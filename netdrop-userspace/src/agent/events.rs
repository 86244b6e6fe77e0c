//! What happened to the agent itself, for GetAgentEvents: the last events, in memory, for any number of readers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::connection::end;
use crate::convert::{time_from_wire, time_to_wire};
use crate::proto::flow::agent_event::Notification;
use crate::proto::flow::{AgentEvent, AgentEventType, TimeNotification};
use crate::proto::observer::{GetAgentEventsRequest, GetAgentEventsResponse};

/// Events that are kept.
const KEPT: usize = 1024;

/// The last events of this agent.
#[derive(Debug)]
pub struct AgentEvents {
    ring: Mutex<Ring>,
    /// Sequence number after the newest.
    newest: watch::Sender<u64>,
    node: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Ring {
    items: VecDeque<(Timestamp, AgentEvent)>,
    /// Sequence number of the first item.
    oldest: u64,
}

impl AgentEvents {
    /// None yet, of an agent on this node.
    pub fn new(node: Option<Arc<str>>) -> Self {
        Self { ring: Mutex::default(), newest: watch::Sender::new(0), node }
    }

    /// Capture runs and the server answers.
    pub fn started(&self, now: Timestamp) {
        let time = TimeNotification { time: Some(time_to_wire(now)) };
        self.push(now, AgentEventType::AgentStarted, Notification::AgentStart(time));
    }

    /// One more.
    pub fn push(&self, now: Timestamp, kind: AgentEventType, notification: Notification) {
        let next = {
            let mut ring = self.lock();
            if ring.items.len() == KEPT {
                ring.items.pop_front();
                ring.oldest += 1;
            }
            let event = AgentEvent { r#type: kind.into(), notification: Some(notification) };
            ring.items.push_back((now, event));
            ring.next()
        };
        self.newest.send_replace(next);
    }

    /// A panic elsewhere leaves the ring whole.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of the history a client wants, and where to go on from.
    fn select(&self, window: &Window) -> (Vec<(Timestamp, AgentEvent)>, u64) {
        let ring = self.lock();
        let fits = |(time, _): &&(Timestamp, AgentEvent)| {
            window.since.is_none_or(|since| *time >= since)
                && (window.follow || window.until.is_none_or(|until| *time <= until))
        };
        let all = ring.items.iter().filter(fits);
        let number = usize::try_from(window.number).unwrap_or(usize::MAX);
        let items = match (window.since, window.first, number) {
            (None, false, 0) if window.follow => Vec::new(),
            (_, _, 0) => all.cloned().collect(),
            (Some(_), ..) if window.follow => all.cloned().collect(),
            (Some(_), ..) | (None, true, _) => all.take(number).cloned().collect(),
            (None, false, _) => {
                let skipped = all.clone().count().saturating_sub(number);
                all.skip(skipped).cloned().collect()
            }
        };
        (items, ring.next())
    }

    /// What came since `next`; `Err`: how many of it are gone.
    fn since(&self, next: u64) -> Result<(Vec<(Timestamp, AgentEvent)>, u64), u64> {
        let ring = self.lock();
        let skip = next.checked_sub(ring.oldest).ok_or_else(|| ring.oldest - next)?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok((ring.items.iter().skip(skip).cloned().collect(), ring.next()))
    }

    fn response(&self, (time, event): (Timestamp, AgentEvent)) -> GetAgentEventsResponse {
        GetAgentEventsResponse {
            agent_event: Some(event),
            node_name: self.node.as_deref().unwrap_or_default().to_owned(),
            time: Some(time_to_wire(time)),
        }
    }
}

impl Ring {
    fn next(&self) -> u64 {
        self.oldest + self.items.len() as u64
    }
}

/// A checked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    number: u64,
    first: bool,
    follow: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Window {
    pub(super) fn new(request: &GetAgentEventsRequest) -> Result<Self, Status> {
        let GetAgentEventsRequest { number, first, follow, since, until } = request;
        let time = |name: &str, time: &Option<prost_types::Timestamp>| match time {
            Some(time) => match time_from_wire(time) {
                Some(time) => Ok(Some(time)),
                None => Err(Status::invalid_argument(format!("invalid {name}: not a time"))),
            },
            None => Ok(None),
        };
        if *first && *follow {
            return Err(Status::invalid_argument("first cannot be specified with follow"));
        }
        Ok(Self {
            number: *number,
            first: *first,
            follow: *follow,
            since: time("since", since)?,
            until: time("until", until)?,
        })
    }
}

/// Sends what a client wants, until its end, its client's or the server's.
pub(super) async fn stream(
    events: Arc<AgentEvents>,
    window: Window,
    to: mpsc::Sender<Result<GetAgentEventsResponse, Status>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut news = events.newest.subscribe();
    let (mut items, mut next) = events.select(&window);
    loop {
        for item in items {
            if to.send(Ok(events.response(item))).await.is_err() {
                return;
            }
        }
        if !window.follow {
            return;
        }
        tokio::select! {
            more = news.wait_for(|newest| *newest > next) => if more.is_err() { return },
            // The client has gone.
            () = to.closed() => return,
            () = end(&mut stopped) => return,
        }
        (items, next) = match events.since(next) {
            Ok(more) => more,
            Err(lost) => {
                let why = format!("{lost} events came faster than this client read them; ask again");
                // Nobody is there any more: as good as told.
                drop(to.send(Err(Status::data_loss(why))).await);
                return;
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn events(seconds: std::ops::Range<i64>) -> AgentEvents {
        let events = AgentEvents::new(Some("n".into()));
        seconds.for_each(|second| events.started(at(second)));
        events
    }

    fn seconds(items: &[(Timestamp, AgentEvent)]) -> Vec<i64> {
        items.iter().map(|(time, _)| time.as_second()).collect()
    }

    #[test]
    fn history_is_selected_as_that_of_flows() {
        let events = events(0..10);
        let wire = |second: i64| Some(prost_types::Timestamp { seconds: second, nanos: 0 });
        let base = GetAgentEventsRequest::default;
        let select = |request| seconds(&events.select(&Window::new(&request).unwrap()).0);
        assert_eq!(select(GetAgentEventsRequest { number: 2, ..base() }), [8, 9]);
        assert_eq!(select(GetAgentEventsRequest { number: 2, first: true, ..base() }), [0, 1]);
        assert_eq!(select(GetAgentEventsRequest { since: wire(7), ..base() }), [7, 8, 9]);
        assert_eq!(select(GetAgentEventsRequest { since: wire(7), number: 2, ..base() }), [7, 8]);
        assert_eq!(select(GetAgentEventsRequest { since: wire(7), until: wire(8), ..base() }), [7, 8]);
        assert_eq!(select(GetAgentEventsRequest { number: u64::MAX, ..base() }).len(), 10);
        assert_eq!(select(GetAgentEventsRequest { follow: true, ..base() }), Vec::<i64>::new());
        assert_eq!(select(GetAgentEventsRequest { follow: true, number: 1, ..base() }), [9]);
        assert_eq!(select(base()).len(), 10);
        let both = GetAgentEventsRequest { first: true, follow: true, ..base() };
        assert_eq!(Window::new(&both).unwrap_err().message(), "first cannot be specified with follow");
        let never = GetAgentEventsRequest { since: wire(i64::MAX), ..base() };
        assert!(Window::new(&never).unwrap_err().message().contains("invalid since"));
    }

    #[test]
    fn only_so_many_are_kept_and_who_misses_some_knows() {
        let many = i64::try_from(KEPT).unwrap() + 5;
        let events = events(0..many);
        assert_eq!(events.lock().items.len(), KEPT);
        assert_eq!(events.since(1).unwrap_err(), 4);
        let (items, next) = events.since(u64::try_from(many).unwrap() - 1).unwrap();
        assert_eq!((seconds(&items), next), (vec![many - 1], u64::try_from(many).unwrap()));
    }

    #[tokio::test]
    async fn followers_see_what_comes() {
        let events = Arc::new(events(0..3));
        let (to, mut from) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let follow = GetAgentEventsRequest { follow: true, number: 1, ..GetAgentEventsRequest::default() };
        let window = Window::new(&follow).unwrap();
        let streaming = tokio::spawn(stream(Arc::clone(&events), window, to, stopped));
        let next = from.recv().await.unwrap().unwrap();
        assert_eq!((next.time.unwrap().seconds, next.node_name.as_str()), (2, "n"));
        events.started(at(3));
        let next = from.recv().await.unwrap().unwrap();
        assert_eq!(next.agent_event.unwrap().r#type(), AgentEventType::AgentStarted);
        stop.send_replace(true);
        streaming.await.unwrap();
    }
}
