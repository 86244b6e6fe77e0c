//! An agent that is replaced by another one: its node goes, comes back before anybody listens there, and then is there again.

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tonic::Streaming;

use super::node::{LIMIT, TestNode, now};
use super::tests::{Running, config, nodes, peers};
use super::*;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse};
use crate::proto::relay::NodeState;

/// What a follower was told of nodes, in order.
struct Heard {
    stream: Streaming<GetFlowsResponse>,
    news: Vec<(NodeState, String)>,
    flows: Vec<String>,
}

impl Heard {
    async fn until(&mut self, what: &str, fits: impl Fn(&Self) -> bool) {
        while !fits(self) {
            let next = timeout(LIMIT, self.stream.message()).await;
            let next = next.unwrap_or_else(|_| panic!("no {what}: {:?}", self.news));
            match next.unwrap().expect("it goes on").response_types {
                Some(ResponseTypes::NodeStatus(status)) => {
                    self.news.push((status.state_change(), status.message));
                }
                Some(ResponseTypes::Flow(flow)) => self.flows.push(flow.summary),
                _ => {}
            }
        }
    }

    async fn until_news(&mut self, what: &str, state: NodeState) {
        let before = self.news.len();
        self.until(what, |h| h.news[before..].iter().any(|(s, _)| *s == state)).await;
    }
}

/// Somebody comes, and is turned away.
async fn turn_away(listener: &TcpListener) {
    drop(timeout(LIMIT, listener.accept()).await.expect("the relay tries").unwrap());
}

fn listen_at(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(8).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_told_once_that_an_agent_is_out_of_reach() {
    let mut all: [TestNode; 1] = nodes();
    let relay = Running::start(config(), &all).await;
    relay.connected(1).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let stream = relay.client().await.get_flows(follow).await.unwrap().into_inner();
    let mut heard = Heard { stream, news: Vec::new(), flows: Vec::new() };
    heard.until_news("connection", NodeState::NodeConnected).await;
    all[0].asked(1).await;
    all[0].kill();
    heard.until_news("loss", NodeState::NodeUnavailable).await;
    relay.list.send_replace(Some(Peers::new()));
    heard.until_news("departure", NodeState::NodeGone).await;
    // The new agent has its address before it listens.
    let early = listen_at(all[0].address);
    relay.list.send_replace(Some(peers(&all)));
    turn_away(&early).await;
    // At the second attempt it is known that the first has failed.
    turn_away(&early).await;
    drop(early);
    all[0].restart();
    heard.until_news("return", NodeState::NodeConnected).await;
    all[0].asked(2).await;
    all[0].see(now(), "of the new agent");
    heard.until("flow", |h| h.flows == ["of the new agent"]).await;
    let states: Vec<_> = heard.news.iter().map(|(state, _)| *state).collect();
    let (connected, gone) = (NodeState::NodeConnected, NodeState::NodeGone);
    assert_eq!(states, [connected, NodeState::NodeUnavailable, gone, connected], "{:?}", heard.news);
    assert!(heard.news[3].1.starts_with("back after"), "{:?}", heard.news);
}

/// That a node comes back of which only its departure was told is news, and so is that it can't be reached then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_left_and_comes_back_is_told_of() {
    let mut all: [TestNode; 1] = nodes();
    let relay = Running::start(config(), &all).await;
    relay.connected(1).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let stream = relay.client().await.get_flows(follow).await.unwrap().into_inner();
    let mut heard = Heard { stream, news: Vec::new(), flows: Vec::new() };
    heard.until_news("connection", NodeState::NodeConnected).await;
    relay.list.send_replace(Some(Peers::new()));
    heard.until_news("departure", NodeState::NodeGone).await;
    relay.list.send_replace(Some(peers(&all)));
    heard.until_news("return", NodeState::NodeConnected).await;
    relay.list.send_replace(Some(Peers::new()));
    heard.until_news("departure", NodeState::NodeGone).await;
    all[0].kill();
    relay.list.send_replace(Some(peers(&all)));
    heard.until_news("trouble", NodeState::NodeUnavailable).await;
}
