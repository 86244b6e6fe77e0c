//! Servers that clients are tried on: two agents of this kernel, as if they were two nodes, and relays over them.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use netdrop_tests::expect;
use netdrop_tests::netns::Netns;
use netdrop_tests::observer::die_with_parent;
use netdrop_tests::stock;

use crate::harness::{LIMIT, binary};

/// Pods at addresses that only tests have.
const NAMES: &str = "10.77.0.1 oracle/alpha app=alpha,tier=front\n10.77.0.2 oracle/beta app=beta\n\
                     10.77.0.9 other/svc:gamma\nfd77::1 oracle/alpha6 app=alpha\nfd77::2 oracle/beta6\n";

/// A program that runs until its test is over.
pub struct Program(Child);

impl Program {
    /// Starts netdrop.
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::run(&binary(), args)
    }

    /// Starts any program.
    pub fn run<S: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        Self::spawn(&mut command)
    }

    /// Starts a command whose output goes where it says.
    pub fn spawn(command: &mut Command) -> Self {
        die_with_parent(command.stdin(Stdio::null()));
        Self(command.spawn().expect("the program starts"))
    }

    /// Sends it this signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "SIG{signal}");
    }

    /// How long it takes to end when it is asked to.
    pub fn ends(mut self) -> Duration {
        let began = Instant::now();
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(asked.success());
        assert!(self.0.wait().expect("it ends").success());
        began.elapsed()
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) {
        self.0.wait().expect("it ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two agents, and a relay over them.
pub struct Bed {
    /// Each agent's address.
    pub agents: [String; 2],
    /// The relay's address.
    pub server: String,
    _programs: Vec<Program>,
    _folder: tempfile::TempDir,
}

impl Bed {
    /// Starts them and waits until the relay has both. They keep the drops of this namespace alone: a storm of another test would cost
    /// these their lines, and be added up with them.
    pub fn new(netns: &Netns) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names = folder.path().join("names");
        fs::write(&names, NAMES).expect("a file");
        let names = names.display().to_string();
        let own = format!("{{\"netns\":[{}]}}", netns.inode());
        let mut programs = Vec::new();
        let agents = ["node-a", "node-b"].map(|name| {
            let socket = folder.path().join(name).display().to_string();
            let flags = ["--socket-path", &socket, "--node-name", name, "--names", &names];
            let kept = ["--log-rate", "0", "--allowlist", &own];
            programs.push(Program::start(["agent"].iter().chain(&flags).chain(&kept)));
            format!("unix://{socket}")
        });
        let server = free();
        let peers = format!("node-a={},node-b={}", agents[0], agents[1]);
        let slow = slow();
        let flags = [
            "--peers",
            &peers,
            "--listen-address",
            &server,
            "--health-listen-address",
            "none",
            "--sort-buffer-drain-timeout",
            &slow,
        ];
        programs.push(Program::start(["relay"].iter().chain(&flags)));
        let bed = Self { agents, server, _programs: programs, _folder: folder };
        serves_both(&bed.server);
        bed
    }

    /// Hubble's own relay over the same agents, and its address. `None`: it is not there, and one line has said so.
    pub fn stock_relay(&self, what: &str) -> Option<(Program, String)> {
        let path = stock::relay(what).expect("the stock relay")?;
        let server = free();
        let health = free();
        let flags = [
            "--peer-service",
            &self.server,
            "--listen-address",
            &server,
            "--health-listen-address",
            &health,
            "--gops=false",
            "--disable-client-tls",
            "--disable-server-tls",
        ];
        let relay = Program::run(&path, ["serve"].iter().chain(&flags));
        serves_both(&server);
        Some((relay, server))
    }
}

/// An address that no other test listens at: what is free there stays free.
pub fn free() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed));
    SocketAddr::from((address, 4245)).to_string()
}

/// How long a relay waits for an agent: what it tells is in order though one of them is slow, as this machine may be.
pub fn slow() -> String {
    format!("{}s", 4 * expect::patience())
}

fn serves_both(server: &str) {
    until("a relay over both agents", || {
        text(&output(&binary(), &["status", "--server", server])).contains("Connected Nodes: 2/2\n")
    });
}

/// Asks until the answer is yes; two minutes are a lot for any of it.
#[track_caller]
pub fn until(what: &str, fits: impl Fn() -> bool) {
    let end = expect::deadline(LIMIT * 2);
    while !fits() {
        assert!(Instant::now() < end, "{what}: not within {:?}", LIMIT * 2);
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Runs a program to its end.
pub fn output(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().expect("the program runs")
}

/// What it printed.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
