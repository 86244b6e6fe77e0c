//! A port for HTTP/1, where Prometheus and probes ask: few connections at once, and none holds a place for long without asking.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::arrivals::{Arrival, Arrivals, Origin};
use super::connection::end;
use super::limits::{BREATH, Complaints, LEAVING};

/// Connections at once; for a further one the oldest is cut of where most come from.
const MOST: usize = 64;
/// How long a client may take to ask, or to ask again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a request that are read ahead.
const READ_AHEAD: usize = 16 * 1024;

/// Serves until `stopped` turns true, and then until all have their answers. Whoever waits for that sets the limit.
pub(crate) async fn serve(listener: TcpListener, router: Router, stopped: watch::Receiver<bool>) {
    serve_patiently(listener, router, stopped, (MOST, PATIENCE)).await;
}

async fn serve_patiently(
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    (most, patience): (usize, Duration),
) {
    let port = Port {
        arrivals: Arrivals::new(most),
        places: Arc::new(Semaphore::new(most + LEAVING)),
        trouble: Complaints::new(),
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = end(&mut stopped) => break,
            Some(_) = connections.join_next() => {}
            guest = port.next(&listener) => {
                connections.spawn(guest.talk(router.clone(), patience, stopped.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

struct Port {
    arrivals: Arc<Arrivals>,
    /// Sockets of those that are there, and of those that were cut and are about to be closed.
    places: Arc<Semaphore>,
    trouble: Complaints,
}

struct Guest {
    stream: TcpStream,
    arrival: Arrival,
    place: OwnedSemaphorePermit,
}

impl Port {
    async fn next(&self, listener: &TcpListener) -> Guest {
        loop {
            // Nobody closes the semaphore.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return std::future::pending().await;
            };
            match listener.accept().await {
                Ok((stream, from)) => {
                    let (arrival, cut) = self.arrivals.admit(Origin::of_address(from.ip()));
                    if let Some(from) = cut {
                        self.trouble.make(|more| {
                            tracing::warn!(%from, more, "cut off a client of the HTTP port for one that came after it: too many at once, most of them from there");
                        });
                    }
                    return Guest { stream, arrival, place };
                }
                Err(error) => {
                    self.trouble.make(|more| {
                        tracing::warn!(%error, more, "cannot accept a connection to the HTTP port; trying again");
                    });
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

impl Guest {
    async fn talk(self, router: Router, patience: Duration, mut stopped: watch::Receiver<bool>) {
        let Self { stream, mut arrival, place: _place } = self;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(READ_AHEAD);
        let service = TowerToHyperService::new(router);
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut leaving = false;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection to the HTTP port broke");
                    }
                    return;
                }
                () = arrival.is_cut() => return,
                () = end(&mut stopped), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    /// Far beyond all that the tests wait for.
    const SOON: Duration = Duration::from_secs(30);

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        timeout(SOON, stream.read_to_string(&mut text)).await.expect("an answer").unwrap();
        text
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_silent_keep_nobody_out_and_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let router = Router::new().route("/", get(|| async { "here" }));
        let served = tokio::spawn(serve_patiently(listener, router, stopped, (4, SOON / 6)));
        let mut silent = Vec::new();
        for _ in 0..12 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // One of them asks at last, and gets its answer.
        let mut last = silent.pop().unwrap();
        assert!(ask(&mut last).await.ends_with("here"));
        assert!(ask(&mut TcpStream::connect(address).await.unwrap()).await.ends_with("here"));
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        silent.push(half);
        for stream in &mut silent {
            let end = timeout(SOON, stream.read_to_end(&mut Vec::new())).await;
            end.expect("who says nothing is cut").ok();
        }
        stop.send_replace(true);
        timeout(SOON, served).await.expect("it ends").unwrap();
    }
}
