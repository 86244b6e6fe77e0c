//! Call stacks of real drops: `--stack`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use netdrop_tests::command;
use netdrop_tests::expect;
use netdrop_tests::netns::Netns;
use netdrop_tests::observer::Observer;
use netdrop_tests::rules::{Chain, NftDrop};
use netdrop_tests::traffic;

use crate::harness::{COUNT, LIMIT, Seen, Watch, binary, json_args};
use crate::storm::Storm;

const PORT: u16 = 4292;

fn netns() -> Netns {
    Netns::anonymous("stacks").expect("a namespace")
}

/// From and to a port of the loopback.
fn ends(v6: bool) -> [SocketAddr; 2] {
    [30_000, PORT].map(|port| {
        if v6 {
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
        } else {
            SocketAddr::from(([127, 0, 0, 1], port))
        }
    })
}

fn send(netns: &Netns, v6: bool) {
    let [from, to] = ends(v6);
    netns.run(|| traffic::udp(from, to, b"who called?", COUNT)).expect("traffic");
}

/// Has an agent keep what is dropped in a namespace alone: a storm of another test would cost these drops their lines.
fn only(netns: &Netns) -> [String; 2] {
    ["--allowlist".to_owned(), format!("{{\"netns\":[{}]}}", netns.inode())]
}

/// The frames; the first of them is the place of the drop, and none is netdrop's or the tracepoint's own.
fn stack(seen: &Seen) -> Vec<&str> {
    let frames: Vec<&str> =
        seen.fact("stack").as_array().into_iter().flatten().filter_map(|f| f.as_str()).collect();
    assert_eq!(frames.first().copied(), seen.fact("site").as_str(), "{seen:?}");
    for own in ["bpf_", "__bpf_trace_", "__traceiter_", "kfree_skb", "sk_skb_reason_drop"] {
        assert!(!frames.iter().any(|f| f.starts_with(own)), "{own}: {frames:?}");
    }
    frames
}

/// Whether a function is in a stack; the compiler may have made a variant of it, as `name.isra.0`.
fn calls(stack: &[&str], function: &str) -> bool {
    stack.iter().any(|frame| frame.split(['+', '.']).next() == Some(function))
}

#[test]
fn the_sending_path_to_a_rule() {
    for v6 in [false, true] {
        let netns = netns();
        let rule = format!("udp dport {PORT}");
        let _rule = NftDrop::add(&netns, "deny", Chain::Output, &rule).expect("nft takes the rule");
        let watch = Watch::with(&[&netns], &["--stack=32"]);
        send(&netns, v6);
        for flow in watch.exactly(COUNT, |seen| seen.reason() == "NETFILTER_DROP") {
            let stack = stack(&flow);
            assert!(calls(&stack, "nf_hook_slow"), "{stack:?}");
            let send = if v6 { "udpv6_sendmsg" } else { "udp_sendmsg" };
            assert!(calls(&stack, send), "{stack:?}");
            assert!(flow.fact("stack_more").is_null(), "to the system call: {stack:?}");
        }
    }
}

#[test]
fn the_receiving_path_to_no_socket() {
    for v6 in [false, true] {
        let netns = netns();
        let watch = Watch::with(&[&netns], &["--stack"]);
        send(&netns, v6);
        for flow in watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET") {
            let stack = stack(&flow);
            let receive = if v6 { "__udp6_lib_rcv" } else { "__udp4_lib_rcv" };
            assert!(stack[0].starts_with(receive), "{stack:?}");
            assert!(calls(&stack, "__netif_receive_skb_one_core"), "{stack:?}");
            assert!(stack.len() <= 16, "{stack:?}");
        }
    }
}

#[test]
fn as_deep_as_asked() {
    let netns = netns();
    let watch = Watch::with(&[&netns], &["--stack=2"]);
    send(&netns, false);
    for flow in watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET") {
        assert_eq!(stack(&flow).len(), 2, "{flow:?}");
        assert_eq!(flow.fact("stack_more").as_bool(), Some(true), "{flow:?}");
    }
}

#[test]
fn nobody_asked() {
    let netns = netns();
    let watch = Watch::with(&[&netns], &["--stack=false"]);
    send(&netns, false);
    for flow in watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET") {
        assert!(flow.fact("stack").is_null(), "{flow:?}");
    }
}

/// Places have names although this process may not read the kernel's addresses.
#[test]
fn two_capabilities_are_enough() {
    let netns = netns();
    let mut netdrop = Command::new("setpriv");
    netdrop.args(["--bounding-set=-all,+bpf,+perfmon", "--inh-caps=-all"]);
    netdrop.arg(binary()).arg("observe").args(json_args(&[&netns])).arg("--stack");
    let watch = Watch::of(Observer::run(&mut netdrop).expect("netdrop captures"));
    send(&netns, false);
    for flow in watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET") {
        assert!(calls(&stack(&flow), "__netif_receive_skb_one_core"), "{flow:?}");
    }
}

/// What is added up has the stack of its first packet.
#[test]
fn of_flows_that_are_added_up() {
    let storm = Storm::new();
    let mut watch = Watch::of(storm.watch(&["--stack", "--events-per-flow=1"]));
    storm.send(1, 2_000);
    watch.wait_for(1_usize, |seen| !seen.fact("aggregated").is_null());
    for flow in watch.seen() {
        assert!(calls(&stack(flow), "nf_hook_slow"), "{flow:?}");
    }
}

/// Where the kernel side has no room for a stack it says so, and none is taken for another's.
#[test]
fn more_flows_than_stacks() {
    let storm = Storm::new();
    let observer = storm.watch(&["--stack", "--events-per-flow=1", "--flow-map-size=64"]);
    storm.flood(64, Duration::from_secs(3), 1_000);
    let ended = observer.interrupt().expect("netdrop ends when interrupted");
    let flows = ended.rest.iter().filter_map(|line| netdrop_tests::observer::flow(line).ok()).map(Seen);
    let (with, without): (Vec<Seen>, Vec<Seen>) =
        flows.filter(|f| f.fact("aggregated") != "rest").partition(|f| !f.fact("stack").is_null());
    assert!(with.len() > 64, "{} have a stack", with.len());
    for flow in &with {
        assert!(calls(&stack(flow), "nf_hook_slow"), "{flow:?}");
    }
    let said = ended.talk.lines().find_map(|line| {
        let number = line.strip_prefix("netdrop: ")?.split_once(" without a call stack")?.0;
        number.parse::<usize>().ok()
    });
    assert!(said.unwrap_or(0) >= without.len(), "{} have none: {}", without.len(), ended.talk);
}

/// In a file, and from an agent: whoever captured with stacks, whoever shows them asks for them.
#[test]
fn recorded_and_served() {
    let netns = netns();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, socket) = (path("drops.json"), path("agent.sock"));
    let run = |words: &[&str]| Command::new(binary()).args(words).output().expect("netdrop runs");

    let mut agent = Command::new(binary());
    agent.args(["agent", "--stack", "--log-rate=0", "--socket-path", &socket]).args(only(&netns));
    let _agent = Observer::run(&mut agent).expect("the agent captures");
    send(&netns, false);
    let (server, inode) = (format!("unix://{socket}"), netns.inode().to_string());
    let ask = ["observe", "--server", &server, "--all", "--netns", &inode, "--reason=NO_SOCKET"];
    let shown = |words: &[&str]| {
        let output = run(&[&ask[..], words].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    expect::until("the drops", LIMIT, || Ok(shown(&[]).lines().count() == usize::from(COUNT)))
        .expect("all come");

    let lines = shown(&["--stack"]);
    let frames: Vec<&str> = lines.lines().filter(|line| line.starts_with("    ")).collect();
    assert!(frames.len() > usize::from(COUNT) && frames[0].starts_with("    __udp4_lib_rcv+0x"), "{lines}");
    assert!(shown(&["--stack", "-o", "dict"]).contains("\n      STACK: __udp4_lib_rcv+0x"));
    let recorded = run(&["record", &file, "--server", &server, "--all", "--netns", &inode]);
    assert!(recorded.status.success(), "{recorded:?}");
    let replay = ["observe", "--input-file", &file, "--reason=NO_SOCKET"];
    let binary = binary().display().to_string();
    let replayed = command::run(&binary, &[&replay[..], &["--stack"]].concat()).expect("a file is shown");
    assert_eq!(replayed, lines, "as from the agent");
    assert!(!command::run(&binary, &replay).expect("a file is shown").contains("    "), "nobody asked");
}

/// Who asks an agent that reads none is told.
#[test]
fn an_agent_without_stacks() {
    let netns = netns();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock").display().to_string();
    let mut agent = Command::new(binary());
    agent.args(["agent", "--log-rate=0", "--socket-path", &socket]).args(only(&netns));
    let _agent = Observer::run(&mut agent).expect("the agent captures");
    send(&netns, false);
    let ask = || {
        let words = [
            "observe",
            "--server",
            &format!("unix://{socket}"),
            "--all",
            "--stack",
            "--netns",
            &netns.inode().to_string(),
        ];
        Command::new(binary()).args(words).output().expect("netdrop runs")
    };
    let told = || {
        let output = ask();
        let talk = String::from_utf8_lossy(&output.stderr);
        Ok(!output.stdout.is_empty() && talk.contains("no call stacks: ") && talk.contains("netdrop agent"))
    };
    expect::until("word of stacks", LIMIT, told).expect("it is said");
}
