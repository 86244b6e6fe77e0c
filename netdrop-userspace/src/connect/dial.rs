//! Connections, from the socket up.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint, Uri};

use super::began::{FirstWord, Listened, TUNNEL, WayOut, is_plain, not_shaken};
use super::tls::ClientTls;
use super::tunnel::listen::{Listening, Taken};
use super::tunnel::{Opened, Tell, Tunnel, TunnelStream};
use super::welcome::{Watched, is_welcome};

/// What one stream may have under way. A stream that nobody reads must not hold up others of its connection, so the connection's
/// own window is as large as can be.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = i32::MAX as u32;
/// Asks a silent host whether it lives, and gives it up after three tries: no reset comes from a machine that has gone.
const ALIVE: Duration = Duration::from_secs(10);

fn endpoint(origin: &str) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{origin}"))?
        .user_agent(concat!("netdrop/", env!("CARGO_PKG_VERSION")))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// Over a unix socket.
pub(super) async fn unix(path: &Path, timeout: Duration) -> anyhow::Result<Channel> {
    let path = path.to_owned();
    let shown = path.display().to_string();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { within(timeout, UnixStream::connect(path)).await.map(TokioIo::new) }
    });
    endpoint("localhost")?
        .connect_with_connector(connector)
        .await
        .map_err(|e| anyhow!("cannot connect to the agent at unix://{shown}: {}", root(&e)))
}

/// Over TCP; with TLS, the server's certificate must be for the name.
pub(super) async fn tcp(
    target: &str,
    tls: Option<(&ClientTls, &str)>,
    timeout: Duration,
    way: WayOut,
) -> anyhow::Result<Channel> {
    let to = target.to_owned();
    let failed = |e: &tonic::transport::Error| anyhow!("cannot connect to {target}: {}", root(e));
    let endpoint = endpoint(target).with_context(|| format!("{target:?} is no host:port"))?;
    let Some((tls, name)) = tls else {
        let (tell, first) = oneshot::channel();
        let mut tell = Some(tell);
        let connector = tower::service_fn(move |_: Uri| {
            let (to, tell) = (to.clone(), tell.take());
            async move { within(timeout, socket(to)).await.map(|s| TokioIo::new(Listened::new(s, tell))) }
        });
        let channel = endpoint.connect_with_connector(connector).await.map_err(|e| failed(&e))?;
        return is_plain(first, target, way).await.map(|()| channel);
    };
    let (connector, name) = tls.connector(name)?;
    let (tell, welcome) = oneshot::channel();
    let mut tell = Some(tell);
    let connector = tower::service_fn(move |_: Uri| {
        let (to, connector, name, tell) = (to.clone(), connector.clone(), name.clone(), tell.take());
        let shaken = async move { shake(&connector, name, socket(to).await?, way).await };
        async move { within(timeout, shaken).await.map(|s| TokioIo::new(Watched::new(s, tell))) }
    });
    let channel = endpoint.connect_with_connector(connector).await.map_err(|e| failed(&e))?;
    is_welcome(welcome, timeout, tls.has_identity(), way).await.map(|()| channel)
}

/// What a connection through a tunnel is made of, now and after a loss.
struct Line {
    tunnel: Arc<Tunnel>,
    timeout: Duration,
    /// What is open already.
    first: Mutex<Option<TunnelStream>>,
    _port: Option<Listening>,
}

impl Line {
    /// A later one begins with the look for a pod again.
    async fn stream(&self) -> io::Result<TunnelStream> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        match first {
            Some(stream) => Ok(stream),
            None => self.tunnel.open(self.timeout).await.map(|o| o.stream).map_err(io::Error::other),
        }
    }
}

/// Through a cluster's API server. With TLS, the certificate must be for the service's name, unless another was told.
pub(super) async fn tunnel(
    tunnel: &Arc<Tunnel>,
    tls: Option<&ClientTls>,
    timeout: Duration,
    tell: Tell,
) -> anyhow::Result<Channel> {
    let port = Taken::take(tunnel.port).await?;
    // What is wrong is told as it is.
    let Opened { stream, heard, name } = tunnel.open(timeout).await?;
    let endpoint = endpoint("localhost")?;
    let (connector, way) = (tls.map(|tls| tls.connector(&name)).transpose()?, TUNNEL);
    let port = port.map(|port| {
        let tunnel = Arc::clone(tunnel);
        let open = move || {
            let tunnel = Arc::clone(&tunnel);
            async move { tunnel.open(timeout).await.map(|o| o.stream) }
        };
        port.lead(open, tell)
    });
    let first = Mutex::new(Some(stream));
    let line = Arc::new(Line { tunnel: Arc::clone(tunnel), timeout, first, _port: port });
    let (hear, first_word) = oneshot::channel();
    let mut hear = Some(hear);
    let (tell_welcome, welcome) = oneshot::channel();
    let mut tell_welcome = Some(tell_welcome);
    let channel = if let Some((connector, name)) = connector {
        drop(hear);
        let connector = tower::service_fn(move |_: Uri| {
            let (line, connector, name) = (Arc::clone(&line), connector.clone(), name.clone());
            let tell = tell_welcome.take();
            let shaken = async move { shake(&connector, name, line.stream().await?, way).await };
            async move { within(timeout, shaken).await.map(|s| TokioIo::new(Watched::new(s, tell))) }
        });
        endpoint.connect_with_connector(connector).await
    } else {
        let connector = tower::service_fn(move |_: Uri| {
            let (line, hear) = (Arc::clone(&line), hear.take());
            async move { line.stream().await.map(|s| TokioIo::new(Listened::new(s, hear))) }
        });
        endpoint.connect_with_connector(connector).await
    };
    let channel = channel.map_err(|e| anyhow!("cannot connect to {tunnel}: {}", root(&e)))?;
    if let Some(tls) = tls {
        is_welcome(welcome, timeout, tls.has_identity(), way).await?;
    }
    // A tunnel opens whether or not anybody listens at its end. A server of HTTP/2 speaks as soon as it is spoken to.
    match tokio::time::timeout(timeout, heard).await {
        Ok(Ok(Err(end))) if tls.is_none() && end.is_silent() => {
            Err(anyhow!("{end}; if the relay speaks TLS, ask it with --tls"))
        }
        Ok(Ok(Err(end))) => Err(end.into()),
        // Over TLS nobody would tell it, so nobody is waited for.
        Ok(_) => is_plain(first_word, &tunnel.to_string(), way).await.map(|()| channel),
        Err(_) => Err(anyhow!("{tunnel} did not answer within {} s", timeout.as_secs_f64())),
    }
}

/// TLS, or why there is none.
async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    connector: &TlsConnector,
    name: ServerName<'static>,
    stream: S,
    way: WayOut,
) -> io::Result<TlsStream<Listened<S>>> {
    let (hear, first): (_, FirstWord) = oneshot::channel();
    let shaken = connector.connect(name, Listened::new(stream, Some(hear))).await;
    shaken.map_err(|e| not_shaken(e, first, way))
}

async fn socket(to: String) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let socket = rustix::fd::AsFd::as_fd(&stream);
    rustix::net::sockopt::set_socket_keepalive(socket, true)?;
    rustix::net::sockopt::set_tcp_keepidle(socket, ALIVE)?;
    rustix::net::sockopt::set_tcp_keepintvl(socket, ALIVE / 3)?;
    rustix::net::sockopt::set_tcp_keepcnt(socket, 3)?;
    Ok(stream)
}

async fn within<T>(timeout: Duration, connect: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(timeout, connect).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", timeout.as_secs_f64()))
    })?
}

/// The last cause: what stands above it only says that something failed.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
