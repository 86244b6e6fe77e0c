//! The near end of a tunnel: bytes, and what the far end says when it can't go on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::oneshot;

/// Why a tunnel ended, in the words of its far end.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the tunnel to {to} ended: {why}")]
pub struct TunnelEnd {
    to: String,
    why: String,
}

/// What is said of a far end that says nothing.
const SILENT: &str = "nobody answered";

impl TunnelEnd {
    /// It hung up without a word.
    pub(in crate::connect) fn is_silent(&self) -> bool {
        self.why == SILENT
    }
}

/// One stream through it.
pub(in crate::connect) struct TunnelStream {
    stream: DuplexStream,
    /// Comes true with a text at the first error, or without one when the tunnel ends.
    error: Option<BoxFuture<'static, Option<String>>>,
    /// Told of the first bytes, or of the end if that comes first.
    heard: Option<oneshot::Sender<Result<(), TunnelEnd>>>,
    to: String,
}

impl TunnelStream {
    pub(super) fn new(
        stream: DuplexStream,
        error: impl Future<Output = Option<String>> + Send + 'static,
        to: String,
    ) -> (Self, oneshot::Receiver<Result<(), TunnelEnd>>) {
        let (heard, hear) = oneshot::channel();
        (Self { stream, error: Some(error.boxed()), heard: Some(heard), to }, hear)
    }

    /// What the far end has said by now.
    fn said(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let error = self.error.as_mut()?;
        let Poll::Ready(said) = error.as_mut().poll(cx) else { return None };
        self.error = None;
        let said = said?;
        // The node tells at length where it could not connect.
        let refused = said.contains("connection refused");
        let end = self.end(if refused { "nobody listens there (connection refused)" } else { said.trim() });
        self.tell(Err(end.clone()));
        Some(io::Error::other(end))
    }

    fn end(&self, why: &str) -> TunnelEnd {
        TunnelEnd { to: self.to.clone(), why: why.to_owned() }
    }

    fn tell(&mut self, what: Result<(), TunnelEnd>) {
        if let Some(heard) = self.heard.take() {
            // Nobody asks any more.
            let _ = heard.send(what);
        }
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let came = read.is_ready() && buf.filled().len() > before;
        if came {
            self.tell(Ok(()));
        } else if let Some(end) = self.said(cx) {
            return Poll::Ready(Err(end));
        } else if read.is_ready() {
            let end = self.end(SILENT);
            self.tell(Err(end));
        }
        read
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(cx, buf)) {
            Err(e) => Poll::Ready(Err(self.said(cx).unwrap_or(e))),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_the_far_end_says_is_why_reading_ends() {
        let (near, mut far) = duplex(64);
        let (say, said) = oneshot::channel();
        let (mut stream, heard) = TunnelStream::new(near, said.map(Result::ok), "pod n/p, port 1".to_owned());
        far.write_all(b"ab").await.unwrap();
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.unwrap();
        assert!(heard.await.unwrap().is_ok());
        say.send("failed: connect: it is busy\n".to_owned()).unwrap();
        let e = stream.read(&mut two).await.unwrap_err();
        assert_eq!(e.to_string(), "the tunnel to pod n/p, port 1 ended: failed: connect: it is busy");
        drop(far);
        assert_eq!(stream.read(&mut two).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_end_without_a_word_is_an_end() {
        let (near, far) = duplex(64);
        let (say, said) = oneshot::channel::<String>();
        drop((far, say));
        let (mut stream, heard) = TunnelStream::new(near, said.map(Result::ok), String::new());
        assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 0);
        assert!(heard.await.unwrap().unwrap_err().to_string().ends_with("nobody answered"));
    }
}
