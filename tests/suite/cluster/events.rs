//! Agent events, as what happens in the cluster makes them, by both clients.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{hubble, kubectl, output, until};
use crate::harness::binary;

const THINGS: &str = include_str!("../cluster-events.yaml");

/// Events that the agent tells, by netdrop's client; Hubble's prints the same bytes.
fn events(socket: &Path) -> Vec<Value> {
    let server = format!("unix://{}", socket.display());
    let ask = |client: &str, last: usize| {
        let last = last.to_string();
        let words = ["observe", "agent-events", "--first", &last, "-o", "json", "--server", &server];
        let out = output(Command::new(client).args(words));
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let ours = ask(&binary().display().to_string(), 1000);
    // Its client asks for all, whatever it is to show first, and more may have come by then.
    let theirs = ask(&hubble(), ours.lines().count());
    assert!(theirs.starts_with(&ours), "{theirs}\nis not, to begin with,\n{ours}");
    ours.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

/// `socket` is that of the agent on n1.
pub fn tell_what_comes_and_goes(socket: &Path) {
    let told = |kind: &str, part: &str, key: &str, value: &str| {
        until(&format!("{kind} of {value}"), 60, || {
            let all = events(socket);
            let fits = |e: &&Value| e["agent_event"]["type"] == kind && e["node_name"] == "n1";
            all.iter().filter(fits).find(|e| e["agent_event"][part][key].to_string().contains(value)).cloned()
        })
    };
    told("AGENT_STARTED", "agent_start", "time", "20");
    told("ENDPOINT_CREATED", "endpoint_update", "pod_name", "payments-db");

    let manifest = std::env::temp_dir().join(format!("netdrop-events-{}.yaml", std::process::id()));
    fs::write(&manifest, THINGS).expect("a temporary file can be written");
    kubectl(&format!("apply -f {}", manifest.display()));
    let service = told("SERVICE_UPSERTED", "service_upsert", "name", "payments");
    assert_eq!(service["agent_event"]["service_upsert"]["frontend_address"]["port"], 5432, "{service}");
    let policy = told("POLICY_UPDATED", "policy_update", "labels", "k8s.policy.name=nobody");
    let pod = told("ENDPOINT_CREATED", "endpoint_update", "pod_name", "passer-by");
    assert_eq!(pod["agent_event"]["endpoint_update"]["namespace"], "production", "{pod}");
    told("IPCACHE_UPSERTED", "ipcache_update", "pod_name", "passer-by");

    kubectl(&format!("delete -f {} --wait=true --timeout=60s", manifest.display()));
    drop(fs::remove_file(manifest));
    let gone = told("SERVICE_DELETED", "service_delete", "id", "");
    assert_eq!(
        gone["agent_event"]["service_delete"]["id"], service["agent_event"]["service_upsert"]["id"],
        "{gone}"
    );
    let ended = told("POLICY_DELETED", "policy_update", "labels", "production/nobody");
    let revision =
        |e: &Value| e["agent_event"]["policy_update"]["revision"].as_str().and_then(|r| r.parse().ok());
    assert!(revision(&policy) < revision(&ended) && revision(&policy) > Some(0_u64), "{policy} {ended}");
    told("ENDPOINT_DELETED", "endpoint_update", "pod_name", "passer-by");
    told("IPCACHE_DELETED", "ipcache_update", "pod_name", "passer-by");
}
