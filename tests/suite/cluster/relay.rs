//! A relay as it is deployed: it knows agents by the Kubernetes API, and its clients stay while these come and go.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use super::{agent, flows, knock, kubectl, names, until, xtask};

/// Asks the relay, from beside it.
const ASK: &str = "-n netdrop exec deployment/netdrop-relay -- netdrop";

fn both_connected() {
    until("both nodes, connected to the relay", 120, || {
        let list = kubectl(&format!("{ASK} list nodes --server localhost:4245"));
        let connected = |node: &str| list.lines().any(|l| l.starts_with(node) && l.contains(" Connected "));
        (connected("n1") && connected("n2")).then_some(())
    });
}

/// `denied` is the address of a pod that checkout-api may not reach; both are on n1.
pub fn finds_agents_by_the_api(denied: &str) {
    let root = env!("CARGO_MANIFEST_DIR").trim_end_matches("/tests");
    kubectl(&format!("apply -k {root}/deploy/relay"));
    kubectl("-n netdrop rollout status daemonset/netdrop --timeout=120s");
    kubectl("-n netdrop rollout status deployment/netdrop-relay --timeout=120s");
    both_connected();

    let told = tempfile::NamedTempFile::new().expect("a temporary file");
    let follow = format!("{ASK} observe -f --server localhost:4245 -o json");
    let mut client = Command::new(xtask())
        .args(["cluster", "kubectl"])
        .args(follow.split_whitespace())
        .stdin(Stdio::null())
        .stdout(File::create(told.path()).expect("a temporary file can be written"))
        .stderr(Stdio::null())
        .spawn()
        .expect("a client of the relay starts");
    let seen = || {
        let text = fs::read_to_string(told.path()).unwrap_or_default();
        flows(&text).iter().filter(|v| names(v, "checkout-api", "payments-db", "n1")).count()
    };
    let more = |than: usize| {
        until("a drop by way of the relay", 60, || {
            knock("checkout-api", denied);
            (seen() > than).then_some(())
        });
    };
    more(0);
    let before = agent("n1");
    kubectl(&format!("-n netdrop delete pod {before} --wait=true --timeout=60s"));
    kubectl("-n netdrop rollout status daemonset/netdrop --timeout=120s");
    assert_ne!(agent("n1"), before);
    both_connected();
    more(seen());
    assert!(client.try_wait().expect("it can be looked at").is_none(), "the client had to connect anew");
    // Nobody but this test made it.
    drop(client.kill());
    drop(client.wait());
}
