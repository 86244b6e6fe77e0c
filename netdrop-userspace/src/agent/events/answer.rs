//! One client's answer: which events it wants, and sending them.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::{AgentEvents, Chunk, Item, lost};
use crate::agent::connection::end;
use crate::convert::{time_from_wire, time_to_wire};
use crate::proto::flow::AgentEvent;
use crate::proto::observer::{GetAgentEventsRequest, GetAgentEventsResponse};

/// Events that are taken at once: a client that reads slowly holds no more of them.
const AT_ONCE: usize = 32;

/// A checked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) struct Window {
    number: u64,
    first: bool,
    follow: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Window {
    pub(in crate::agent) fn new(request: &GetAgentEventsRequest) -> Result<Self, Status> {
        let GetAgentEventsRequest { number, first, follow, since, until } = request;
        let time = |name: &str, time: &Option<prost_types::Timestamp>| match time {
            Some(time) => match time_from_wire(time) {
                Some(time) => Ok(Some(time)),
                None => Err(Status::unknown(format!("invalid {name}: not a time"))),
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

    /// Whether it is of this time. Who follows has no end.
    fn fits(&self, item: &Item) -> bool {
        self.since.is_none_or(|since| item.time >= since)
            && (self.follow || self.until.is_none_or(|until| item.time <= until))
    }

    /// Sequence number of the first event to look at.
    pub(super) fn start(&self, events: &AgentEvents) -> u64 {
        let ring = events.lock();
        match (self.since, self.first, self.number) {
            // Only what is to come.
            (None, false, 0) if self.follow => ring.next(),
            (None, false, number) if number > 0 => {
                let wanted = usize::try_from(number).unwrap_or(usize::MAX);
                let fitting = ring.items.iter().enumerate().rev().filter(|(_, item)| self.fits(item));
                fitting.take(wanted).last().map_or(ring.next(), |(at, _)| ring.oldest + at as u64)
            }
            _ => ring.oldest,
        }
    }
}

/// Sends what a client wants, until its end, its client's or the server's. Whoever follows is told all that happens once this has
/// returned, whenever the task begins that does it.
pub(in crate::agent) fn stream(
    events: Arc<AgentEvents>,
    node: Option<Arc<str>>,
    window: Window,
    to: mpsc::Sender<Result<GetAgentEventsResponse, Status>>,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let news = events.news();
    let places = (*news.borrow(), window.start(&events));
    tell(events, node, window, to, (news, stopped), places)
}

async fn tell(
    events: Arc<AgentEvents>,
    node: Option<Arc<str>>,
    window: Window,
    to: mpsc::Sender<Result<GetAgentEventsResponse, Status>>,
    (mut news, mut stopped): (watch::Receiver<u64>, watch::Receiver<bool>),
    (end_of_history, mut next): (u64, u64),
) {
    let response = |time: Timestamp, event: AgentEvent| GetAgentEventsResponse {
        agent_event: Some(event),
        node_name: node.as_deref().unwrap_or_default().to_owned(),
        time: Some(time_to_wire(time)),
    };
    let mut left = if window.follow || window.number == 0 { u64::MAX } else { window.number };
    loop {
        let Chunk { items, lost: gone, next: after } = events.chunk(next, AT_ONCE);
        let mut answers = Vec::with_capacity(items.len() + 1);
        if gone > 0 {
            answers.push(response(Timestamp::now(), lost(gone)));
        }
        let first = after - items.len() as u64;
        let wanted = (first..)
            .zip(&items)
            .filter(|(at, item)| (window.follow || *at < end_of_history) && window.fits(item));
        for (_, item) in wanted {
            if left == 0 {
                break;
            }
            left -= 1;
            answers.push(response(item.time, AgentEvent::clone(&item.event)));
        }
        drop(items);
        for answer in answers {
            tokio::select! {
                sent = to.send(Ok(answer)) => if sent.is_err() { return },
                () = end(&mut stopped) => return farewell(&to, window.follow),
            }
        }
        next = after;
        if left == 0 || !window.follow && next >= end_of_history {
            return;
        }
        tokio::select! {
            more = news.wait_for(|newest| *newest > next) => if more.is_err() { return },
            // The client has gone.
            () = to.closed() => return,
            () = end(&mut stopped) => return farewell(&to, window.follow),
        }
    }
}

/// Who follows has not come to an end of his own. One who does not read is not waited for.
pub(in crate::agent) fn farewell<T>(to: &mpsc::Sender<Result<T, Status>>, follows: bool) {
    if follows {
        drop(to.try_send(Err(Status::unavailable("the agent stops"))));
    }
}
