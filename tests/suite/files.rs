//! Drops into files: as packets for Wireshark, as lines that are read again.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use netdrop_tests::command::run;
use netdrop_tests::netns::Netns;
use netdrop_tests::traffic;

use crate::harness::{COUNT, binary};

const LO: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 4246;

/// Runs netdrop on a namespace until it has seen what a closed port drops there.
fn capture(words: &[&str], out: Stdio) {
    let netns = Netns::anonymous("files").expect("a namespace");
    netns.ip("link set lo up\n").expect("lo comes up");
    let mut netdrop = Command::new(binary())
        .args(words)
        .args(["--server", "none", "--reason", "NO_SOCKET", "--events-per-flow", "0"])
        .args(["--count", &COUNT.to_string(), "--netns", &netns.inode().to_string()])
        .stdout(out)
        .stderr(Stdio::piped())
        .spawn()
        .expect("netdrop runs");
    let mut talk = BufReader::new(netdrop.stderr.take().expect("a pipe")).lines();
    let first = talk.next().expect("netdrop says that it captures").expect("text");
    assert!(first.contains("capturing"), "{first}");
    let to = SocketAddr::new(LO, PORT);
    netns.run(|| traffic::udp(SocketAddr::new(LO, 30_000), to, b"hello", COUNT)).expect("traffic");
    let rest: Vec<String> = talk.map(|l| l.expect("text")).collect();
    let ended = netdrop.wait().expect("netdrop ends by itself");
    assert!(ended.success(), "{rest:?}");
}

#[test]
fn wireshark_reads_dropped_packets() {
    if run("tshark", &["--version"]).is_err() {
        eprintln!("SKIPPED files::wireshark_reads_dropped_packets: there is no tshark here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("drops.pcapng");
    capture(&["observe", "-o", "pcapng"], File::create(&path).expect("a file").into());
    let path = path.display().to_string();
    let fields = ["frame.comment", "frame.interface_name", "ip.dst", "udp.dstport", "frame.len"];
    let mut args = vec!["-r", &path, "-T", "fields"];
    args.extend(fields.iter().flat_map(|f| ["-e", f]));
    let text = run("tshark", &args).expect("tshark reads it");
    assert_eq!(text.lines().count(), usize::from(COUNT), "{text}");
    for line in text.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        assert!(columns[0].starts_with("NO_SOCKET at ") && columns[0].contains("running "), "{line}");
        // Ethernet, IP, UDP and five bytes.
        assert_eq!(columns[1..], ["lo", "127.0.0.1", &PORT.to_string(), "47"], "{line}");
    }
    let info = run("capinfos", &["-M", &path]).expect("capinfos reads it");
    assert!(info.contains("nanoseconds") && info.contains("netdrop"), "{info}");
}

#[test]
fn what_is_recorded_is_shown_again() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["drops.json", "drops.json.gz", "drops.json.zst"] {
        let file = folder.path().join(name);
        capture(&["record", &file.display().to_string()], Stdio::null());
        let shown = observe(&file, &["--port", &PORT.to_string()]);
        assert_eq!(shown.lines().count(), usize::from(COUNT), "{name}: {shown}");
        assert!(shown.lines().all(|l| l.contains("NO_SOCKET at")), "{shown}");
        assert_eq!(observe(&file, &["--port", "1"]), "");
        assert_eq!(observe(&file, &["--last", "3"]).lines().count(), 3);
    }
}

fn observe(file: &Path, words: &[&str]) -> String {
    let file = file.display().to_string();
    let binary = binary().display().to_string();
    run(&binary, &[&["observe", "--input-file", &file], words].concat()).expect("netdrop reads it")
}
