//! A port of this machine that leads into a tunnel, for other clients, for as long as netdrop's own connection lives.
//!
//! netdrop's connection does not go through it. Each that comes there is a stream of its own, which begins with the look for a pod.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::anyhow;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::stream::TunnelEnd;
use crate::complaints::{Complaints, PAUSE};

/// As Hubble's client has it.
const DEFAULT_PORT: u16 = 4245;
/// Connections at once; further ones are closed. Each is a stream of the API server's.
const MOST: usize = 64;
/// Pause after the kernel could not hand over a connection: it is out of files or memory.
const BREATH: Duration = Duration::from_millis(100);

/// Where a line to the person goes.
pub type Tell = fn(fmt::Arguments<'_>);

/// Which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// 0: any that is free.
    pub number: u16,
    /// It was asked for: then it is had, or an error. Otherwise it is left alone where somebody else has it, as another tunnel.
    pub asked: bool,
}

impl Default for Port {
    fn default() -> Self {
        Self { number: DEFAULT_PORT, asked: false }
    }
}

/// A port that is taken. Who comes waits in the kernel.
#[derive(Debug)]
pub(in crate::connect) struct Taken {
    socket: TcpListener,
    /// The same port of IPv6, where it is to be had: `localhost` may mean either.
    other: Option<TcpListener>,
    /// As it is told.
    name: String,
    asked: bool,
}

/// A port that is served for as long as this is kept.
pub(in crate::connect) struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Taken {
    /// Takes it; `None`: nobody asked for it, and it can't be had.
    pub(in crate::connect) async fn take(port: Port) -> anyhow::Result<Option<Self>> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number)).await;
        match bound.and_then(|socket| Ok((socket.local_addr()?, socket))) {
            Ok((at, socket)) => {
                let other = TcpListener::bind((Ipv6Addr::LOCALHOST, at.port())).await.ok();
                Ok(Some(Self { socket, other, name: at.to_string(), asked: port.asked }))
            }
            Err(e) if port.asked => Err(refused(port.number, &e)),
            Err(error) => {
                tracing::debug!(port = port.number, %error, "no port of this machine leads into the tunnel");
                Ok(None)
            }
        }
    }

    /// Leads whoever comes to what `open` opens.
    pub(in crate::connect) fn lead<S, F>(
        self,
        open: impl Fn() -> F + Send + Sync + 'static,
        tell: Tell,
    ) -> Listening
    where
        F: Future<Output = anyhow::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.asked {
            tell(format_args!("netdrop: other clients reach the relay at {} meanwhile", self.name));
        } else {
            tracing::debug!(at = self.name, "a port of this machine leads into the tunnel");
        }
        Listening(tokio::spawn(self.serve(open, tell)).abort_handle())
    }

    async fn serve<S, F>(self, open: impl Fn() -> F, tell: Tell)
    where
        F: Future<Output = anyhow::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let name = &self.name;
        let (failed, crowd) = (Complaints::default(), Complaints::default());
        let mut connections = JoinSet::new();
        let mut untold = tokio::time::interval(PAUSE);
        loop {
            tokio::select! {
                biased;
                _ = untold.tick() => {
                    failed.rest(|n| tell(format_args!("netdrop: {name}: failed for {n} more clients")));
                    crowd.rest(|n| tell(format_args!("netdrop: {name}: turned {n} more clients away")));
                }
                Some(ended) = connections.join_next() => {
                    if let Ok(Err(error)) = ended {
                        failed.make(|more| tell(format_args!("netdrop: {name}: {error:#}{}", More(more))));
                    }
                }
                accepted = self.next() => match accepted {
                    Ok(_) if connections.len() >= MOST => crowd.make(|more| {
                        let more = More(more);
                        tell(format_args!("netdrop: {name}: turned a client away: {MOST} are there already{more}"));
                    }),
                    Ok(stream) => {
                        connections.spawn(join(stream, open()));
                    }
                    Err(e) => {
                        failed.make(|more| {
                            tell(format_args!("netdrop: {name}: cannot accept a client: {e}{}", More(more)));
                        });
                        tokio::time::sleep(BREATH).await;
                    }
                },
            }
        }
    }

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = match &self.other {
            None => self.socket.accept().await,
            Some(other) => tokio::select! {
                accepted = self.socket.accept() => accepted,
                accepted = other.accept() => accepted,
            },
        }?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// How many were kept quiet about.
struct More(u64);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " ({n} more since the last word of this)"),
        }
    }
}

fn refused(port: u16, error: &io::Error) -> anyhow::Error {
    let why = if error.kind() == io::ErrorKind::AddrInUse {
        "somebody else listens there".to_owned()
    } else {
        error.to_string()
    };
    anyhow!(
        "--port-forward-port {port}: 127.0.0.1:{port} can't be had: {why}; choose another port, or 0 for any that is free"
    )
}

/// The far end said it.
fn is_told(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<TunnelEnd>)
}

/// Carries bytes both ways until both ends are done. That a client breaks off is its own affair; what the far end says is told.
async fn join<S: AsyncRead + AsyncWrite + Unpin>(
    mut near: TcpStream,
    opened: impl Future<Output = anyhow::Result<S>>,
) -> anyhow::Result<()> {
    let mut far = opened.await?;
    match copy_bidirectional(&mut near, &mut far).await {
        Err(e) if is_told(&e) => Err(e.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    /// Far beyond all that the tests wait for.
    const SOON: Duration = Duration::from_secs(40);
    const ANY: Port = Port { number: 0, asked: true };

    async fn connect(to: &str) -> TcpStream {
        timeout(SOON, TcpStream::connect(to)).await.expect("somebody listens").unwrap()
    }

    async fn closed(stream: &mut TcpStream) {
        let end = timeout(SOON, stream.read(&mut [0])).await.expect("it is closed");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_client_gets_a_stream_of_its_own_and_a_crowd_is_told_so() {
        static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = far.local_addr().unwrap();
        let taken = Taken::take(ANY).await.unwrap().unwrap();
        let (at, six) = (taken.name.clone(), taken.other.is_some());
        let tell: Tell = |line| SAID.lock().unwrap().push(line.to_string());
        let open = move || async move { Ok(TcpStream::connect(there).await?) };
        let listening = taken.lead(open, tell);
        let mut pairs = Vec::new();
        for n in 0..MOST {
            // Both names of this machine lead there.
            let to = if six && n % 2 > 0 { at.replace("127.0.0.1", "[::1]") } else { at.clone() };
            let mut near = connect(&to).await;
            let mut end = timeout(SOON, far.accept()).await.expect("a stream").unwrap().0;
            near.write_u8(u8::try_from(n).unwrap()).await.unwrap();
            assert_eq!(usize::from(end.read_u8().await.unwrap()), n);
            end.write_u8(7).await.unwrap();
            assert_eq!(near.read_u8().await.unwrap(), 7);
            pairs.push((near, end));
        }
        closed(&mut connect(&at).await).await;
        let said = SAID.lock().unwrap().clone();
        let open = format!("netdrop: other clients reach the relay at {at} meanwhile");
        assert_eq!(said, [open, format!("netdrop: {at}: turned a client away: 64 are there already")]);
        // Who leaves makes room, and takes its stream along.
        let (near, mut end) = pairs.pop().unwrap();
        drop(near);
        closed(&mut end).await;
        drop(end);
        // The place is free a moment later.
        let again = async {
            loop {
                let mut near = connect(&at).await;
                drop(near.write_u8(1).await);
                tokio::select! {
                    end = far.accept() => return (near, end.unwrap().0),
                    () = closed(&mut near) => {}
                }
            }
        };
        let (_near, _end) = timeout(SOON, again).await.expect("there is room again");
        drop(listening);
        closed(&mut pairs[0].0).await;
        let free = async {
            while TcpListener::bind(&at).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, free).await.expect("the port is free again");
    }

    #[tokio::test]
    async fn why_there_is_no_tunnel_is_told() {
        static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let taken = Taken::take(Port { asked: false, ..ANY }).await.unwrap().unwrap();
        let at = taken.name.clone();
        let tell: Tell = |line| SAID.lock().unwrap().push(line.to_string());
        let open = || async { Err::<TcpStream, _>(anyhow!("the cluster is away")) };
        let _listening = taken.lead(open, tell);
        closed(&mut connect(&at).await).await;
        closed(&mut connect(&at).await).await;
        let said = async {
            while SAID.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, said).await.expect("a word");
        // Few, and nothing of a port that nobody asked for.
        assert_eq!(*SAID.lock().unwrap(), [format!("netdrop: {at}: the cluster is away")]);
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_only_where_it_was_asked_for() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let number = there.local_addr().unwrap().port();
        assert!(Taken::take(Port { number, asked: false }).await.unwrap().is_none());
        let e = Taken::take(Port { number, asked: true }).await.unwrap_err().to_string();
        assert_eq!(
            e,
            format!(
                "--port-forward-port {number}: 127.0.0.1:{number} can't be had: somebody else listens there; choose another port, or 0 for any that is free"
            )
        );
    }
}
