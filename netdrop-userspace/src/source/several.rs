//! Calls with one answer to several servers: what each says, made one answer, as a relay would.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tonic::Code;

use crate::cli::server_flags::Servers;
use crate::connect::words;
use crate::merge::census::{self, Answer};
use crate::merge::{Crew, Peer, PeerState, Tempo};
use crate::proto::observer::{GetNamespacesRequest, GetNodesRequest, Namespace, Node, ServerStatusResponse};

/// In whose name sums are told.
const VERSION: &str = concat!("netdrop v", env!("CARGO_PKG_VERSION"));

/// Servers that have answered once, or have shown that they do not.
pub struct Several {
    /// Keeps the connections.
    _crew: Crew,
    peers: Vec<Arc<Peer>>,
    patience: Duration,
}

impl Several {
    /// Connects to all of them; an error if nobody is there.
    pub async fn connect(servers: &Servers) -> anyhow::Result<Self> {
        Self::connect_at(servers, Tempo::default()).await
    }

    async fn connect_at(servers: &Servers, tempo: Tempo) -> anyhow::Result<Self> {
        let patience = servers.request_timeout;
        let crew = Crew::fixed(&servers.peers()?, servers.dial.clone(), tempo);
        let peers: Vec<_> = crew.roster().borrow().peers.values().cloned().collect();
        let settled = peers.iter().map(|peer| {
            let mut state = peer.state.clone();
            async move { drop(state.wait_for(|s| !matches!(s, PeerState::Connecting)).await) }
        });
        // Who has not settled by then is out of reach.
        drop(tokio::time::timeout(servers.dial.timeout + tempo.patience, join_all(settled)).await);
        if !peers.iter().any(|peer| peer.connection().is_some()) {
            let why: Vec<_> = peers.iter().map(|peer| why(peer)).collect();
            anyhow::bail!("none of the servers can be reached: {}", why.join("; "));
        }
        Ok(Self { _crew: crew, peers, patience })
    }

    /// Why some of them can't be reached.
    pub fn troubles(&self) -> Vec<String> {
        self.peers.iter().filter(|peer| peer.connection().is_none()).map(|peer| why(peer)).collect()
    }

    /// The sums of those that answer, and why others don't.
    pub async fn status(&self) -> (ServerStatusResponse, Vec<String>) {
        let answers = census::statuses(self.peers.clone(), self.patience).await;
        let silent = answers.iter().filter_map(|(peer, answer)| {
            let status = answer.as_ref().err()?;
            let refused = || format!("{} does not tell its state: {}", peer.name, words(status));
            Some(if peer.connection().is_some() { refused() } else { why(peer) })
        });
        (census::sum(&answers, VERSION), silent.collect())
    }

    /// All nodes that servers tell of; a server that knows of none is one itself.
    pub async fn nodes(&self) -> anyhow::Result<Vec<Node>> {
        let call = |mut c: census::Client| async move { c.get_nodes(GetNodesRequest {}).await };
        let told = census::ask_all(self.peers.clone(), self.patience, call).await;
        let (mut nodes, mut alone) = (Vec::new(), Vec::new());
        for (peer, answer) in told {
            match answer {
                Ok(answer) if !answer.nodes.is_empty() => nodes.extend(answer.nodes),
                Err(status) if is_refusal(status.code()) => return Err(words(&status)),
                _ => alone.push(peer),
            }
        }
        let statuses = census::statuses(alone, self.patience).await;
        nodes.extend(statuses.iter().map(census::node));
        Ok(nodes)
    }

    /// The namespaces of all that answer.
    pub async fn namespaces(&self) -> anyhow::Result<Vec<Namespace>> {
        let call = |mut c: census::Client| async move { c.get_namespaces(GetNamespacesRequest {}).await };
        let told: Vec<Answer<_>> = census::ask_all(self.peers.clone(), self.patience, call).await;
        let mut all = Vec::new();
        for (_, answer) in told {
            match answer {
                Ok(answer) => all.extend(answer.namespaces),
                Err(status) if is_refusal(status.code()) => return Err(words(&status)),
                Err(_) => {}
            }
        }
        Ok(census::namespaces(all))
    }
}

/// Who asks may not; that is no lack of a node.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::PermissionDenied | Code::Unauthenticated)
}

/// What is wrong with a server, with its name.
pub(super) fn named(name: &str, why: &str) -> String {
    let address = name.rsplit("://").next().unwrap_or(name);
    if why.contains(address) { why.to_owned() } else { format!("{name}: {why}") }
}

fn why(peer: &Peer) -> String {
    match &*peer.state.borrow() {
        PeerState::Down(why) | PeerState::Stalled(why) => named(&peer.name, why),
        PeerState::Connecting | PeerState::Up(_) => format!("{} does not answer", peer.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Target;
    use crate::connect::tls::ClientTls;
    use crate::connect::tls_tests::{Authority, RELAY, files, trusting};
    use crate::proto::relay::NodeState;
    use crate::relay::RelayConfig;
    use crate::relay::node::{LIMIT, TestNode};
    use crate::relay::tests::{Running, config, nodes, past, patient};

    fn servers(addresses: &[String]) -> Servers {
        let mut servers = Servers::one(&addresses[0]).unwrap();
        servers.targets = addresses.iter().map(|a| Target::parse(a).unwrap()).collect();
        servers.request_timeout = LIMIT;
        servers
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn several_answer_as_one() {
        let mut nodes = nodes::<4>();
        past(&nodes, 40);
        // A relay over one, two alone, and one that is dead.
        let relay = Running::start(config(), &nodes[..1]).await;
        relay.connected(1).await;
        let dead = nodes[3].address.to_string();
        nodes[3].kill();
        let mut all = vec![relay.server()];
        all.extend(nodes[1..].iter().map(|n| n.address.to_string()));
        let several = Several::connect_at(&servers(&all), patient()).await.unwrap();
        let (status, troubles) = several.status().await;
        assert!(matches!(&troubles[..], [one] if one.contains(&dead)), "{troubles:?}");
        assert_eq!(several.troubles(), troubles);
        assert_eq!((status.num_flows, status.max_flows), (30, 3 * 4095));
        assert_eq!((status.num_connected_nodes, status.num_unavailable_nodes), (Some(3), Some(1)));
        assert_eq!(status.unavailable_nodes, std::slice::from_ref(&dead));
        let mut list = several.nodes().await.unwrap();
        list.sort_by(|a, b| a.num_flows.cmp(&b.num_flows).then(a.address.cmp(&b.address)));
        let shown: Vec<_> = list.iter().map(|n| (&*n.address, n.state(), n.num_flows)).collect();
        let connected = |node: &TestNode| (node.address.to_string(), NodeState::NodeConnected, 10);
        let mut want = vec![(dead, NodeState::NodeUnavailable, 0)];
        want.extend(nodes[..3].iter().map(connected));
        assert_eq!(shown, want.iter().map(|(a, s, n)| (&**a, *s, *n)).collect::<Vec<_>>());
        let names: Vec<_> = several.namespaces().await.unwrap().into_iter().map(|n| n.namespace).collect();
        assert_eq!(names, ["everywhere", "of-node0", "of-node1", "of-node2"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_tls_refuses_is_told_with_the_way_out() {
        let (own, other) = (Authority::new(), Authority::new());
        let nodes = nodes::<1>();
        let tls = Some(files(other.identity("relay", &RELAY), Vec::new()));
        let relay = Running::start(RelayConfig { tls, ..config() }, &[]).await;
        let mut servers = servers(&[nodes[0].address.to_string(), format!("tls://{}", relay.address)]);
        servers.dial.tls = Some(Arc::new(ClientTls::new(trusting(&own.ca())).unwrap()));
        let several = Several::connect_at(&servers, patient()).await.unwrap();
        let (_, troubles) = several.status().await;
        assert!(
            matches!(&troubles[..], [one] if one.contains("of no authority") && one.contains("--tls-ca-cert-files")),
            "{troubles:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_nobody_there_is_nothing_to_say() {
        let mut nodes = nodes::<2>();
        nodes.iter_mut().for_each(TestNode::kill);
        let all: Vec<_> = nodes.iter().map(|n| n.address.to_string()).collect();
        let e = Several::connect(&servers(&all)).await.err().unwrap().to_string();
        assert!(e.starts_with("none of the servers can be reached: cannot connect to 127."), "{e}");
        assert_eq!(e.matches("Connection refused").count(), 2, "{e}");
    }
}
