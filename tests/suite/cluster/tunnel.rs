//! `-P`: a relay in the cluster, asked through the real API server and kubelet, beside the stock client.

use std::env;
use std::fs;
use std::process::{Child, Command, Stdio};

use super::{STATE, cluster, hubble, kubectl, output, until};
use crate::harness::binary;

const RELAY: &str = include_str!("../cluster-tunnel.yaml");
/// Of the control plane's host, where nobody else listens.
const PORT: &str = "24245";

/// A client on the control plane's host, as admin; its output, or what it said.
fn ask(client: &str, line: &str) -> Result<String, String> {
    let config = format!("{STATE}/admin.conf");
    let words = ["ns", "cp", client].into_iter().chain(line.split_whitespace());
    cluster(&words.chain(["--kubeconfig", &config]).collect::<Vec<_>>())
}

fn refused(netdrop: &str, line: &str, said: &str) {
    let e = ask(netdrop, line).expect_err("there is nobody to ask");
    assert!(e.contains(said), "{line}: {e}");
}

#[test]
fn a_relay_is_asked_through_the_api_server() {
    let (netdrop, hubble) = (binary().display().to_string(), hubble());
    refused(&netdrop, "status -P --kube-namespace tunnel", "the cluster has no relay");
    let manifest = env::temp_dir().join(format!("netdrop-tunnel-{}.yaml", std::process::id()));
    fs::write(&manifest, RELAY).expect("a temporary file can be written");
    kubectl(&format!("apply -f {}", manifest.display()));
    drop(fs::remove_file(manifest));
    kubectl("-n tunnel wait pod/relay --for=condition=Ready --timeout=90s");

    until("the relay to know its node", 60, || {
        let status = ask(&netdrop, "status -P --kube-namespace tunnel").ok()?;
        status.contains("Connected Nodes: 1/1").then_some(())
    });
    // The same flows, to the byte, through netdrop's tunnel and the stock client's.
    let flows = "--protocol udp --port 9 --first 3 -o json";
    let first = &format!("observe -P --kube-namespace tunnel {flows}");
    until("drops of the node", 60, || {
        cluster(&["ns", "n1", "bash", "-c", "echo > /dev/udp/127.0.0.1/9"]).expect("a datagram can be sent");
        let ours = ask(&netdrop, first).expect("netdrop's tunnel opens");
        (ours.lines().count() == 3).then_some(())
    });
    let theirs =
        ask(&hubble, &format!("{first} --port-forward-port 0")).expect("the stock client's tunnel opens");
    assert_eq!(ask(&netdrop, first).expect("netdrop's tunnel opens"), theirs);

    let mut follow = follow(&netdrop);
    // Other clients come in by its port, for as long as it runs.
    let by_port = format!("observe --server 127.0.0.1:{PORT} {flows}");
    let theirs_by_port = until("the port to lead to the relay", 60, || ask(&hubble, &by_port).ok());
    assert_eq!(theirs_by_port, theirs);
    let same_port = format!("status -P --kube-namespace tunnel --port-forward-port {PORT}");
    refused(
        &netdrop,
        &same_port,
        "127.0.0.1:24245 can't be had: somebody else listens there; choose another",
    );
    end(&mut follow);
    ask(&netdrop, &same_port).expect("the port is free again");
    kubectl(
        "-n tunnel patch service hubble-relay -p {\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":9}]}}",
    );
    refused(&netdrop, "observe -P --kube-namespace tunnel", "relay, port 9 ended: nobody ");
    kubectl("-n tunnel patch service hubble-relay -p {\"spec\":{\"selector\":{\"app\":\"gone\"}}}");
    refused(&netdrop, "observe -P --kube-namespace tunnel", "the service tunnel/hubble-relay has no pod");
    kubectl("delete namespace tunnel --wait=true --timeout=60s");
}

/// A tunnel that nothing comes through, and a port beside it.
fn follow(netdrop: &str) -> Child {
    let config = format!("{STATE}/admin.conf");
    Command::new("nsenter")
        .args(["--net=/run/netns/netdrop-k8s-cp", "--", netdrop, "observe", "-P", "-f"])
        .args(["--kube-namespace", "tunnel", "--kubeconfig", &config, "--uuid", "none"])
        .args(["--port-forward-port", PORT])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("netdrop starts")
}

/// It ends when it is asked to.
fn end(follow: &mut Child) {
    assert!(output(Command::new("kill").arg(follow.id().to_string())).status.success());
    let status = until("netdrop's end", 60, || follow.try_wait().expect("netdrop is waited for"));
    assert!(status.success(), "{status}");
}
