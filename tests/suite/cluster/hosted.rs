//! A pod of the host's network has its node's address, and a name all the same.

use super::{flows, kubectl, observe, on, until};

const RULE: &str = "OUTPUT -p tcp --dport 9999 -m comment --comment stray -j DROP";

pub(super) fn pods_of_the_hosts_network_have_names(to: &str) {
    until("the pod of the host's network", 60, || {
        let phase = kubectl("-n production get pod node-exporter -o jsonpath={.status.phase}");
        (phase == "Running").then_some(())
    });
    on("n1", &format!("iptables -A {RULE}"));
    let seen = until("a drop of the pod of the host's network", 60, || {
        // It gets no answer, so nc fails.
        drop(super::cluster(&[
            "kubectl",
            "-n",
            "production",
            "exec",
            "node-exporter",
            "--",
            "nc",
            "-w",
            "1",
            to,
            "9999",
        ]));
        let seen = flows(&observe("n1", "--from-pod production/node-exporter -o json --last 20"));
        seen.into_iter().find(|v| v["flow"]["destination"]["pod_name"] == "payments-db")
    });
    on("n1", &format!("iptables -D {RULE}"));
    let source = &seen["flow"]["source"];
    assert_eq!(source["identity"], 1, "the host's: {seen}");
    let labels = source["labels"].to_string();
    assert!(labels.contains("reserved:host") && labels.contains("k8s:app=node-exporter"), "{labels}");
    let place = &seen["flow"]["extensions"]["value"];
    assert_eq!((&place["kernel_reason"], &place["netns_name"]), (&"NETFILTER_DROP".into(), &"host".into()));
}
