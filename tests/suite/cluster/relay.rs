//! A relay as it is deployed: it knows agents by the Kubernetes API, and its clients stay while these come and go.

use super::follower::Follower;
use super::{STATE, agent, cluster, hubble, kubectl, root, until};

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
    kubectl(&format!("apply -k {}/deploy/relay", root()));
    kubectl("-n netdrop rollout status daemonset/netdrop --timeout=120s");
    kubectl("-n netdrop rollout status deployment/netdrop-relay --timeout=120s");
    both_connected();
    by_hubbles_own_tunnel();

    let follow = format!("kubectl {ASK} observe -f --server localhost:4245 -o json");
    let mut client = Follower::start(&follow.split_whitespace().collect::<Vec<_>>());
    client.tells_more(denied);
    let before = agent("n1");
    kubectl(&format!("-n netdrop delete pod {before} --wait=true --timeout=60s"));
    kubectl("-n netdrop rollout status daemonset/netdrop --timeout=120s");
    assert_ne!(agent("n1"), before);
    both_connected();
    client.tells_more(denied);
}

/// `-P` of Hubble's client, which knows the relay's service by one name only.
fn by_hubbles_own_tunnel() {
    let line = format!(
        "ns cp {} list nodes -P --port-forward-port 0 --kube-namespace netdrop --kubeconfig {STATE}/admin.conf",
        hubble()
    );
    let nodes = cluster(&line.split_whitespace().collect::<Vec<_>>()).expect("Hubble's tunnel opens");
    assert_eq!(nodes.matches(" Connected ").count(), 2, "{nodes}");
}
