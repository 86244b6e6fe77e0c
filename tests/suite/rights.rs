//! netdrop with no more rights than it needs.

use std::net::SocketAddr;
use std::process::Command;

use netdrop_tests::command;
use netdrop_tests::netns::Netns;
use netdrop_tests::observer::Observer;
use netdrop_tests::traffic;

use crate::harness::{COUNT, Watch, binary, json_args};

const PORT: u16 = 4290;
/// BPF and PERFMON, and no others.
const SETPRIV: [&str; 2] = ["--bounding-set=-all,+bpf,+perfmon", "--inh-caps=-all"];

/// Places have names although the kernel hides its addresses: it prints them itself (`%pS`).
#[test]
fn two_capabilities_are_enough() {
    let netns = Netns::anonymous("rights").expect("a namespace");
    let symbols = "grep -m 1 ' _stext$' /proc/kallsyms";
    let shown = command::run("setpriv", &[SETPRIV[0], SETPRIV[1], "sh", "-c", symbols]).expect("a symbol");
    assert!(shown.starts_with("0000000000000000 "), "kptr_restrict=0 shows addresses: {shown}");
    let mut netdrop = Command::new("setpriv");
    netdrop.args(SETPRIV).arg(binary()).arg("observe").args(json_args(&[&netns]));
    let watch = Watch::of(Observer::run(&mut netdrop).expect("netdrop captures"));

    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    netns.run(|| traffic::udp(at(30_000), at(PORT), b"nobody home", COUNT)).expect("traffic");

    for flow in watch.exactly(COUNT, |seen| seen.reason() == "NO_SOCKET") {
        assert!(flow.summary().ends_with("NO_SOCKET at __udp4_lib_rcv"), "{flow:?}");
        assert_eq!(flow.netns(), Some(netns.inode()), "{flow:?}");
    }
}
