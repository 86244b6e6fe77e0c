//! A relay between real agents and clients, netdrop's and Hubble's.

use std::env;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use netdrop_tests::netns::Netns;
use netdrop_tests::observer::die_with_parent;
use netdrop_tests::traffic;

use crate::harness::{COUNT, LIMIT, binary};

/// An address that no other test listens at: what is free there stays free.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed)), 4245))
}

/// A netdrop that runs until its test is over.
struct Program(Child);

impl Program {
    fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(binary());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        die_with_parent(&mut command);
        Self(command.spawn().expect("netdrop starts"))
    }

    fn agent(folder: &Path, name: &str) -> (Self, String) {
        let socket = folder.join(name).display().to_string();
        let agent = Self::start(["agent", "--socket-path", &socket, "--node-name", name, "--log-rate", "0"]);
        (agent, format!("unix://{socket}"))
    }

    /// How long it takes to end when it is asked to.
    fn ends(mut self) -> Duration {
        let began = Instant::now();
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(asked.success());
        assert!(self.0.wait().expect("it ends").success());
        began.elapsed()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two agents of this kernel, as if they were two nodes, and a relay.
struct Bed {
    agents: Vec<(Program, String)>,
    relay: Program,
    server: String,
    _folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let agents: Vec<_> =
            ["node-a", "node-b"].iter().map(|name| Program::agent(folder.path(), name)).collect();
        let free = own_address().to_string();
        let peers = format!("node-a={},node-b={}", agents[0].1, agents[1].1);
        let relay = Program::start([
            "relay",
            "--peers",
            &peers,
            "--listen-address",
            &free,
            "--health-listen-address",
            "none",
        ]);
        let bed = Self { agents, relay, server: free, _folder: folder };
        bed.until(|| text(&own(&["status", "--server", &bed.server])).contains("Connected Nodes: 2/2\n"));
        bed
    }

    fn until(&self, fits: impl Fn() -> bool) {
        let end = Instant::now() + LIMIT;
        while !fits() {
            assert!(Instant::now() < end, "not within {LIMIT:?}; the relay at {}", self.server);
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

fn own(args: &[&str]) -> Output {
    run(&binary(), args)
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().expect("the program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A program of Hubble's, where the tests of the cluster have built it.
#[expect(clippy::print_stderr, reason = "what did not run is said")]
fn stock(program: &str) -> Option<PathBuf> {
    let home = || env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from);
    let folder = env::var_os("NETDROP_CLUSTER_BIN")
        .map_or_else(|| home().join(".cache/netdrop/cluster"), PathBuf::from);
    let path = folder.join(program);
    if !path.is_file() {
        eprintln!("SKIPPED relay: no {}; `cargo xtask cluster up` builds it", path.display());
    }
    path.is_file().then_some(path)
}

/// Drops that no other test makes: to a closed port of this number.
fn drops(port: u16) {
    let netns = Netns::anonymous("relay").expect("a namespace");
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    netns.run(|| traffic::udp(at(30_000), at(port), b"nobody home", COUNT)).expect("traffic");
}

/// Flows of two agents, by a relay or merged by the client itself, are the same to both clients, byte for byte.
#[test]
fn what_a_client_is_told_is_the_same_by_each_way() {
    const PORT: u16 = 4301;
    let bed = Bed::new();
    drops(PORT);
    let port = PORT.to_string();
    let observe = |program: &Path, server: &str, format: &str| {
        text(&run(program, &["observe", "--all", "--port", &port, "--server", server, "-o", format]))
    };
    let all = usize::from(COUNT) * 2;
    bed.until(|| observe(&binary(), &bed.server, "compact").lines().count() >= all);
    let ours = observe(&binary(), &bed.server, "compact");
    assert_eq!(ours.lines().count(), all, "{ours}");
    let both = format!("{},{}", bed.agents[0].1, bed.agents[1].1);
    assert_eq!(observe(&binary(), &both, "compact"), ours);
    if let Some(hubble) = stock("hubble") {
        for format in ["compact", "dict", "json", "table"] {
            let ours = observe(&binary(), &bed.server, format);
            assert_eq!(ours, observe(&hubble, &bed.server, format), "-o {format}");
        }
    }
}

#[test]
fn a_relay_ends_within_a_second_while_clients_follow() {
    let bed = Bed::new();
    let mut client = Program::start(["observe", "-f", "--server", &bed.server]);
    std::thread::park_timeout(Duration::from_millis(500));
    let took = bed.relay.ends();
    assert!(took < Duration::from_secs(1), "{took:?}");
    client.0.wait().expect("the client ends, too");
}
