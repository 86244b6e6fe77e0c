//! A door that is full: who comes from elsewhere has a share all the same, and who had more is told so.

use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Streaming};

use super::doors::Listen;
use super::tests::{Agent, flow};
use super::tests_arrivals::connect_from;
use super::tests_raw::{SOON, channel};
use super::*;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse, ServerStatusRequest};

const GREEDY: [u8; 4] = [127, 0, 0, 2];
const OTHER: [u8; 4] = [127, 0, 0, 3];

type Client = ObserverClient<Channel>;

async fn start(limits: Limits) -> (Agent, SocketAddr) {
    let listen = Listen { address: Some(([127, 0, 0, 1], 0).into()), disable_tls: true, ..Listen::default() };
    let agent = Agent::with(1 << 20, limits, listen).await;
    let port = agent.port.unwrap();
    (agent, port)
}

async fn client(from: [u8; 4], to: SocketAddr, endpoint: Endpoint) -> Client {
    let connect =
        tower::service_fn(move |_: Uri| async move { connect_from(from, to).await.map(TokioIo::new) });
    ObserverClient::new(endpoint.connect_with_connector(connect).await.unwrap())
}

fn usual() -> Endpoint {
    Endpoint::from_static("http://localhost")
}

async fn status(client: &mut Client) -> Result<(), tonic::Status> {
    let asked = client.server_status(ServerStatusRequest::default());
    timeout(SOON, asked).await.expect("an answer").map(drop)
}

async fn follow(client: &mut Client) -> Streaming<GetFlowsResponse> {
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    client.get_flows(follow).await.unwrap().into_inner()
}

/// How a stream ends.
async fn end(stream: &mut Streaming<GetFlowsResponse>) -> tonic::Status {
    loop {
        match timeout(SOON, stream.message()).await.expect("it ends") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if all had been told"),
            Err(status) => return status,
        }
    }
}

/// What of these goes on: it tells of the flow of this second.
async fn go_on(streams: &mut [Streaming<GetFlowsResponse>], second: i64) {
    for stream in streams {
        let next = timeout(SOON, stream.message()).await.expect("a flow").unwrap();
        assert_eq!(next.unwrap().time.unwrap().seconds, second);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_with_all_connections_makes_room_for_another() {
    let (agent, port) = start(Limits { connections: 4, ..Limits::default() }).await;
    let mut streams = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = client(GREEDY, port, usual()).await;
        streams.push(follow(&mut client).await);
        clients.push(client);
    }
    let mut other = client(OTHER, port, usual()).await;
    status(&mut other).await.unwrap();
    // The newest had to go, and was told why.
    let ended = end(&mut streams.pop().unwrap()).await;
    assert_eq!(ended.code(), Code::ResourceExhausted, "{ended}");
    assert!(ended.message().contains("this server is full"), "{ended}");
    drop(clients.pop());
    // It does not get in again at the cost of anybody.
    let refused = status(&mut client(GREEDY, port, usual()).await).await.unwrap_err();
    assert!(refused.message().contains("too many connections"), "{refused}");
    status(&mut other).await.unwrap();
    agent.push.send(Observation::Flow(flow(5))).await.unwrap();
    go_on(&mut streams, 5).await;
    // The other door has places of its own.
    let mut here = ObserverClient::new(channel(&agent).await);
    status(&mut here).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_with_all_calls_makes_room_for_another() {
    let (agent, port) = start(Limits { calls: 4, ..Limits::default() }).await;
    let mut greedy = client(GREEDY, port, usual()).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(follow(&mut greedy).await);
    }
    let refused = status(&mut greedy).await.unwrap_err();
    assert!(refused.message().contains("4 calls are under way"), "{refused}");
    let mut other = client(OTHER, port, usual()).await;
    let mut others = vec![follow(&mut other).await];
    let ended = end(&mut streams.pop().unwrap()).await;
    assert_eq!(ended.code(), Code::ResourceExhausted, "{ended}");
    assert!(ended.message().contains("this server is full"), "{ended}");
    // Three and one; and then two and two, which stays so.
    others.push(follow(&mut other).await);
    assert_eq!(end(&mut streams.pop().unwrap()).await.code(), Code::ResourceExhausted);
    assert!(status(&mut other).await.is_err());
    assert!(status(&mut greedy).await.is_err());
    agent.push.send(Observation::Flow(flow(7))).await.unwrap();
    go_on(&mut streams, 7).await;
    go_on(&mut others, 7).await;
    // The connection itself is as good as before.
    drop(streams);
    for _ in 0..1000 {
        if status(&mut greedy).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what has ended still takes a place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_that_its_call_ended_is_cut() {
    let (agent, port) = start(Limits { calls: 2, ..Limits::default() }).await;
    agent.push_seconds(0..1).await;
    agent.until_seen(1).await;
    // It takes not a byte of an answer. So where there is one already, an end can't be told.
    let mut deaf = client(GREEDY, port, usual().initial_stream_window_size(0)).await;
    let mut other = client(OTHER, port, usual()).await;
    let asked = GetFlowsRequest { number: 1, follow: true, ..GetFlowsRequest::default() };
    let until = Instant::now() + SOON;
    loop {
        assert!(Instant::now() < until, "who does not read is never cut");
        let (first, second) = (deaf.get_flows(asked.clone()).await, deaf.get_flows(asked.clone()).await);
        if let (Ok(first), Ok(second)) = (first, second) {
            status(&mut other).await.unwrap();
            let cut = end(&mut second.into_inner()).await;
            // It may have been told before there was an answer.
            if cut.code() != Code::ResourceExhausted {
                // The connection is cut, with the other call.
                end(&mut first.into_inner()).await;
                break;
            }
        }
        // Once what has ended is free.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    status(&mut other).await.unwrap();
}
