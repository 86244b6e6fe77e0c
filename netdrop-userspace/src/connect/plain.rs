//! A stream without TLS, which notices a server that speaks TLS: else the first request would only fail, each time in other words.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A server of HTTP/2 speaks as soon as it is spoken to, and one of TLS complains as soon. Who is silent for longer is asked all the same.
const FIRST_WORD: Duration = Duration::from_millis(300);
/// The kinds of records of TLS (RFC 8446, 5.1). The first byte of HTTP/2 is that of a length, and 0.
const TLS_RECORDS: std::ops::RangeInclusive<u8> = 20..=23;

/// Whether the first byte was TLS.
pub(super) type FirstWord = oneshot::Receiver<bool>;

pub(super) struct Plain<S> {
    stream: S,
    heard: Option<oneshot::Sender<bool>>,
}

impl<S> Plain<S> {
    /// `heard` is told once.
    pub(super) fn new(stream: S, heard: Option<oneshot::Sender<bool>>) -> Self {
        Self { stream, heard }
    }
}

/// An error where the server speaks TLS; `name` is how it was asked for.
pub(super) async fn is_plain(first: FirstWord, name: &str) -> anyhow::Result<()> {
    match tokio::time::timeout(FIRST_WORD, first).await {
        Ok(Ok(true)) => anyhow::bail!("{name} speaks TLS: ask it with --tls, or as tls://HOST:PORT"),
        _ => Ok(()),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(first) = buf.filled().get(before)
            && let Some(heard) = self.heard.take()
        {
            // Nobody asks any more.
            let _ = heard.send(TLS_RECORDS.contains(first));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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

    use super::*;

    /// What is said of a server whose first bytes are these.
    async fn said(bytes: &[u8]) -> anyhow::Result<()> {
        let (near, mut far) = duplex(64);
        let (heard, first) = oneshot::channel();
        let mut plain = Plain::new(near, Some(heard));
        far.write_all(bytes).await.unwrap();
        let mut read = vec![0; bytes.len()];
        plain.read_exact(&mut read).await.unwrap();
        assert_eq!(read, bytes);
        is_plain(first, "relay:443").await
    }

    #[tokio::test]
    async fn an_alert_of_tls_is_told_from_settings_of_http() {
        let e = said(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap_err().to_string();
        assert_eq!(e, "relay:443 speaks TLS: ask it with --tls, or as tls://HOST:PORT");
        said(&[0, 0, 18, 4, 0]).await.unwrap();
        said(b"HTTP/1.1 400").await.unwrap();
        let (_heard, silent) = oneshot::channel();
        is_plain(silent, "relay:443").await.unwrap();
        let (gone, first) = oneshot::channel();
        drop(gone);
        is_plain(first, "relay:443").await.unwrap();
    }
}
