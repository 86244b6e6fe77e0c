//! systemd, where it started the agent: told that it is ready, and that it lives; sockets that it opened.
//!
//! Without systemd all of this does nothing.

use std::env;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, bail};
use listenfd::ListenFd;

/// Sockets that systemd listens on in the agent's place (`LISTEN_FDS`).
#[derive(Debug, Default)]
pub struct Inherited {
    /// Of `ListenStream=/path`.
    pub unix: Vec<UnixListener>,
    /// Of `ListenStream=port`.
    pub tcp: Vec<TcpListener>,
}

impl Inherited {
    /// Takes them; there are none if they were meant for another process.
    pub fn from_env() -> anyhow::Result<Self> {
        let mut handed = ListenFd::from_env();
        let mut inherited = Self::default();
        for at in 0..handed.len() {
            if let Ok(Some(socket)) = handed.take_unix_listener(at) {
                socket.set_nonblocking(true).context("cannot use a socket of LISTEN_FDS")?;
                inherited.unix.push(socket);
            } else if let Ok(Some(socket)) = handed.take_tcp_listener(at) {
                socket.set_nonblocking(true).context("cannot use a socket of LISTEN_FDS")?;
                inherited.tcp.push(socket);
            } else {
                bail!(
                    "socket {at} of LISTEN_FDS is no stream socket that listens; use ListenStream= with a path or a port"
                );
            }
        }
        Ok(inherited)
    }
}

/// A systemd that takes no news for so long does not get them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Its socket has room for few news (`net.unix.max_dgram_qlen`: ten, where nobody has set it).
#[derive(Debug)]
struct To {
    address: SocketAddr,
    /// For signs of life and status, of which the next is to come: a systemd that does not read must not hold up capture.
    passing: UnixDatagram,
    /// For what is told once: without it a service never becomes ready, or is killed while it ends.
    lasting: UnixDatagram,
}

/// Where systemd wants news; a service of `Type=notify`. Clones tell the same one.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    to: Option<Arc<To>>,
    watchdog: Option<Duration>,
    /// Before that, nothing of a reload is told: its end would count as that of the start.
    is_ready: Arc<AtomicBool>,
}

impl Notifier {
    /// As the environment says (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_env() -> anyhow::Result<Self> {
        let text = |name| env::var(name).ok();
        let own = std::process::id();
        let for_me = text("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(own));
        Self::new(text("NOTIFY_SOCKET").as_deref(), text("WATCHDOG_USEC").filter(|_| for_me).as_deref())
    }

    fn new(socket: Option<&str>, watchdog: Option<&str>) -> anyhow::Result<Self> {
        let Some(socket) = socket.filter(|s| !s.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(socket),
        };
        let address = address.with_context(|| format!("NOTIFY_SOCKET={socket} is no address of a socket"))?;
        let own = || UnixDatagram::unbound().context("cannot make a socket to notify systemd");
        let to = To { address, passing: own()?, lasting: own()? };
        to.passing.set_nonblocking(true)?;
        to.lasting.set_write_timeout(Some(PATIENCE))?;
        let watchdog = match watchdog.map(str::parse).transpose() {
            Ok(micros) => micros.filter(|n| *n > 0).map(Duration::from_micros),
            Err(_) => bail!("WATCHDOG_USEC={} is no number", watchdog.unwrap_or_default()),
        };
        Ok(Self { to: Some(Arc::new(to)), watchdog, is_ready: Arc::default() })
    }

    /// How often the loop must say that it lives: twice as often as asked for.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|every| every / 2)
    }

    /// The server answers.
    pub(super) fn ready(&self) {
        self.is_ready.store(true, Relaxed);
        self.tell("READY=1\nSTATUS=Capturing; the server answers");
    }

    /// Settings are read again, from here to [`Self::reloaded`]; `now` is the time since the machine's start.
    pub(crate) fn reloading(&self, now: Duration) {
        if self.is_ready.load(Relaxed) {
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
        }
    }

    /// Settings that could be read are in effect.
    pub(crate) fn reloaded(&self) {
        if self.is_ready.load(Relaxed) {
            self.tell("READY=1");
        }
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Telling what is under way");
    }

    /// The loop between capture and history has come round.
    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            self.mention("WATCHDOG=1");
        }
    }

    /// A line for `systemctl status`.
    pub(super) fn status(&self, line: impl FnOnce() -> String) {
        if self.to.is_some() {
            self.mention(&format!("STATUS={}", line()));
        }
    }

    /// What must arrive: waits for room.
    fn tell(&self, state: &str) {
        if let Some(to) = self.to.as_deref()
            && let Err(error) = to.lasting.send_to_addr(state.as_bytes(), &to.address)
        {
            tracing::warn!(%error, "systemd was not told {:?}", state.lines().next().unwrap_or_default());
        }
    }

    /// What may be left out.
    fn mention(&self, state: &str) {
        if let Some(to) = self.to.as_deref()
            && let Err(error) = to.passing.send_to_addr(state.as_bytes(), &to.address)
        {
            tracing::debug!(%error, "systemd was not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_systemd_nothing_happens() {
        let nobody = Notifier::new(None, Some("1000000")).unwrap();
        assert_eq!(nobody.interval(), None);
        nobody.ready();
        nobody.status(|| panic!("nobody asks"));
    }

    #[test]
    fn news_come_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify").display().to_string();
        let name = format!("netdrop-test-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (receiver, socket) in [(by_path, path), (by_name, format!("@{name}"))] {
            let read = || {
                let mut buffer = [0; 200];
                let n = receiver.recv(&mut buffer).unwrap();
                String::from_utf8(buffer[..n].to_vec()).unwrap()
            };
            let notifier = Notifier::new(Some(&socket), Some("3000000")).unwrap();
            assert_eq!(notifier.interval(), Some(Duration::from_millis(1500)));
            let clone = notifier.clone();
            clone.reloading(Duration::from_secs(1));
            clone.reloaded();
            notifier.ready();
            assert!(read().starts_with("READY=1\nSTATUS="), "a reload during the start is not its end");
            clone.reloading(Duration::from_secs(1));
            assert_eq!(read(), "RELOADING=1\nMONOTONIC_USEC=1000000");
            clone.reloaded();
            assert_eq!(read(), "READY=1");
            notifier.alive();
            assert_eq!(read(), "WATCHDOG=1");
            notifier.status(|| "a".into());
            assert_eq!(read(), "STATUS=a");
            notifier.stopping();
            assert!(read().starts_with("STOPPING=1\n"));
        }
    }

    /// Signs of life that nobody has read yet are no reason to leave out the end.
    #[test]
    fn what_is_told_once_waits_for_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let notifier = Notifier::new(path.to_str(), Some("1000000")).unwrap();
        // More than there is room for: this waits for nobody.
        (0..2000).for_each(|_| notifier.alive());
        let teller = std::thread::spawn(move || notifier.stopping());
        let mut buffer = [0; 200];
        let last = loop {
            let length = systemd.recv(&mut buffer).expect("the end is told");
            if &buffer[..length] != b"WATCHDOG=1" {
                break &buffer[..length];
            }
        };
        assert!(last.starts_with(b"STOPPING=1\n"));
        teller.join().unwrap();
    }

    #[test]
    fn a_watchdog_is_a_number_and_may_be_off() {
        assert_eq!(Notifier::new(Some("/x"), Some("0")).unwrap().interval(), None);
        assert_eq!(Notifier::new(Some("/x"), None).unwrap().interval(), None);
        let e = Notifier::new(Some("/x"), Some("often")).unwrap_err().to_string();
        assert!(e.contains("WATCHDOG_USEC=often"), "{e}");
    }
}
