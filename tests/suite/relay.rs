//! A relay between real agents and clients, netdrop's and Hubble's.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use netdrop_tests::netns::Netns;
use netdrop_tests::{stock, traffic};

use crate::harness::{COUNT, binary};
use crate::servers::{Bed, Program, output, text, until};

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
        text(&output(program, &["observe", "--all", "--port", &port, "--server", server, "-o", format]))
    };
    let all = usize::from(COUNT) * 2;
    until("all drops at the relay", || observe(&binary(), &bed.server, "compact").lines().count() >= all);
    let ours = observe(&binary(), &bed.server, "compact");
    assert_eq!(ours.lines().count(), all, "{ours}");
    assert_eq!(observe(&binary(), &bed.agents.join(","), "compact"), ours);
    if let Some(hubble) = stock::client("a relay beside the stock client").expect("the stock client") {
        for format in ["compact", "dict", "json", "table"] {
            let ours = observe(&binary(), &bed.server, format);
            assert_eq!(ours, observe(&hubble, &bed.server, format), "-o {format}");
        }
    }
}

/// On a machine that does much else, one of three attempts is enough.
#[test]
fn a_relay_ends_within_a_second_while_clients_follow() {
    let mut took = Vec::new();
    for _ in 0..3 {
        let bed = Bed::new();
        let client = Program::start(["observe", "-f", "--server", &bed.server]);
        std::thread::park_timeout(Duration::from_millis(500));
        took.push(bed.relay.ends());
        client.wait();
        if took.iter().any(|t| *t < Duration::from_secs(1)) {
            return;
        }
    }
    panic!("{took:?}");
}
