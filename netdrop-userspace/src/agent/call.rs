//! One call: whether there is room for it, its request, and what it holds until its last byte is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::Status;
use tonic::service::Routes;
use tower::Service as _;

use super::request;

/// Answers the calls of one connection.
#[derive(Clone)]
pub(super) struct Desk {
    /// `None`: this connection is one too many.
    pub(super) routes: Option<Routes>,
    /// Room of the door.
    pub(super) calls: Arc<Semaphore>,
    /// Most that the door has, for the refusal.
    pub(super) most: usize,
    /// Calls of this connection that are under way.
    pub(super) busy: Arc<watch::Sender<usize>>,
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
    async fn answer(self, asked: Request<Incoming>) -> Result<Answer, Status> {
        let Some(mut routes) = self.routes else {
            return Err(Status::resource_exhausted(self.refusal));
        };
        let Ok(place) = self.calls.try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "{} calls are under way already; try again later",
                self.most
            )));
        };
        let held = Held { _place: place, _busy: Busy::new(self.busy) };
        let (parts, body) = asked.into_parts();
        let body = request::admit(parts.uri.path(), body, self.limit).await?;
        let Ok(answer) = routes.call(Request::from_parts(parts, body)).await;
        Ok(answer.map(|body| tonic::body::Body::new(Sent { body, _held: held })))
    }
}

/// What a call takes of its door and its connection.
struct Held {
    _place: OwnedSemaphorePermit,
    _busy: Busy,
}

/// One of the calls under way of a connection.
struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    fn new(busy: Arc<watch::Sender<usize>>) -> Self {
        busy.send_modify(|n| *n += 1);
        Self(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// An answer that holds what its call takes, until it is sent or nobody wants it any more.
struct Sent {
    body: tonic::body::Body,
    _held: Held,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
