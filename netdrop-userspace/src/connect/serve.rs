//! Connections of clients, as a server takes them: in the clear or over TLS.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// Whoever has not shown who he is by then is no client.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes and connections that wait to be served.
const BACKLOG: usize = 128;

/// `:4245`, as Hubble writes it, is that port at all addresses of this machine.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let parsed = match text.strip_prefix(':') {
        Some(port) => port.parse().map(|port| (Ipv6Addr::UNSPECIFIED, port).into()).ok(),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| format!("{text:?} is neither ADDRESS:PORT nor :PORT"))
}

/// Listens.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

trait Stuff: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stuff for T {}

/// A client's connection.
pub struct Incoming(Pin<Box<dyn Stuff>>);

impl Connected for Incoming {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

/// The clients of a listener. A handshake that takes its time holds up nobody else.
pub fn incoming(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
) -> impl Stream<Item = io::Result<Incoming>> + Send {
    let (to, from) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = to.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = to.clone().reserve_owned().await else {
                        return;
                    };
                    tokio::spawn(admit(stream, tls.clone(), place));
                }
                // Out of files, or the client was gone again: the next one may do better.
                Err(error) => {
                    tracing::debug!(%error, "a client could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    });
    ReceiverStream::new(from)
}

async fn admit(stream: TcpStream, tls: Option<TlsAcceptor>, place: mpsc::OwnedPermit<io::Result<Incoming>>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(tls) = tls else {
        place.send(Ok(Incoming(Box::pin(stream))));
        return;
    };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            place.send(Ok(Incoming(Box::pin(stream))));
        }
        Ok(Err(error)) => tracing::debug!(%error, "a client's TLS handshake failed"),
        Err(_) => tracing::debug!("a client did not finish its TLS handshake"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_all_addresses() {
        assert_eq!(listen_address(":4245").unwrap().to_string(), "[::]:4245");
        assert_eq!(listen_address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        for wrong in ["", "4245", "host:1", ":x"] {
            assert!(listen_address(wrong).is_err(), "{wrong}");
        }
    }
}
