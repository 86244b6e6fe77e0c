//! Capturing without root: what the capabilities BPF and PERFMON are enough for, and what is said where one lacks.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use netdrop_tests::command;
use netdrop_tests::netns::Netns;
use netdrop_tests::observer::Observer;
use netdrop_tests::traffic;

use crate::harness::{COUNT, Watch, binary, json_args};

const PORT: u16 = 4291;
/// nobody.
const UID: &str = "65534";

/// A copy of netdrop where anybody may run it.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        // By another process: a file that this one has open for writing is open, too, in each child that another thread is just
        // starting, and nobody may run it until that child runs its own program (ETXTBSY).
        let (from, to) = (binary(), folder.path().join("netdrop"));
        let paths = [&from, &to].map(|path| path.display().to_string());
        command::run("cp", &[&paths[0], &paths[1]]).expect("a copy of netdrop");
        Self(folder)
    }

    /// netdrop as nobody, with exactly these capabilities.
    fn with(&self, capabilities: &[&str]) -> Command {
        let set = capabilities.iter().fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            UID,
            "--regid",
            UID,
            "--clear-groups",
            "--no-new-privs",
            "--pdeathsig",
            "KILL",
        ]);
        command.args([
            format!("--inh-caps={set}"),
            format!("--ambient-caps={set}"),
            format!("--bounding-set={set}"),
        ]);
        command.arg(self.0.path().join("netdrop"));
        command
    }

    fn run(&self, capabilities: &[&str], args: &[&str]) -> (Output, String) {
        let output = self.with(capabilities).args(args).output().expect("setpriv runs (package util-linux)");
        let text = [&output.stdout[..], &output.stderr].concat();
        (output, String::from_utf8(text).expect("text"))
    }
}

fn captures_with(capabilities: &[&str]) {
    let netns = Netns::anonymous("rights").expect("a namespace");
    let copy = Copy::new();
    let mut command = copy.with(capabilities);
    let observer =
        Observer::run(command.arg("observe").args(json_args(&[&netns]))).expect("netdrop captures");
    let status = fs::read_to_string(format!("/proc/{}/status", observer.id())).expect("a status");
    assert!(status.contains(&format!("Uid:\t{UID}\t")), "{status}");
    let watch = Watch::of(observer);

    let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    netns.run(|| traffic::udp(at(30_000), at(PORT), b"nobody sees?", COUNT)).expect("traffic");

    let seen = watch.exactly(COUNT, |seen| seen.is_between(at(1).ip(), at(PORT)));
    for flow in &seen {
        assert_eq!((flow.reason(), flow.netns()), ("NO_SOCKET", Some(netns.inode())), "{flow:?}");
        // kallsyms shows nobody an address; the kernel itself still names the place.
        assert!(flow.summary().contains("NO_SOCKET at __udp4_lib_rcv"), "{flow:?}");
    }
    // They die on top of their sender, unless its CPU has so much to do that the kernel leaves some to a thread of its own.
    let own = Some(std::process::id().into());
    assert!(seen.iter().any(|flow| flow.fact("pid").as_f64() == own), "{seen:?}");
    let (output, text) = copy.run(capabilities, &["status", "--local"]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("kfree_skb loads and attaches"), "{text}");
}

#[test]
fn three_capabilities_are_enough() {
    captures_with(&["bpf", "perfmon", "net_admin"]);
}

#[test]
fn two_capabilities_are_enough() {
    captures_with(&["bpf", "perfmon"]);
}

/// The row of a capability in `netdrop status --local`, and what it says is lost without.
fn row<'a>(status: &'a str, name: &str) -> (&'a str, &'a str) {
    let mut lines = status.lines().skip_while(|line| line.split_whitespace().nth(1) != Some(name));
    (lines.next().unwrap_or_default(), lines.next().unwrap_or_default().trim())
}

/// Runs without some: a refusal that names them and the way out, and no panic.
fn refused(held: &[&str], lacking: &[&str]) {
    let copy = Copy::new();
    let (output, text) = copy.run(held, &["observe", "--duration=1s"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let names = lacking.join(" and ");
    assert!(text.contains(&format!("{names} that it lacks")), "{text}");
    assert!(
        text.contains("run as root") && text.contains(&format!("add: [{}]", lacking.join(", "))),
        "{text}"
    );
    assert!(!text.contains("panicked") && text.lines().count() == 1, "{text}");
    let (output, text) = copy.run(held, &["status", "--local"]);
    assert!(output.status.success(), "{text}");
    for name in lacking {
        let (row, without) = row(&text, &format!("CAP_{name}"));
        assert!(row.starts_with("missing"), "{text}");
        assert_eq!(without, "without it: no capture: run as root, or grant CAP_BPF and CAP_PERFMON");
    }
}

#[test]
fn without_bpf() {
    refused(&["perfmon", "net_admin"], &["BPF"]);
}

#[test]
fn without_perfmon() {
    refused(&["bpf", "net_admin"], &["PERFMON"]);
}

#[test]
fn without_any() {
    refused(&[], &["BPF", "PERFMON"]);
}

#[test]
fn without_net_admin_capture_goes_on() {
    let (output, text) = Copy::new().run(&["bpf", "perfmon"], &["status", "--local"]);
    assert!(output.status.success(), "{text}");
    let (row, without) = row(&text, "CAP_NET_ADMIN");
    assert!(row.starts_with("missing"), "{text}");
    assert_eq!(without, "without it: no tc or TCX programs; drops are captured without it");
}

/// A user namespace gives all capabilities, and none that the kernel's memory may be read with.
#[test]
fn in_a_user_namespace() {
    let copy = Copy::new();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(copy.0.path().join("netdrop"))
        .args(["observe", "--duration=1s"])
        .output()
        .expect("unshare runs (package util-linux)");
    let text = String::from_utf8(output.stderr).expect("text");
    if text.contains("unshare failed") {
        eprintln!("SKIPPED in_a_user_namespace: this machine makes none: {text}");
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("user namespace") && text.contains("netdrop status --local"), "{text}");
}
