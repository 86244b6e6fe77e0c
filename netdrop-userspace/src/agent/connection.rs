//! Connections of a door: who gets in, what each may take, and how it ends.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tonic::service::Routes;

use super::arrivals::{Arrival, Arrivals, Origin};
use super::authority::Named;
use super::call::{Caller, Desk, Line};
use super::doors::{Door, Socket};
use super::limits::{
    BREATH, Complaints, FAREWELL, LEAVING, Limits, MAX_BROKEN, MAX_HEADERS, MAX_TAKEN_BACK, PAUSE,
    RECEIVE_WINDOWS, REFUSAL, REFUSED, SEND_BUFFER,
};
use super::places::{Place, Places};
use super::tls::Tls;

/// What every client of HTTP/2 says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Reads that a client gets which was turned away, before it is cut off.
const PATIENCE: u32 = 64;
/// What the clients of one connection too many are told.
const TOO_MANY: &str = "too many connections to this server; close some, or try again later";

/// A stream of bytes of either kind of socket.
trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// Serves a door until `stopped` turns true, and then until its calls have ended, for a moment.
pub(super) async fn serve(door: Door, routes: Routes, limits: Limits, mut stopped: watch::Receiver<bool>) {
    let hall = Arc::new(Hall::new(&door, routes, limits));
    let mut connections = JoinSet::new();
    let mut untold = tokio::time::interval(PAUSE);
    loop {
        tokio::select! {
            biased;
            () = end(&mut stopped) => break,
            _ = untold.tick() => hall.say_untold(),
            Some(_) = connections.join_next() => {}
            arrived = hall.next(&door) => {
                let (hall, stopped) = (Arc::clone(&hall), stopped.clone());
                connections.spawn(async move { hall.receive(arrived, stopped).await });
            }
        }
    }
    // Whoever connects now is refused by the kernel, at once.
    drop(door);
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(FAREWELL, all).await);
}

/// A connection that has yet to show what it is.
struct Arrived {
    bytes: Box<dyn Bytes>,
    who: String,
    origin: Origin,
    arrival: Arrival,
    place: OwnedSemaphorePermit,
}

/// What the connections of a door share.
struct Hall {
    name: Arc<str>,
    tls: Option<Tls>,
    routes: Routes,
    limits: Limits,
    arrivals: Arc<Arrivals>,
    /// Sockets of those that arrive, and of those that were cut and are about to be closed.
    arriving: Arc<Semaphore>,
    connected: Arc<Places<Arc<Line>>>,
    refused: Arc<Semaphore>,
    calls: Arc<Places<Caller>>,
    strangers: Complaints,
    silent: Complaints,
    crowd: Complaints,
    /// Connections that had to end for others, and calls.
    shares: Complaints,
    busy: Arc<Complaints>,
}

impl Hall {
    fn new(door: &Door, routes: Routes, limits: Limits) -> Self {
        let places = |n| Arc::new(Semaphore::new(n));
        Self {
            name: door.name.as_str().into(),
            tls: door.tls.clone(),
            routes,
            limits,
            arrivals: Arrivals::new(limits.arriving),
            arriving: places(limits.arriving.max(1) + LEAVING),
            connected: Places::new(limits.connections),
            refused: places(REFUSED),
            calls: Places::new(limits.calls),
            strangers: Complaints::default(),
            silent: Complaints::default(),
            crowd: Complaints::default(),
            shares: Complaints::default(),
            busy: Arc::default(),
        }
    }

    /// The next one. Whatever can go wrong here may pass, so it is tried again.
    async fn next(&self, door: &Door) -> Arrived {
        loop {
            // Who was cut has its place for a moment more, so this waits no longer than that.
            let place = Arc::clone(&self.arriving).acquire_owned().await;
            let accepted = match &door.socket {
                Socket::Unix(socket) => socket.accept().await.map(|(stream, _)| {
                    let origin = Origin::of_socket(&stream);
                    let bytes: Box<dyn Bytes> = Box::new(stream);
                    (bytes, "a client of this machine".to_owned(), origin)
                }),
                Socket::Tcp(socket) => socket.accept().await.map(|(stream, from)| {
                    without_delay(&stream);
                    let bytes: Box<dyn Bytes> = Box::new(stream);
                    (bytes, from.to_string(), Origin::of_address(from.ip()))
                }),
            };
            match (accepted, place) {
                (Ok((bytes, who, origin)), Ok(place)) => {
                    let arrival = self.admit(origin);
                    return Arrived { bytes, who, origin, arrival, place };
                }
                (Err(error), _) => {
                    self.strangers.make(|more| {
                        tracing::warn!(at = %self.name, %error, more, "cannot accept a connection; trying again");
                    });
                    tokio::time::sleep(BREATH).await;
                }
                // Nobody closes the semaphore.
                (_, Err(_)) => std::future::pending().await,
            }
        }
    }

    /// Lets one in; where too many arrive, one is cut for it.
    fn admit(&self, origin: Origin) -> Arrival {
        let (arrival, cut) = self.arrivals.admit(origin);
        if let Some(from) = cut {
            let most = self.limits.arriving;
            self.silent.make(|more| {
                tracing::warn!(at = %self.name, %from, most, more, "cut off a client that had not yet shown that it may talk to this server, for one that came after it: too many arrive at once, most of them from there");
            });
        }
        arrival
    }

    /// Says how many complaints were kept quiet, once nobody gives cause for another.
    fn say_untold(&self) {
        let at = &self.name;
        self.strangers.rest(|more| tracing::info!(%at, more, "turned more clients away"));
        self.silent.rest(|more| tracing::warn!(%at, more, "cut off more clients that had not shown that they may talk to this server"));
        self.crowd.rest(|more| tracing::warn!(%at, more, "turned more clients away: too many connections"));
        self.shares.rest(|more| tracing::warn!(%at, more, "ended more connections for others"));
        self.busy.rest(|more| tracing::warn!(%at, more, "ended more calls for others"));
    }

    async fn receive(self: Arc<Self>, arrived: Arrived, stopped: watch::Receiver<bool>) {
        let Arrived { bytes, who, origin, mut arrival, place } = arrived;
        let entering = tokio::time::timeout(self.limits.arrival, enter(bytes, self.tls.as_ref(), origin));
        let entered = tokio::select! {
            biased;
            entered = entering => entered,
            () = arrival.is_cut() => return,
        };
        let bytes = match entered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(bytes) => bytes,
            // Whoever only looked whether somebody is there, and said nothing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                tracing::debug!(at = %self.name, from = %who, "a client left before it said anything");
                return;
            }
            Err(error) => {
                self.strangers.make(|more| {
                    tracing::info!(at = %self.name, from = %who, %error, more, "turned a client away: it did not show that it may talk to this server");
                });
                return;
            }
        };
        drop((arrival, place));
        let line = Line::new(origin);
        match self.seat(&line) {
            Some(_place) => self.talk(bytes, line, stopped).await,
            None => self.refuse(bytes, &who, line, stopped).await,
        }
    }

    /// A place for a connection; where all are taken, one may have to end for it.
    fn seat(&self, line: &Arc<Line>) -> Option<Place<Arc<Line>>> {
        let (place, gone) = self.connected.admit(line.origin, Arc::clone(line))?;
        if let Some(from) = gone {
            let (at, most, to) = (&self.name, self.connected.most(), line.origin);
            self.shares.make(|more| {
                tracing::warn!(%at, %from, %to, most, more, "ended a connection for another one: too many at once, most of them from there");
            });
        }
        Some(place)
    }

    /// Tells one client too many that it is one, if that costs little.
    async fn refuse(
        &self,
        bytes: Box<dyn Bytes>,
        who: &str,
        line: Arc<Line>,
        stopped: watch::Receiver<bool>,
    ) {
        self.crowd.make(|more| {
            tracing::warn!(at = %self.name, from = %who, most = self.limits.connections, more, "turned a client away: too many connections");
        });
        let Ok(_place) = self.refused.try_acquire() else {
            return;
        };
        let talk = serve_http(bytes, self.desk(None, line), &self.limits, stopped);
        drop(tokio::time::timeout(REFUSAL, talk).await);
    }

    async fn talk(&self, bytes: Box<dyn Bytes>, line: Arc<Line>, stopped: watch::Receiver<bool>) {
        serve_http(bytes, self.desk(Some(self.routes.clone()), line), &self.limits, stopped).await;
    }

    fn desk(&self, routes: Option<Routes>, line: Arc<Line>) -> Desk {
        Desk {
            routes,
            calls: Arc::clone(&self.calls),
            crowd: Arc::clone(&self.busy),
            name: Arc::clone(&self.name),
            line,
            limit: self.limits.request,
            refusal: TOO_MANY,
        }
    }
}

/// Small answers go out at once. Where that can't be had they are late, no more.
fn without_delay(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
}

/// TLS, where there is any, and the preface: a client that gets this far speaks what the server speaks, and has shown its
/// certificate.
async fn enter(bytes: Box<dyn Bytes>, tls: Option<&Tls>, origin: Origin) -> io::Result<Box<dyn Bytes>> {
    let mut bytes: Box<dyn Bytes> = match tls {
        Some(tls) => match tls.acceptor().accept(bytes).into_fallible().await {
            Ok(bytes) => Box::new(bytes),
            Err((error, bytes)) => {
                hear_out(bytes).await;
                return Err(error);
            }
        },
        None => bytes,
    };
    let mut heard = [0; PREFACE.len()];
    let mut length = 0;
    while length < PREFACE.len() {
        let more = bytes.read(&mut heard[length..]).await?;
        length += more;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if heard[..length] != PREFACE[..length] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, foreign(&heard[..length])));
        }
    }
    // HTTP/2 wants to read it, too.
    let (read, write) = tokio::io::split(bytes);
    let read = Named::new(read, matches!(origin, Origin::Process { .. }));
    Ok(Box::new(tokio::io::join(PREFACE.chain(read), write)))
}

/// Lets a client read why it was turned away: closing at once, while it still sends, would make the kernel throw that away.
async fn hear_out(mut bytes: Box<dyn Bytes>) {
    let mut unheard = [0; 1024];
    let rest = async {
        bytes.shutdown().await?;
        for _ in 0..PATIENCE {
            if bytes.read(&mut unheard).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // It has gone, or talks on and on: either way it is no client.
    drop(tokio::time::timeout(REFUSAL, rest).await);
}

/// What the first bytes may be.
fn foreign(heard: &[u8]) -> &'static str {
    match heard {
        // A handshake record of TLS (RFC 8446, 5.1).
        [0x16, 0x03, ..] => "it speaks TLS where there is none",
        [b'A'..=b'Z', ..] => "it speaks HTTP/1, this is a gRPC server",
        _ => "it does not speak HTTP/2",
    }
}

async fn serve_http(bytes: Box<dyn Bytes>, desk: Desk, limits: &Limits, mut stopped: watch::Receiver<bool>) {
    let line = Arc::clone(&desk.line);
    let (mut ended, mut cut) = (line.ended.subscribe(), pin!(overdue(&line)));
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(RECEIVE_WINDOWS.0)
        .initial_connection_window_size(RECEIVE_WINDOWS.1)
        .max_pending_accept_reset_streams(MAX_TAKEN_BACK)
        .max_local_error_reset_streams(MAX_BROKEN)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong);
    let mut connection = pin!(http.serve_connection(TokioIo::new(bytes), desk));
    let mut rest = pin!(rest(line.busy.subscribe(), limits.idle));
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = &mut cut => return,
            () = end(&mut stopped), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut rest, if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = end(&mut ended), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Comes true when a connection, or a call of it, was to end and did not for a while: who does not read can't be told.
async fn overdue(line: &Line) {
    let (mut ended, mut ending) = (line.ended.subscribe(), line.ending.subscribe());
    let connection = async {
        end(&mut ended).await;
        tokio::time::sleep(REFUSAL).await;
    };
    let calls = async {
        loop {
            drop(ending.wait_for(|n| *n > 0).await);
            if tokio::time::timeout(REFUSAL, ending.wait_for(|n| *n == 0)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = connection => {}
        () = calls => {}
    }
}

/// Comes true once the agent stops. An error means that it is gone: an end as well.
pub(super) async fn end(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stop| *stop).await);
}

/// Comes true when there was no call for `limit`.
async fn rest(mut calls: watch::Receiver<usize>, limit: Duration) {
    loop {
        let busy = *calls.borrow_and_update() > 0;
        let limit = if busy { Duration::MAX } else { limit };
        match tokio::time::timeout(limit, calls.changed()).await {
            Ok(Ok(())) => {}
            // Nobody calls any more: the connection ends by itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
