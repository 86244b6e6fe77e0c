//! A relay between real agents and clients, netdrop's and Hubble's.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use netdrop_tests::netns::Netns;
use netdrop_tests::observer::die_with_parent;
use netdrop_tests::traffic;
use serde_json::Value;

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

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "SIG{signal}");
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
    folder: tempfile::TempDir,
}

/// Names of nodes.
const NAMES: [&str; 5] = ["node-a", "node-b", "node-c", "node-d", "node-e"];

impl Bed {
    fn new() -> Self {
        Self::of(2)
    }

    /// So many agents; what they tell is put in order though one of them is slow, as this machine may be.
    fn of(number: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let agents: Vec<_> = NAMES[..number].iter().map(|name| Program::agent(folder.path(), name)).collect();
        let free = own_address().to_string();
        let peers: Vec<_> = NAMES.iter().zip(&agents).map(|(name, (_, at))| format!("{name}={at}")).collect();
        let relay = Program::start([
            "relay",
            "--peers",
            &peers.join(","),
            "--sort-buffer-drain-timeout",
            "4s",
            "--listen-address",
            &free,
            "--health-listen-address",
            "none",
        ]);
        let bed = Self { agents, relay, server: free, folder };
        bed.connected();
        bed
    }

    fn connected(&self) {
        let all = format!("Connected Nodes: {0}/{0}\n", self.agents.len());
        self.until(|| text(&own(&["status", "--server", &self.server])).contains(&all));
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

/// A client of the relay that follows one port.
struct Follower {
    program: Program,
    out: tempfile::NamedTempFile,
    talk: tempfile::NamedTempFile,
}

impl Follower {
    fn new(server: &str, port: u16) -> Self {
        let file = || tempfile::NamedTempFile::new().expect("a temporary file");
        let (out, talk) = (file(), file());
        let mut command = Command::new(binary());
        command.args(["observe", "-f", "-o", "json", "--server", server, "--port", &port.to_string()]);
        command
            .stdin(Stdio::null())
            .stdout(out.reopen().expect("a file"))
            .stderr(talk.reopen().expect("a file"));
        die_with_parent(&mut command);
        Self { program: Program(command.spawn().expect("netdrop starts")), out, talk }
    }

    /// Node and time of each, as they were told.
    fn flows(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.out.path()).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let read = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON");
        let word = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let all = whole.lines().map(read).filter(|v| v.get("flow").is_some());
        all.map(|v| (word(&v["node_name"]), word(&v["flow"]["time"]))).collect()
    }

    fn of(&self, node: &str) -> usize {
        self.flows().iter().filter(|(n, _)| n == node).count()
    }

    fn says(&self, words: &str) -> bool {
        fs::read_to_string(self.talk.path()).unwrap_or_default().contains(words)
    }
}

/// One agent is killed, another stopped, and both come back: the others go on, and each is told of.
fn agents_die_stall_and_come_back(number: usize, port: u16) {
    let mut bed = Bed::of(number);
    let client = Follower::new(&bed.server, port);
    let count = usize::from(COUNT);
    // Until it follows all.
    bed.until(|| {
        drops(port);
        NAMES[..number].iter().all(|node| client.of(node) > 0)
    });
    let all = |nodes: &[&str]| {
        let before: Vec<_> = nodes.iter().map(|node| client.of(node)).collect();
        drops(port);
        bed.until(|| nodes.iter().zip(&before).all(|(node, n)| client.of(node) >= n + count));
    };
    let (dead, others) = NAMES[..number].split_first().expect("a node");
    bed.agents[0].0.signal("KILL");
    bed.until(|| client.says(&format!("unavailable: {dead}")));
    all(others);
    let (stalled, living) = others.split_first().expect("another node");
    let before = client.of(stalled);
    bed.agents[1].0.signal("STOP");
    bed.until(|| client.says("no answer for 2 s: not waited for") && client.says(stalled));
    if living.is_empty() {
        drops(port);
    } else {
        all(living);
    }
    let in_order = client.flows();
    bed.agents[1].0.signal("CONT");
    // What the kernel has kept for it meanwhile is told late, and is told.
    bed.until(|| client.of(stalled) >= before + count);
    assert!(in_order.is_sorted_by(|a, b| a.1 <= b.1), "{in_order:?}");

    let again = Program::agent(bed.folder.path(), dead);
    bed.agents[0] = again;
    bed.connected();
    bed.until(|| {
        let before = client.of(dead);
        drops(port);
        let end = Instant::now() + Duration::from_secs(5);
        while client.of(dead) == before && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        client.of(dead) > before
    });
    let last = own(&["observe", "--last", "7", "--port", &port.to_string(), "--server", &bed.server]);
    assert_eq!(text(&last).lines().count(), 7, "{}", text(&last));
}

#[test]
fn of_two_agents_one_is_killed_and_one_stopped() {
    agents_die_stall_and_come_back(2, 4303);
}

#[test]
#[expect(clippy::print_stderr, reason = "what did not run is said")]
fn of_five_agents_one_is_killed_and_one_stopped() {
    const NEEDED: u64 = 3 << 20;
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = memory.lines().find_map(|l| l.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB"));
    if free.and_then(|kib| kib.trim().parse::<u64>().ok()).is_some_and(|kib| kib < NEEDED) {
        eprintln!("SKIPPED relay of_five_agents: they need {} MiB of memory", NEEDED >> 10);
        return;
    }
    agents_die_stall_and_come_back(5, 4304);
}

#[test]
fn a_relay_ends_within_a_second_while_clients_follow() {
    let bed = Bed::new();
    let mut client = Follower::new(&bed.server, 4302);
    bed.until(|| {
        drops(4302);
        !client.flows().is_empty()
    });
    let took = bed.relay.ends();
    // Half a second is what calls under way are given; this machine may do other things, too.
    assert!(took < Duration::from_secs(10), "{took:?}");
    client.program.0.wait().expect("the client ends, too");
}
