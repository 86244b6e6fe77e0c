//! Whether a server over TLS lets one in. A client of TLS 1.3 is through with its handshake before the server has looked at its
//! certificate: what the server thinks of it comes as the first thing that is read, and HTTP/2 has no words for that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio_rustls::rustls::{AlertDescription, Error};

use super::began::WayOut;

/// How the server begins, once there is TLS: with a word of its own, or so.
pub(super) type Welcome = oneshot::Receiver<io::Result<()>>;

/// A stream that tells the first that is read of it.
pub(super) struct Watched<S> {
    stream: S,
    told: Option<oneshot::Sender<io::Result<()>>>,
}

impl<S> Watched<S> {
    /// `told` is told once.
    pub(super) fn new(stream: S, told: Option<oneshot::Sender<io::Result<()>>>) -> Self {
        Self { stream, told }
    }

    fn tell(&mut self, first: io::Result<()>) {
        if let Some(told) = self.told.take() {
            // Nobody asks any more.
            let _ = told.send(first);
        }
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// A server that turns one away hangs up, so that writing may fail before its word is read.
    fn last_words(&mut self, cx: &mut Context<'_>) {
        if self.told.is_none() {
            return;
        }
        let mut bytes = [0; 1];
        let mut room = ReadBuf::new(&mut bytes);
        // What is read is lost, but so is the connection.
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_read(cx, &mut room) {
            self.tell(Err(error));
        }
    }
}

/// An error where the server does not let one in; who is silent for that long is asked all the same. `has_identity`: a certificate
/// was shown.
pub(super) async fn is_welcome(
    welcome: Welcome,
    within: Duration,
    has_identity: bool,
    way: WayOut,
) -> anyhow::Result<()> {
    match tokio::time::timeout(within, welcome).await {
        Ok(Ok(Err(error))) => Err(turned_away(&error, has_identity, way)),
        _ => Ok(()),
    }
}

/// In the words of Hubble's client, and the way out.
fn turned_away(error: &io::Error, has_identity: bool, way: WayOut) -> anyhow::Error {
    use AlertDescription as A;
    let alert = error.get_ref().and_then(|e| e.downcast_ref()).and_then(|e| match e {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    });
    let why = match alert {
        Some(alert) => format!("remote error: tls: {}", in_go(alert)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => error.to_string(),
    };
    let about_certificates = match alert {
        None => !has_identity,
        Some(alert) => matches!(
            alert,
            A::CertificateRequired
                | A::UnknownCA
                | A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateExpired
                | A::CertificateUnknown
                | A::DecryptError
                | A::AccessDenied
        ),
    };
    let with = way.identity;
    let way = match (about_certificates, has_identity) {
        (false, _) => String::new(),
        (true, true) => format!(": show a certificate that it trusts with {with}"),
        (true, false) if alert.is_none() => {
            format!(": if it wants a certificate of its clients, show one with {with}")
        }
        (true, false) => format!(": show one with {with}"),
    };
    anyhow::anyhow!(
        "rpc error: code = Unavailable desc = connection error: desc = \"error reading server preface: {why}\"{way}"
    )
}

/// As Go names an alert.
fn in_go(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let name = match alert {
        A::HandshakeFailure => "handshake failure",
        A::BadCertificate => "bad certificate",
        A::UnsupportedCertificate => "unsupported certificate",
        A::CertificateRevoked => "revoked certificate",
        A::CertificateExpired => "expired certificate",
        A::CertificateUnknown => "unknown certificate",
        A::UnknownCA => "unknown certificate authority",
        A::AccessDenied => "access denied",
        A::DecryptError => "error decrypting message",
        A::InternalError => "internal error",
        A::NoApplicationProtocol => "no application protocol",
        A::CertificateRequired => "certificate required",
        other => return format!("alert({})", u8::from(other)),
    };
    name.to_owned()
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        match &read {
            Poll::Ready(Ok(())) if buf.filled().len() > before => self.tell(Ok(())),
            Poll::Ready(Ok(())) if buf.remaining() > 0 => {
                self.tell(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            // Both hear the same; the one that is kept has what stands behind it.
            Poll::Ready(Err(error)) if self.told.is_some() => {
                let alert = error.get_ref().and_then(|e| e.downcast_ref::<Error>()).cloned();
                let kind = error.kind();
                let text = error.to_string();
                self.tell(Err(alert.map_or_else(|| io::Error::new(kind, text), |a| io::Error::new(kind, a))));
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if matches!(written, Poll::Ready(Err(_))) {
            self.last_words(cx);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if matches!(written, Poll::Ready(Err(_))) {
            self.last_words(cx);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Err(_))) {
            self.last_words(cx);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::began::{CLIENT, RELAY};
    use super::*;

    #[test]
    fn who_is_turned_away_is_told_why_and_what_to_do() {
        let said = |alert, has_identity| {
            let error = io::Error::new(io::ErrorKind::InvalidData, Error::AlertReceived(alert));
            let said = turned_away(&error, has_identity, RELAY).to_string();
            said.rsplit_once("preface: ").unwrap().1.to_owned()
        };
        let flags = "--tls-hubble-client-cert-file and --tls-hubble-client-key-file";
        assert_eq!(
            said(AlertDescription::CertificateRequired, false),
            format!("remote error: tls: certificate required\": show one with {flags}")
        );
        assert_eq!(
            said(AlertDescription::UnknownCA, true),
            format!(
                "remote error: tls: unknown certificate authority\": show a certificate that it trusts with {flags}"
            )
        );
        assert_eq!(said(AlertDescription::InternalError, true), "remote error: tls: internal error\"");
        let gone = turned_away(&io::ErrorKind::UnexpectedEof.into(), false, CLIENT).to_string();
        assert!(
            gone.contains("preface: EOF\": if it wants a certificate of its clients, show one"),
            "{gone}"
        );
        let gone = turned_away(&io::ErrorKind::UnexpectedEof.into(), true, CLIENT).to_string();
        assert!(gone.ends_with("preface: EOF\""), "{gone}");
    }
}
