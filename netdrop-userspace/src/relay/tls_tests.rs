//! A relay between clients and nodes that both want certificates: right, wrong, expired, and changed while flows come.
//! The node is a relay itself, since that has a server with TLS.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::agent::tls::TlsFiles;
use crate::cli::server_flags::Servers;
use crate::connect::tls::{ClientTls, ClientTlsConfig};
use crate::connect::tls_tests::{Authority, RELAY, ask, files, trusting};
use crate::connect::{Connection, Dial, Pem};
use crate::merge::{PeerAddress, Peers};
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse, ServerStatusResponse};
use crate::relay::RelayConfig;
use crate::relay::node::{LIMIT, TestNode, now};
use crate::relay::tests::{Running, config};
use crate::source::remote;

const NODE: &str = "node0.default.hubble-grpc.cilium.io";

fn dial(tls: ClientTlsConfig) -> Dial {
    Dial { tls: Some(Arc::new(ClientTls::new(tls).unwrap())), tls_always: true, ..Dial::default() }
}

async fn connect(relay: &Running, dial: Dial) -> anyhow::Result<Connection> {
    let mut servers = Servers::one(&format!("tls://{}", relay.address)).unwrap();
    servers.dial = dial;
    remote::connect(&servers).await
}

/// What a client of this relay is told, once it fits.
async fn status(relay: &Running, dial: &Dial, fits: impl Fn(&ServerStatusResponse) -> bool) {
    let deadline = Instant::now() + LIMIT;
    let servers = Servers::one(&format!("tls://{}", relay.address)).unwrap();
    loop {
        let connection = connect(relay, dial.clone()).await.unwrap();
        let told = remote::server_status(&servers, &connection).await;
        if told.as_ref().is_ok_and(&fits) {
            return;
        }
        assert!(Instant::now() < deadline, "{told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn overwrite(pem: &Pem, by: &Pem) {
    fs::copy(&by.cert, &pem.cert).unwrap();
    fs::copy(&by.key, &pem.key).unwrap();
}

/// A node behind a server with TLS, and a relay with TLS before it that asks it by `own`.
struct Bed {
    authority: Authority,
    node: TestNode,
    inner: Running,
    outer: Running,
    /// Files of the two servers, and of the outer one as a client.
    servers: [TlsFiles; 2],
    own: Pem,
}

impl Bed {
    async fn new(own: impl FnOnce(&Authority) -> Pem) -> Self {
        let authority = Authority::new();
        let node = TestNode::start("node0");
        let server =
            |name: &str, names: &[&str]| files(authority.identity(name, names), vec![authority.ca()]);
        let servers = [server("inner", &[NODE]), server("outer", &RELAY)];
        let tls = |n: usize| Some(servers[n].clone());
        let inner =
            Running::start(RelayConfig { tls: tls(0), ..config() }, std::slice::from_ref(&node)).await;
        let own = own(&authority);
        let client = ClientTlsConfig { identity: Some(own.clone()), ..trusting(&authority.ca()) };
        let outer = Running::start(RelayConfig { tls: tls(1), dial: dial(client), ..config() }, &[]).await;
        let address = PeerAddress { address: inner.server(), server_name: Some(NODE.to_owned()) };
        outer.list.send_replace(Some(Peers::from([("node0".into(), address)])));
        Self { authority, node, inner, outer, servers, own }
    }

    /// As a client that may ask.
    fn client(&self) -> Dial {
        let identity = Some(self.authority.identity("client", &["ui"]));
        dial(ClientTlsConfig { identity, ..trusting(&self.authority.ca()) })
    }
}

fn is_connected(status: &ServerStatusResponse) -> bool {
    status.num_connected_nodes == Some(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_whose_own_certificate_has_expired_gets_nothing_until_it_has_a_new_one() {
    let bed = Bed::new(|a| a.until("own", &["relay"], 2002)).await;
    // The node is a line of status, and says nothing of itself.
    let refused = |s: &ServerStatusResponse| {
        s.num_unavailable_nodes == Some(1) && s.unavailable_nodes == ["node0"] && s.num_flows == 0
    };
    status(&bed.outer, &bed.client(), refused).await;
    assert!(bed.node.requests().is_empty());
    overwrite(&bed.own, &bed.authority.identity("new", &["relay"]));
    status(&bed.outer, &bed.client(), is_connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_without_a_right_certificate_learn_nothing() {
    let bed = Bed::new(|a| a.identity("own", &["relay"])).await;
    status(&bed.outer, &bed.client(), is_connected).await;
    let other = Authority::new();
    for (what, identity) in [
        ("none", None),
        ("expired", Some(bed.authority.until("expired", &["ui"], 2002))),
        ("of another authority", Some(other.identity("stranger", &["ui"]))),
    ] {
        let tls = ClientTlsConfig { identity, ..trusting(&bed.authority.ca()) };
        let told = ask(&bed.outer, tls).await;
        let error = told.expect_err(what);
        // The words of the transport, and none of the relay's.
        assert!(!error.contains("node0"), "{what}: {error}");
    }
    let of_health = remote::status(&bed.outer.server()).await;
    assert!(of_health.is_err(), "nothing in the clear");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_with_an_expired_certificate_of_its_server_is_not_trusted() {
    let authority = Authority::new();
    let tls = files(authority.until("old", &RELAY, 2002), Vec::new());
    let relay = Running::start(RelayConfig { tls: Some(tls), ..config() }, &[]).await;
    let error = ask(&relay, trusting(&authority.ca())).await.unwrap_err();
    assert!(error.contains("expired"), "{error}");
}

fn is_flow(response: &GetFlowsResponse, summary: &str) -> bool {
    matches!(&response.response_types, Some(ResponseTypes::Flow(flow)) if flow.summary == summary)
}

/// All certificates and the authority itself change under a call that goes on; what comes after has to show the new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_while_flows_come() {
    let bed = Bed::new(|a| a.identity("own", &["relay"])).await;
    let before = bed.client();
    status(&bed.outer, &before, is_connected).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let connection = connect(&bed.outer, before.clone()).await.unwrap();
    let mut told = ObserverClient::new(connection).get_flows(follow).await.unwrap().into_inner();
    let mut until = async |summary: &str| loop {
        let next = tokio::time::timeout(LIMIT, told.message()).await.expect("in time").unwrap();
        if is_flow(&next.expect("it goes on"), summary) {
            return;
        }
    };
    bed.node.asked(1).await;
    bed.node.see(now(), "before");
    until("before").await;
    let next = Authority::new();
    for (server, names) in bed.servers.iter().zip([&[NODE][..], &RELAY]) {
        let pem = Pem { cert: server.cert.clone(), key: server.key.clone() };
        overwrite(&pem, &next.identity("server", names));
    }
    overwrite(&bed.own, &next.identity("own", &["relay"]));
    fs::copy(next.ca(), bed.authority.ca()).unwrap();
    let after = ClientTlsConfig { identity: Some(next.identity("client", &["ui"])), ..trusting(&next.ca()) };
    let after = dial(after);
    // Once the servers have looked at their files, the old are of no use and the new are.
    let deadline = Instant::now() + LIMIT;
    while connect(&bed.outer, after.clone()).await.is_err() {
        assert!(Instant::now() < deadline, "the new certificates are not taken over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    status(&bed.outer, &after, is_connected).await;
    // The call that began before goes on all the while.
    bed.node.see(now(), "after");
    until("after").await;
    // A peer that is asked anew is asked with the new ones.
    let gone = bed.outer.list.send_replace(Some(Peers::new()));
    status(&bed.outer, &after, |s| s.num_connected_nodes == Some(0)).await;
    let deadline = Instant::now() + LIMIT;
    while connect(&bed.inner, after.clone()).await.is_err() {
        // For another name than its address, so this fails by the name only once the authority is the new one.
        let named = ClientTlsConfig {
            server_name: Some(NODE.to_owned()),
            identity: Some(next.identity("named", &["ui"])),
            ..trusting(&next.ca())
        };
        if connect(&bed.inner, dial(named)).await.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "the node's server has not taken over the new certificates");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bed.outer.list.send_replace(gone);
    status(&bed.outer, &after, is_connected).await;
}
