//! A relay between real agents and clients, netdrop's and Hubble's.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netdrop_tests::netns::Netns;
use netdrop_tests::{stock, traffic};
use serde_json::Value;

use crate::harness::{COUNT, binary, time_of};
use crate::servers::{Program, free, output, slow, text, until};

/// One that keeps what is dropped on its way to this port alone: a storm of another test would cost these drops their lines.
fn agent(folder: &Path, name: &str, port: u16) -> (Program, String) {
    let socket = folder.join(name).display().to_string();
    let own = format!("{{\"destination_port\":[\"{port}\"]}}");
    let flags = ["--socket-path", &socket, "--node-name", name, "--log-rate", "0", "--allowlist", &own];
    let agent = Program::start(["agent"].iter().chain(&flags));
    (agent, format!("unix://{socket}"))
}

/// Agents of this kernel, as if each had a node, and a relay.
struct Bed {
    agents: Vec<(Program, String)>,
    relay: Program,
    server: String,
    folder: tempfile::TempDir,
}

/// Names of nodes.
const NAMES: [&str; 5] = ["node-a", "node-b", "node-c", "node-d", "node-e"];

impl Bed {
    /// So many agents, of drops on the way to this port; what they tell is put in order though one of them is slow, as this machine
    /// may be.
    fn new(number: usize, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let agents: Vec<_> = NAMES[..number].iter().map(|name| agent(folder.path(), name, port)).collect();
        let server = free();
        let peers: Vec<_> = NAMES.iter().zip(&agents).map(|(name, (_, at))| format!("{name}={at}")).collect();
        let slow = slow();
        let relay = Program::start([
            "relay",
            "--peers",
            &peers.join(","),
            "--sort-buffer-drain-timeout",
            &slow,
            "--listen-address",
            &server,
            "--health-listen-address",
            "none",
        ]);
        let bed = Self { agents, relay, server, folder };
        bed.connected();
        bed
    }

    fn connected(&self) {
        let all = format!("Connected Nodes: {0}/{0}\n", self.agents.len());
        until("all nodes, connected", || text(&own(&["status", "--server", &self.server])).contains(&all));
    }
}

fn own(args: &[&str]) -> Output {
    output(&binary(), args)
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
    let bed = Bed::new(2, PORT);
    drops(PORT);
    let port = PORT.to_string();
    let observe = |program: &Path, server: &str, format: &str| {
        text(&output(program, &["observe", "--all", "--port", &port, "--server", server, "-o", format]))
    };
    let all = usize::from(COUNT) * 2;
    until("flows of both agents", || observe(&binary(), &bed.server, "compact").lines().count() >= all);
    let ours = observe(&binary(), &bed.server, "compact");
    assert_eq!(ours.lines().count(), all, "{ours}");
    let both = format!("{},{}", bed.agents[0].1, bed.agents[1].1);
    assert_eq!(observe(&binary(), &both, "compact"), ours);
    if let Some(hubble) = stock::client("relay").expect("the stock client") {
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
        command.stdout(out.reopen().expect("a file")).stderr(talk.reopen().expect("a file"));
        Self { program: Program::spawn(&mut command), out, talk }
    }

    /// Whole lines of JSON; of what it says, others are talk.
    fn lines(file: &tempfile::NamedTempFile) -> Vec<Value> {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Node and time of each flow, as they were told.
    fn flows(&self) -> Vec<(String, Timestamp)> {
        let name = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let flows = Self::lines(&self.out).into_iter().filter(|v| v.get("flow").is_some());
        flows.map(|v| (name(&v["node_name"]), time_of(&v["flow"]["time"]))).collect()
    }

    fn of(&self, node: &str) -> usize {
        self.flows().iter().filter(|(n, _)| n == node).count()
    }

    /// It was told that this has become of a node.
    fn says(&self, state: &str, node: &str) -> bool {
        Self::lines(&self.talk).iter().map(|v| &v["node_status"]).any(|status| {
            let names = status["node_names"].as_array();
            status["state_change"] == state && names.is_some_and(|names| names.iter().any(|n| n == node))
        })
    }
}

/// One agent is killed, another stopped, and both come back: the others go on, and each is told of.
fn agents_die_stall_and_come_back(number: usize, port: u16) {
    let mut bed = Bed::new(number, port);
    let client = Follower::new(&bed.server, port);
    // Until it follows all.
    until("flows of all agents", || {
        drops(port);
        NAMES[..number].iter().all(|node| client.of(node) > 0)
    });
    let all = |nodes: &[&str]| {
        let before: Vec<_> = nodes.iter().map(|node| client.of(node)).collect();
        drops(port);
        // Of many like it, some are told as one.
        until("flows of those that live", || nodes.iter().zip(&before).all(|(node, n)| client.of(node) > *n));
    };
    let (dead, others) = NAMES[..number].split_first().expect("a node");
    bed.agents[0].0.signal("KILL");
    until("word of the dead one", || client.says("NODE_UNAVAILABLE", dead));
    all(others);
    let (stalled, living) = others.split_first().expect("another node");
    let before = client.of(stalled);
    bed.agents[1].0.signal("STOP");
    until("word of the stalled one", || client.says("NODE_ERROR", stalled));
    if living.is_empty() {
        drops(port);
    } else {
        all(living);
    }
    let in_order = client.flows();
    bed.agents[1].0.signal("CONT");
    // What the kernel has kept for it meanwhile is told late, and is told.
    until("flows of the one that was stopped", || client.of(stalled) > before);
    assert!(in_order.is_sorted_by(|a, b| a.1 <= b.1), "{in_order:?}");

    let again = agent(bed.folder.path(), dead, port);
    bed.agents[0] = again;
    bed.connected();
    until("flows of the one that has come back", || {
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
    let bed = Bed::new(2, 4302);
    let client = Follower::new(&bed.server, 4302);
    until("a flow", || {
        drops(4302);
        !client.flows().is_empty()
    });
    let took = bed.relay.ends();
    // Half a second is what calls under way are given; this machine may do other things, too.
    assert!(took < Duration::from_secs(20), "{took:?}");
    client.program.wait();
}
