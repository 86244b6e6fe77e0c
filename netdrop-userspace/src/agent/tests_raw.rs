//! Clients of the agent's socket: one of gRPC, and one below it, which sends what a library would not.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};

use super::tests::Agent;

/// Far beyond all that the tests wait for.
pub(super) const SOON: Duration = Duration::from_secs(40);

/// Connects as any library does.
pub(super) async fn channel(agent: &Agent) -> Channel {
    connect(agent, Endpoint::from_static("http://localhost")).await
}

/// The same, as an endpoint is set up.
pub(super) async fn connect(agent: &Agent, endpoint: Endpoint) -> Channel {
    let socket = agent.socket.clone();
    let connect = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connect).await.unwrap()
}

/// A client that sends what it likes: one message may be many, or none, or never end.
pub(super) struct Raw<B>(http2::SendRequest<B>);

impl<B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static> Raw<B> {
    pub(super) async fn connect(socket: &Path) -> Self {
        let io = TokioIo::new(UnixStream::connect(socket).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(super) async fn post(&mut self, path: &str, body: B) -> Response<Incoming> {
        let request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .unwrap();
        timeout(SOON, self.0.send_request(request)).await.expect("an answer").unwrap()
    }

    /// Code and message that the server ends the call with.
    pub(super) async fn ends(&mut self, path: &str, body: B) -> (Code, String) {
        let response = self.post(path, body).await;
        let mut headers = response.headers().clone();
        let collected = timeout(SOON, response.into_body().collect()).await.expect("the call ends");
        headers.extend(collected.unwrap().trailers().cloned().unwrap_or_default());
        let status = tonic::Status::from_header_map(&headers).expect("a grpc-status");
        (status.code(), status.message().to_owned())
    }
}

pub(super) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// The same frame for ever, or silence after the first few.
pub(super) struct Endless {
    frame: Bytes,
    left: Option<usize>,
    paused: bool,
}

impl Endless {
    pub(super) fn of(frame: Bytes) -> Self {
        Self { frame, left: None, paused: false }
    }

    pub(super) fn then_silence(frame: Bytes) -> Self {
        Self { left: Some(1), ..Self::of(frame) }
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // Every other time its connection may do something else, as read what the server answers.
        self.paused = !self.paused;
        if self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match &mut self.left {
            Some(0) => return Poll::Pending,
            Some(n) => *n -= 1,
            None => {}
        }
        Poll::Ready(Some(Ok(Frame::data(self.frame.clone()))))
    }
}
