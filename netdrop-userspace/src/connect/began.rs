//! How the other end of a connection begins: one side may speak TLS where the other does not, and then says something else, or
//! nothing, and hangs up. Each library has other words for that, and none says what to do.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A server of HTTP/2 speaks as soon as it is spoken to, and one of TLS complains, or hangs up, as soon. Who is silent for longer is
/// asked all the same.
const FIRST_WORD: Duration = Duration::from_millis(300);
/// The kinds of records of TLS (RFC 8446, 5.1). The first byte of HTTP/2 is that of a length, and 0.
const TLS_RECORDS: std::ops::RangeInclusive<u8> = 20..=23;

/// The first that comes of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Began {
    /// A record of TLS.
    Tls,
    /// Other bytes.
    Otherwise,
    /// It hung up.
    Silence,
}

/// Told once, if there is time to.
pub(super) type FirstWord = oneshot::Receiver<Began>;

/// What to do, in the words of who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct WayOut {
    /// Of a server that speaks TLS.
    pub(super) to_tls: &'static str,
    /// Of one that does not.
    pub(super) to_clear: &'static str,
    /// Of one that wants a certificate.
    pub(super) identity: &'static str,
    /// Flag of whom to trust.
    pub(super) trust: &'static str,
    /// Behind that: to trust anybody, where one can.
    pub(super) insecure: &'static str,
    /// Of one whose certificate is for another name; what rustls says of it comes before.
    pub(super) name: &'static str,
}

/// A client's flags of its certificate.
const IDENTITY: &str = "--tls-client-cert-file and --tls-client-key-file";

/// By a client's flags.
pub(super) const CLIENT: WayOut = WayOut {
    to_tls: "ask it with --tls, or as tls://HOST:PORT",
    to_clear: "ask it without --tls, as HOST:PORT",
    identity: IDENTITY,
    trust: "--tls-ca-cert-files",
    insecure: ", or trust any server with --tls-allow-insecure",
    name: "; expect another with --tls-server-name",
};
/// The same where the address is that of a cluster.
pub(super) const TUNNEL: WayOut =
    WayOut { to_tls: "ask it with --tls", to_clear: "ask it without --tls", ..CLIENT };
/// By those of a relay.
pub(super) const RELAY: WayOut = WayOut {
    to_tls: "name whom to trust with --tls-hubble-server-ca-files",
    to_clear: "ask it in the clear with --disable-client-tls",
    identity: "--tls-hubble-client-cert-file and --tls-hubble-client-key-file",
    trust: "--tls-hubble-server-ca-files",
    insecure: "",
    name: "",
};

/// A stream that tells how its other end begins.
pub(super) struct Listened<S> {
    stream: S,
    heard: Option<oneshot::Sender<Began>>,
}

impl<S> Listened<S> {
    /// `heard` is told once.
    pub(super) fn new(stream: S, heard: Option<oneshot::Sender<Began>>) -> Self {
        Self { stream, heard }
    }

    fn tell(&mut self, began: Began) {
        if let Some(heard) = self.heard.take() {
            // Nobody asks any more.
            let _ = heard.send(began);
        }
    }
}

/// An error where a server that was asked in the clear speaks TLS; `name` is how it was asked for.
pub(super) async fn is_plain(first: FirstWord, name: &str, way: WayOut) -> anyhow::Result<()> {
    match tokio::time::timeout(FIRST_WORD, first).await {
        Ok(Ok(Began::Tls)) => anyhow::bail!("{name} speaks TLS: {}", way.to_tls),
        Ok(Ok(Began::Silence)) => {
            anyhow::bail!("{name} hung up without a word; if it speaks TLS, {}", way.to_tls)
        }
        _ => Ok(()),
    }
}

/// Why there is no TLS with a server, and what to do where that is because it speaks none.
pub(super) fn not_shaken(error: io::Error, mut first: FirstWord, way: WayOut) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let hung_up = matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    let text = match first.try_recv() {
        Ok(Began::Otherwise) => format!("it does not speak TLS: {}", way.to_clear),
        Ok(Began::Tls) => return distrusted(error, way),
        _ if hung_up => format!("{error}; if it does not speak TLS, {}", way.to_clear),
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

fn distrusted(error: io::Error, way: WayOut) -> io::Error {
    match super::distrust::way_out(&error, way) {
        Some(text) => io::Error::new(error.kind(), text),
        None => error,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        match buf.filled().get(before) {
            Some(first) if TLS_RECORDS.contains(first) => self.tell(Began::Tls),
            Some(_) => self.tell(Began::Otherwise),
            None if read.is_ready() && buf.remaining() > 0 => self.tell(Began::Silence),
            None => {}
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
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

    /// What is heard of a server whose first bytes are these, and which then hangs up.
    async fn heard(bytes: &[u8]) -> FirstWord {
        let (near, mut far) = duplex(64);
        let (heard, first) = oneshot::channel();
        let mut stream = Listened::new(near, Some(heard));
        far.write_all(bytes).await.unwrap();
        drop(far);
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, bytes);
        first
    }

    async fn said(bytes: &[u8]) -> anyhow::Result<()> {
        is_plain(heard(bytes).await, "relay:443", CLIENT).await
    }

    #[tokio::test]
    async fn an_alert_of_tls_is_told_from_settings_of_http() {
        let e = said(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap_err().to_string();
        assert_eq!(e, "relay:443 speaks TLS: ask it with --tls, or as tls://HOST:PORT");
        said(&[0, 0, 18, 4, 0]).await.unwrap();
        said(b"HTTP/1.1 400").await.unwrap();
        let e = said(&[]).await.unwrap_err().to_string();
        let hung_up =
            "relay:443 hung up without a word; if it speaks TLS, ask it with --tls, or as tls://HOST:PORT";
        assert_eq!(e, hung_up);
        let (_heard, silent) = oneshot::channel();
        is_plain(silent, "relay:443", CLIENT).await.unwrap();
        let (gone, first) = oneshot::channel();
        drop(gone);
        is_plain(first, "relay:443", CLIENT).await.unwrap();
    }

    #[tokio::test]
    async fn why_there_is_no_tls_is_told_with_a_way_out() {
        let text = async |kind: io::ErrorKind, bytes: &[u8]| {
            not_shaken(io::Error::new(kind, "it is so"), heard(bytes).await, RELAY).to_string()
        };
        let (reset, data) = (io::ErrorKind::ConnectionReset, io::ErrorKind::InvalidData);
        let plain = "it does not speak TLS: ask it in the clear with --disable-client-tls";
        assert_eq!(text(data, &[0, 0, 18, 4, 0]).await, plain);
        assert_eq!(text(reset, b"HTTP/1.1 400").await, plain);
        let hung_up = "it is so; if it does not speak TLS, ask it in the clear with --disable-client-tls";
        assert_eq!(text(reset, &[]).await, hung_up);
        // A certificate that is wrong, a client that is not welcome: what TLS says of them is enough.
        assert_eq!(text(data, &[22, 3, 3]).await, "it is so");
        assert_eq!(text(reset, &[22, 3, 3]).await, "it is so");
        assert_eq!(text(io::ErrorKind::Other, &[]).await, "it is so");
    }
}
