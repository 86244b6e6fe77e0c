//! One call: whether there is room for it, its request, and what it holds until its last byte is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{HeaderMap, Request, Response};
use tokio::sync::{oneshot, watch};
use tonic::Status;
use tonic::service::Routes;
use tower::Service as _;

use super::arrivals::Origin;
use super::limits::Complaints;
use super::places::{Guest, Place, Places};
use super::request;

/// What a call is told that has to end for another one.
const ENDED: &str =
    "ended for others: this server is full, and most that it has is asked of it from here; try again later";

/// A connection, as its calls and others see it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) origin: Origin,
    /// Calls under way.
    pub(super) busy: watch::Sender<usize>,
    /// Calls that have to end and have not yet.
    pub(super) ending: watch::Sender<usize>,
    /// It has to end itself, and its calls with it.
    pub(super) ended: watch::Sender<bool>,
}

impl Line {
    pub(super) fn new(origin: Origin) -> Arc<Self> {
        let none = || watch::Sender::new(0);
        Arc::new(Self { origin, busy: none(), ending: none(), ended: watch::Sender::new(false) })
    }
}

impl Guest for Arc<Line> {
    fn is_idle(&self) -> bool {
        *self.busy.borrow() == 0
    }

    fn send_away(self) {
        self.ended.send_replace(true);
    }
}

/// Who has the place of a call.
#[derive(Debug)]
pub(super) struct Caller {
    line: Arc<Line>,
    /// What is dropped is heard.
    _stays: oneshot::Sender<()>,
}

impl Guest for Caller {
    fn send_away(self) {
        self.line.ending.send_modify(|n| *n += 1);
    }
}

/// Answers the calls of one connection.
#[derive(Clone)]
pub(super) struct Desk {
    /// `None`: this connection is one too many.
    pub(super) routes: Option<Routes>,
    /// Room of the door.
    pub(super) calls: Arc<Places<Caller>>,
    /// Of calls that had to end for others.
    pub(super) crowd: Arc<Complaints>,
    /// Of the door.
    pub(super) name: Arc<str>,
    pub(super) line: Arc<Line>,
    /// How long a request may take to come.
    pub(super) limit: Duration,
    /// What to answer where there are no routes.
    pub(super) refusal: &'static str,
}

type Answer = Response<tonic::body::Body>;
type Answering = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Desk {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, asked: Request<Incoming>) -> Answering {
        let desk = self.clone();
        Box::pin(async move { Ok(desk.answer(asked).await.unwrap_or_else(Status::into_http)) })
    }
}

impl Desk {
    async fn answer(mut self, asked: Request<Incoming>) -> Result<Answer, Status> {
        let Some(mut routes) = self.routes.take() else {
            return Err(Status::resource_exhausted(self.refusal));
        };
        let (place, mut told) = self.place()?;
        let held = Held::new(place, self.line);
        let (parts, body) = asked.into_parts();
        let answered = async {
            let body = request::admit(parts.uri.path(), body, self.limit).await?;
            let Ok(answer) = routes.call(Request::from_parts(parts, body)).await;
            Ok::<_, Status>(answer)
        };
        let answer = tokio::select! {
            biased;
            answer = answered => answer?,
            () = &mut told => return Err(Status::resource_exhausted(ENDED)),
        };
        Ok(answer.map(|body| tonic::body::Body::new(Sent { body, told, has_ended: false, _held: held })))
    }

    /// A place for a call, and the word that it has to be left.
    fn place(&self) -> Result<(Place<Caller>, Told), Status> {
        let (stays, told) = oneshot::channel();
        let caller = Caller { line: Arc::clone(&self.line), _stays: stays };
        let Some((place, gone)) = self.calls.admit(self.line.origin, caller) else {
            return Err(Status::resource_exhausted(format!(
                "{} calls are under way already; try again later",
                self.calls.most()
            )));
        };
        if let Some(from) = gone {
            let (at, most, to) = (&self.name, self.calls.most(), self.line.origin);
            self.crowd.make(|more| {
                tracing::warn!(%at, %from, %to, most, more, "ended a call for another one: too many are under way, most of them from there");
            });
        }
        let mut ended = self.line.ended.subscribe();
        let told = async move {
            tokio::select! {
                _ = told => {}
                () = super::connection::end(&mut ended) => {}
            }
        };
        Ok((place, told.boxed()))
    }
}

/// Comes true when a call has to end.
type Told = BoxFuture<'static, ()>;

/// What a call takes of its door and its connection.
struct Held {
    place: Place<Caller>,
    line: Arc<Line>,
}

impl Held {
    fn new(place: Place<Caller>, line: Arc<Line>) -> Self {
        line.busy.send_modify(|n| *n += 1);
        Self { place, line }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.place.leave() {
            self.line.ending.send_modify(|n| *n = n.saturating_sub(1));
        }
        self.line.busy.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// An answer that holds what its call takes, until it is sent or nobody wants it any more.
struct Sent {
    body: tonic::body::Body,
    told: Told,
    /// It was told, and that is all that there is to send.
    has_ended: bool,
    _held: Held,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let ended = !self.has_ended && self.told.poll_unpin(cx).is_ready();
        if !ended {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        self.has_ended = true;
        self.body = tonic::body::Body::empty();
        let mut end = HeaderMap::new();
        Poll::Ready(Some(
            Status::resource_exhausted(ENDED).add_header(&mut end).map(|()| Frame::trailers(end)),
        ))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
