//! The agent as others reach it: Hubble's own client by mutual TLS, and systemd.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use netdrop_tests::expect;
use netdrop_tests::netns::Netns;
use netdrop_tests::observer::Observer;
use netdrop_tests::stock;
use netdrop_tests::traffic;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::harness::{LIMIT, binary};
use crate::servers::free;

const PORT: u16 = 4291;
const SERVER_NAME: &str = "node-1.default.hubble-grpc.cilium.io";

/// A CA, and certificates by it, in a folder.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(vec![]).expect("a CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    fs::write(folder.join("ca"), params.self_signed(&key).expect("a CA").pem()).expect("written");
    let ca = Issuer::new(params, key);
    for name in ["server", "client"] {
        let params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &ca).expect("a certificate").pem();
        fs::write(folder.join(format!("{name}.cert")), cert).expect("written");
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

/// What is said to systemd, until it fits.
fn news(socket: &UnixDatagram, fits: impl Fn(&str) -> bool) -> String {
    let deadline = expect::deadline(LIMIT);
    while expect::readable(socket, deadline).expect("a socket") {
        let mut text = [0; 1000];
        let length = socket.recv(&mut text).expect("news");
        let text = String::from_utf8_lossy(&text[..length]).into_owned();
        if fits(&text) {
            return text;
        }
    }
    panic!("systemd was not told within {LIMIT:?}");
}

#[test]
fn hubbles_client_by_mutual_tls_and_news_for_systemd() {
    let Some(hubble) = stock::client("the agent by mutual TLS").expect("the stock client") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).into_os_string();
    certificates(folder.path());
    let systemd = UnixDatagram::bind(path("notify")).expect("a socket");
    let server = free();
    let netns = Netns::anonymous("serving").expect("a namespace");
    // A storm of another test would cost the drop that is asked for its line.
    let own = format!("{{\"netns\":[{}]}}", netns.inode());
    let mut agent = Command::new(binary());
    agent.args(["agent", "--log-rate=0", "--node-name=node-1", "--listen-address", &server]);
    agent.args(["--allowlist", &own]);
    for (flag, file) in [
        ("--socket-path", "agent.sock"),
        ("--tls-cert-file", "server.cert"),
        ("--tls-key-file", "server.key"),
        ("--tls-client-ca-files", "ca"),
    ] {
        agent.arg(flag).arg(path(file));
    }
    agent.env("NOTIFY_SOCKET", path("notify")).env("WATCHDOG_USEC", "1000000").env_remove("WATCHDOG_PID");
    let agent = Observer::run(&mut agent).expect("the agent captures");
    news(&systemd, |text| text.starts_with("READY=1\n"));
    news(&systemd, |text| text == "WATCHDOG=1");
    agent.signal(libc::SIGHUP).expect("a signal");
    news(&systemd, |text| text.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    news(&systemd, |text| text == "READY=1");

    let ask = |words: &[&str], certificate: bool| -> Output {
        let mut ask = Command::new(&hubble);
        ask.args(words).args(["--server", &format!("tls://{server}"), "--tls-server-name", SERVER_NAME]);
        ask.arg("--tls-ca-cert-files").arg(path("ca"));
        if certificate {
            ask.arg("--tls-client-cert-file").arg(path("client.cert"));
            ask.arg("--tls-client-key-file").arg(path("client.key"));
        }
        ask.stdin(Stdio::null()).output().expect("hubble runs")
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let status = ask(&["status"], true);
    assert!(status.status.success() && text(&status.stdout).contains(": Ok\n"), "{status:?}");
    for words in [&["status"][..], &["observe", "--last=1"], &["list", "namespaces"], &["reflect"]] {
        let refused = ask(words, false);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{words:?}: {refused:?}");
        assert!(text(&refused.stderr).contains("certificate required"), "{words:?}: {refused:?}");
    }
    let nodes = ask(&["list", "nodes"], true);
    assert_eq!(text(&nodes.stderr), "rpc error: code = Unimplemented desc = GetNodes not implemented\n");
    let events = text(&ask(&["observe", "agent-events", "-o", "json"], true).stdout);
    let event: Value = serde_json::from_str(events.trim()).unwrap_or_else(|_| panic!("one event: {events}"));
    assert_eq!(
        (event["agent_event"]["type"].as_str(), event["node_name"].as_str()),
        (Some("AGENT_STARTED"), Some("node-1"))
    );
    let debug = ask(&["observe", "debug-events"], true);
    assert!(debug.status.success() && debug.stdout.is_empty(), "{debug:?}");

    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    netns.run(|| traffic::udp(at(30_000), at(PORT), b"nobody home", 1)).expect("traffic");
    let wanted = ["observe", "--last=1", "--port=4291", "-o", "compact"];
    expect::until("the drop at Hubble's client", LIMIT, || {
        Ok(text(&ask(&wanted, true).stdout).contains("DROPPED (UDP; NO_SOCKET at "))
    })
    .expect("the drop is shown");

    agent.signal(libc::SIGTERM).expect("a signal");
    news(&systemd, |text| text.starts_with("STOPPING=1\n"));
    let ended = agent.wait().expect("it ends");
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.talk.contains("peer sent no certificates"), "it says whom it turned away: {}", ended.talk);
    assert!(!folder.path().join("agent.sock").exists(), "the socket is removed");
}

/// Takes its stdin for descriptor 3, as systemd hands sockets over, and becomes the agent.
const ACTIVATED: &str = r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" agent --log-rate=0"#;

#[test]
fn a_socket_of_systemd_is_served_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    let socket = OwnedFd::from(UnixListener::bind(&path).expect("a socket"));
    let mut agent = Command::new("sh");
    agent.arg("-c").arg(ACTIVATED).arg(binary());
    let agent = Observer::run_with(&mut agent, socket.into()).expect("the agent captures");
    let server = format!("unix://{}", path.display());
    let mut status = Command::new(binary());
    let status = status.args(["status", "--server", &server]).output().expect("netdrop status");
    assert!(status.status.success(), "{status:?}");
    let ended = agent.interrupt().expect("it ends");
    assert!(ended.status.success(), "{ended:?}");
    assert!(path.exists(), "the socket is systemd's");
}
