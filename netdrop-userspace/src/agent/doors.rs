//! Where a server is reached: a unix socket, a TCP port, and what systemd opened for it.
//!
//! Doors are taken before capture starts, so that everything that is wrong with them is said at once; nobody is let in until
//! there is something to serve.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::problems::Problems;
use super::socket::{self, BACKLOG, SocketFile};
use super::systemd::Inherited;
use super::tls::{Tls, TlsFiles, TlsFlags};

/// Of a socket that tokio refuses.
const UNUSABLE: &str = "cannot use a socket of LISTEN_FDS";

/// Where to listen, as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// Unix socket; not used where systemd hands one over.
    pub socket_path: PathBuf,
    /// Group that may use the unix socket, by name or number.
    pub socket_group: Option<String>,
    /// TCP port for other machines.
    pub address: Option<SocketAddr>,
    /// Chain of the server.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// CAs of clients.
    pub client_ca: Vec<PathBuf>,
    /// TCP without TLS.
    pub disable_tls: bool,
    /// TCP port for metrics and health, without TLS.
    pub metrics: Option<SocketAddr>,
}

/// Names of the agent's flags.
const FLAGS: TlsFlags =
    TlsFlags { cert: "--tls-cert-file", key: "--tls-key-file", client_ca: "--tls-client-ca-files" };

/// Doors that are taken: connections wait in the kernel until they are served.
#[derive(Debug, Default)]
pub struct Doors {
    pub(super) all: Vec<Door>,
    /// Keep it as long as the doors are open.
    pub(super) file: Option<SocketFile>,
    /// The port of metrics.
    pub(super) metrics: Option<TcpListener>,
}

/// One of them.
#[derive(Debug)]
pub struct Door {
    /// What it is called in the log.
    pub name: String,
    /// What comes through it is encrypted.
    pub tls: Option<Tls>,
    /// Where connections come from.
    pub socket: Socket,
}

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// Of this machine.
    Unix(UnixListener),
    /// Of any.
    Tcp(TcpListener),
}

impl Doors {
    /// Takes them all, or says all that is in the way.
    pub fn take(listen: &Listen, inherited: Inherited) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut doors = Self::default();
        let remote = listen.address.is_some() || !inherited.tcp.is_empty();
        let tls = problems.merge(tls(listen, remote)).flatten();
        let group = listen.socket_group.as_deref().map(socket::group).transpose();
        let group = problems.check(group).flatten();
        if inherited.unix.is_empty()
            && let Some((socket, file)) = problems.check(socket::bind(&listen.socket_path, group))
        {
            doors.file = Some(file);
            let name = listen.socket_path.display().to_string();
            doors.all.push(Door { name, tls: None, socket: Socket::Unix(socket) });
        }
        for socket in inherited.unix {
            if let Some(socket) = problems.check(UnixListener::from_std(socket).context(UNUSABLE)) {
                doors.all.push(Door { name: "systemd".into(), tls: None, socket: Socket::Unix(socket) });
            }
        }
        let metrics = listen.metrics.map(|address| listen_tcp("--metrics-address", address));
        doors.metrics = problems.check(metrics.transpose()).flatten();
        let own = listen.address.map(|address| listen_tcp("--listen-address", address));
        let all = own
            .into_iter()
            .chain(inherited.tcp.into_iter().map(|s| TcpListener::from_std(s).context(UNUSABLE)));
        for socket in all {
            if let Some(socket) = problems.check(socket) {
                let name = socket.local_addr().map_or_else(|_| "TCP".to_owned(), |a| a.to_string());
                doors.all.push(Door { name, tls: tls.clone(), socket: Socket::Tcp(socket) });
            }
        }
        problems.none().map(|()| doors)
    }

    /// Whether metrics are served.
    pub fn has_metrics(&self) -> bool {
        self.metrics.is_some()
    }

    /// The TCP ports that were taken.
    pub fn ports(&self) -> Vec<SocketAddr> {
        let port = |door: &Door| match &door.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        };
        self.all.iter().filter_map(port).collect()
    }
}

impl Door {
    /// Says what is served to whom.
    pub(super) fn announce(&self) {
        let at = &self.name;
        match (&self.socket, &self.tls) {
            (Socket::Unix(_), _) => tracing::info!(%at, "serving this machine"),
            (Socket::Tcp(_), Some(tls)) if tls.asks_clients() => {
                tracing::info!(%at, "serving other machines by TLS 1.3; clients need a certificate");
            }
            (Socket::Tcp(_), Some(_)) => tracing::warn!(
                %at,
                "serving other machines by TLS 1.3; without --tls-client-ca-files any client that reaches this port reads all flows"
            ),
            (Socket::Tcp(_), None) => tracing::warn!(
                %at,
                "serving other machines WITHOUT TLS (--disable-tls): whoever reaches this port, or the way to it, reads all flows"
            ),
        }
    }
}

/// The certificates, if what was asked for makes sense.
fn tls(listen: &Listen, remote: bool) -> Result<Option<Tls>, Problems> {
    let mut problems = Problems::default();
    let files = match (&listen.cert, &listen.key) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: listen.client_ca.clone(),
            flags: FLAGS,
        }),
        (Some(_), None) => {
            problems.add(
                "--tls-cert-file is of no use alone: give the certificate's key, too, with --tls-key-file",
            );
            None
        }
        (None, Some(_)) => {
            problems.add(
                "--tls-key-file is of no use alone: give the key's certificate, too, with --tls-cert-file",
            );
            None
        }
        (None, None) => {
            if !listen.client_ca.is_empty() {
                problems.add("--tls-client-ca-files is of no use without --tls-cert-file and --tls-key-file: give these, too");
            } else if remote && !listen.disable_tls {
                problems.add(
                    "--listen-address serves other machines, so it needs --tls-cert-file and --tls-key-file; \
                     --disable-tls serves them without, which lets anyone on the way read all flows",
                );
            }
            None
        }
    };
    if listen.disable_tls && files.is_some() {
        problems
            .add("--disable-tls contradicts --tls-cert-file and --tls-key-file: leave out one or the other");
    }
    if !remote && files.is_some() {
        problems.add("--tls-cert-file is for --listen-address, which is missing: add it, as :4244; the unix socket has no TLS");
    }
    // Also what is in the files is said at once.
    let tls = files.and_then(|files| problems.merge(Tls::load(files)));
    problems.none().map(|()| tls)
}

fn listen_tcp(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bind = |address: SocketAddr| -> io::Result<TcpListener> {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        // A port of a connection that is still dying is free.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let result = match bind(address) {
        // All addresses of a machine without IPv6.
        Err(e) if address.ip().is_unspecified() && address.is_ipv6() && lacks_family(&e) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        other => other,
    };
    result.with_context(|| format!("{flag} {address} can't be used; choose another"))
}

fn lacks_family(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}
