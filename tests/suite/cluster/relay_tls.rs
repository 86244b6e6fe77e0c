//! The relay and its agents by mutual TLS, with the certificates that deploy/relay-tls makes, asked by Hubble's client.

use std::process::Command;

use super::follower::Follower;
use super::{STATE, cluster, flows, hubble, knock, kubectl, names, output, root, until};

/// Where this test's certificates are; it goes with the cluster.
fn folder() -> String {
    format!("{STATE}/certificates")
}

/// Makes them, anew if they are there, and gives them to the cluster.
fn certificates() {
    let made = output(Command::new(format!("{}/deploy/relay-tls/certificates.sh", root())).arg(folder()));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    kubectl(&format!("apply -f {}/secrets.yaml", folder()));
}

/// The command line of Hubble's client on n1, at the relay's service; with a certificate, or none.
fn line(service: &str, certificate: Option<&str>, rest: &str) -> Vec<String> {
    let folder = folder();
    let identity = certificate.map(|name| {
        format!("--tls-client-cert-file {folder}/{name}.crt --tls-client-key-file {folder}/{name}.key")
    });
    let words = format!(
        "ns n1 {} {rest} --server tls://{service} --tls-server-name netdrop-relay.netdrop.svc \
         --tls-ca-cert-files {folder}/clients-ca.crt {}",
        hubble(),
        identity.unwrap_or_default()
    );
    words.split_whitespace().map(str::to_owned).collect()
}

fn ask(service: &str, certificate: Option<&str>, rest: &str) -> Result<String, String> {
    let words = line(service, certificate, rest);
    cluster(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The serial number of the certificate that a server shows; certificate and key are those of the one who asks.
fn shown(server: &str, certificate: &str) -> String {
    let folder = folder();
    let show = format!(
        "openssl s_client -connect {server} -cert {folder}/{certificate}.crt -key {folder}/{certificate}.key \
         </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    cluster(&["ns", "n1", "sh", "-c", &show]).unwrap_or_default()
}

fn made(certificate: &str) -> String {
    let file = format!("{}/{certificate}.crt", folder());
    let serial = output(Command::new("openssl").args(["x509", "-noout", "-serial", "-in", &file]));
    String::from_utf8_lossy(&serial.stdout).into_owned()
}

/// `denied` is the address of a pod that checkout-api may not reach; both are on n1.
pub fn lets_in_who_has_a_certificate(denied: &str) {
    certificates();
    kubectl(&format!("apply -k {}/deploy/relay-tls", root()));
    kubectl("-n netdrop rollout status daemonset/netdrop --timeout=120s");
    kubectl("-n netdrop rollout status deployment/netdrop-relay --timeout=120s");
    let address = kubectl("-n netdrop get service netdrop-relay -o jsonpath={.spec.clusterIP}");
    let service = format!("{address}:4245");
    until("both nodes, connected by TLS", 120, || {
        let list = ask(&service, Some("client"), "list nodes -o wide").ok()?;
        (list.matches(" Connected ").count() == 2 && list.matches("Enabled").count() == 2).then_some(())
    });
    until("a drop by TLS", 60, || {
        knock("checkout-api", denied);
        let told = ask(&service, Some("client"), "observe -o json --last 50").ok()?;
        flows(&told).iter().any(|v| names(v, "checkout-api", "payments-db", "n1")).then_some(())
    });
    // Who may ask the agents, as the relay does, may not ask the relay.
    for stranger in [None, Some("relay-client")] {
        for words in ["status", "observe --last 1", "list nodes"] {
            let refused = ask(&service, stranger, words).expect_err("a stranger");
            assert!(refused.contains("tls: ") && !refused.contains("Connected"), "{words}: {refused}");
        }
    }
    let agent = "10.211.0.11:4244";
    assert!(ask(agent, Some("client"), "status").is_err(), "a client of the relay has no business here");

    let follow = line(&service, Some("client"), "observe -f -o json");
    let mut client = Follower::start(&follow.iter().map(String::as_str).collect::<Vec<_>>());
    client.tells_more(denied);
    let before = (shown(&service, "client"), shown(agent, "relay-client"));
    assert_eq!(before, (made("relay"), made("agent")));
    certificates();
    // So that the kubelet looks at the secrets now and not within a minute.
    kubectl("-n netdrop annotate pod --all certificates=new");
    until("new certificates of relay and agent", 180, || {
        let now = (shown(&service, "client"), shown(agent, "relay-client"));
        (now == (made("relay"), made("agent"))).then_some(())
    });
    assert_ne!(made("relay"), before.0);
    client.tells_more(denied);
    assert!(ask(&service, Some("client"), "status").is_ok_and(|s| s.contains("Connected Nodes: 2/2")));
}
