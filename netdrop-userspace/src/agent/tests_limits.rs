//! Clients that mean ill, or break: what they get, and that others do not notice.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use super::doors::Listen;
use super::tests::{Agent, flow, patient};
use super::tests_raw::{Endless, Raw, SOON, channel, framed};
use super::*;
use crate::convert::from_wire;
use crate::proto::flow::FlowFilter;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, ServerStatusRequest};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GET_FLOWS: &str = "/observer.Observer/GetFlows";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Short times, for a test to see their end.
fn hasty() -> Limits {
    Limits {
        arrival: Duration::from_millis(300),
        request: Duration::from_millis(300),
        ping: Duration::from_millis(200),
        pong: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// Short times for requests alone.
fn hasty_requests() -> Limits {
    Limits { request: Duration::from_millis(300), ..Limits::default() }
}

async fn start(limits: Limits) -> Agent {
    Agent::with(1 << 20, limits, Listen::default()).await
}

async fn observer(agent: &Agent) -> ObserverClient<Channel> {
    ObserverClient::new(channel(agent).await)
}

async fn status(client: &mut ObserverClient<Channel>) -> Result<(), tonic::Status> {
    client.server_status(ServerStatusRequest::default()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_get_the_right_code() {
    let agent = start(Limits::default()).await;
    let mut raw = Raw::connect(&agent.socket).await;
    let mut ends = async |bytes: Bytes| raw.ends(GET_FLOWS, Full::new(bytes)).await;
    let (code, message) = ends(framed(b"\xff\xff\xff")).await;
    assert_eq!(code, Code::Internal, "malformed: {message}");
    let (code, message) = ends(Bytes::new()).await;
    assert_eq!(code, Code::Internal, "no message: {message}");
    let (code, message) = ends(Bytes::from_static(b"\0\0\0\0\x09abc")).await;
    assert_eq!(code, Code::Internal, "cut: {message}");
    let (code, message) = ends([framed(b""), framed(b"")].concat().into()).await;
    assert_eq!((code, message.contains("more than one message")), (Code::Internal, true), "{message}");
    let (code, message) = ends(Bytes::from_static(b"\x01\0\0\0\x02\x2a\0")).await;
    assert_eq!(code, Code::Internal, "compressed without a word of how: {message}");
    let (code, message) = ends(Bytes::from_static(b"\0\xff\xff\xff\xff")).await;
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.contains("4294967295 vs. 65536"), "{message}");
    let (code, _) = raw.ends("/observer.Observer/Nothing", Full::new(framed(b""))).await;
    assert_eq!(code, Code::Unimplemented);
    let (code, _) = raw.ends("/no.Such/Service", Full::new(framed(b""))).await;
    assert_eq!(code, Code::Unimplemented);
    assert!(status(&mut observer(&agent).await).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_too_large_are_refused_before_they_are_decoded() {
    let agent = start(Limits::default()).await;
    let mut client = observer(&agent).await;
    let many = GetFlowsRequest { whitelist: vec![FlowFilter::default(); 600], ..GetFlowsRequest::default() };
    let refused = client.get_flows(many).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("256 filters"), "{refused}");
    let long = FlowFilter { source_pod: vec!["x".repeat(100_000)], ..FlowFilter::default() };
    let large = GetFlowsRequest { whitelist: vec![long], ..GetFlowsRequest::default() };
    let refused = client.get_flows(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(status(&mut client).await.is_ok(), "the connection is still good");
    // Headers: the connection may go, others stay.
    let mut named = tonic::Request::new(ServerStatusRequest::default());
    named.metadata_mut().insert("x-long", "y".repeat(20_000).parse().unwrap());
    assert!(client.server_status(named).await.is_err());
    assert!(status(&mut observer(&agent).await).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_an_end_are_ended() {
    let (hasty, patient) = (start(hasty_requests()).await, start(Limits::default()).await);
    let ends = async |agent: &Agent, path: &str, body: Endless| {
        Raw::connect(&agent.socket).await.ends(path, body).await
    };
    let message = framed(&GetFlowsRequest { number: 1, ..GetFlowsRequest::default() }.encode_to_vec());
    let (code, text) = ends(&hasty, GET_FLOWS, Endless::then_silence(message.clone())).await;
    assert_eq!(code, Code::DeadlineExceeded, "complete, but never closed: {text}");
    let (code, text) = ends(&hasty, GET_FLOWS, Endless::then_silence(message.slice(..1))).await;
    assert_eq!(code, Code::DeadlineExceeded, "a byte and no more: {text}");
    let (code, text) = ends(&patient, GET_FLOWS, Endless::of(message.repeat(1000).into())).await;
    assert_eq!(code, Code::Internal, "messages without end: {text}");
    let list = v1::ServerReflectionRequest {
        host: "h".repeat(1000),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let frame = framed(&list.encode_to_vec());
    // Many questions in one call are fine there; it ends all the same, without, or after, the first answers.
    let (code, text) = ends(&hasty, REFLECTION, Endless::of(frame.repeat(10).into())).await;
    assert!([Code::Ok, Code::ResourceExhausted].contains(&code), "questions without end: {code} {text}");
    let (code, text) = ends(&hasty, REFLECTION, Endless::then_silence(frame)).await;
    assert!([Code::Ok, Code::DeadlineExceeded].contains(&code), "one, then silence: {code} {text}");
    welcome(&hasty).await;
}

/// Waits for the server to close, and gives what it said before.
async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut heard = Vec::new();
    // A reset is an end as well.
    drop(timeout(SOON, stream.read_to_end(&mut heard)).await.expect("the server closes"));
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_cut() {
    let agent = start(hasty()).await;
    let connect = || UnixStream::connect(&agent.socket);
    let mut silent = connect().await.unwrap();
    assert_eq!(closed(&mut silent).await, b"");
    let mut half = connect().await.unwrap();
    half.write_all(&PREFACE[..10]).await.unwrap();
    assert_eq!(closed(&mut half).await, b"");
    // A client that never answers whether it lives.
    let mut deaf = connect().await.unwrap();
    deaf.write_all(PREFACE).await.unwrap();
    deaf.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
    closed(&mut deaf).await;
    // One that sends a byte at a time gets no longer than one that sends none.
    let (mut read, mut write) = connect().await.unwrap().into_split();
    let drip = async move {
        for byte in PREFACE {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let drip = tokio::spawn(drip);
    assert_eq!(closed(&mut read).await, b"");
    drip.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_of_garbage_harm_nobody() {
    let listen = Listen { address: Some(([127, 0, 0, 1], 0).into()), disable_tls: true, ..Listen::default() };
    let limits = Limits { arriving: 8, connections: 4, ..hasty() };
    let agent = Agent::with(1 << 20, limits, listen).await;
    let port = agent.port.unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..100_u8 {
        let garbage: Vec<u8> = match n % 5 {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            1 => vec![0x16, 0x03, 0x01, 0x02, 0x00, n],
            2 => [PREFACE, &[n; 400]].concat(),
            3 => [PREFACE, b"\0\0\x01\x04\0\0\0\0\0", &[n; 40]].concat(),
            _ => (0..2000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[1] ^ n).collect(),
        };
        let socket = agent.socket.clone();
        clients.spawn(async move {
            if n % 2 == 0 {
                let mut stream = TcpStream::connect(port).await.unwrap();
                drop(stream.write_all(&garbage).await);
                closed(&mut stream).await;
            } else {
                let mut stream = UnixStream::connect(socket).await.unwrap();
                drop(stream.write_all(&garbage).await);
                closed(&mut stream).await;
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    // On a busy machine the hasty server may cut an honest one, too, who then comes again.
    welcome(&agent).await;
    let plain = Endpoint::from_shared(format!("http://{port}")).unwrap();
    let plain = async || status(&mut ObserverClient::new(plain.connect().await.unwrap())).await;
    until_ok(plain, "as plain as was asked for").await;
    drop(agent.stop);
    assert!(agent.ended.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_are_told_so() {
    let agent = start(Limits { connections: 2, calls: 1, ..Limits::default() }).await;
    let (mut first, mut second) = (welcome(&agent).await, welcome(&agent).await);
    let refused = status(&mut observer(&agent).await).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("too many connections"), "{refused}");
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let stream = first.get_flows(follow).await.unwrap();
    let refused = status(&mut second).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("1 calls are under way"), "{refused}");
    drop((stream, first));
    welcome(&agent).await;
}

/// A client that the server answers, once what others have left is free again.
async fn welcome(agent: &Agent) -> ObserverClient<Channel> {
    let ask = async || {
        let mut client = observer(agent).await;
        status(&mut client).await.map(|()| client)
    };
    until_ok(ask, "what has ended still takes a place").await
}

/// Asks again until there is an answer.
async fn until_ok<T>(ask: impl AsyncFn() -> Result<T, tonic::Status>, what: &str) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < deadline, "{what}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_ends_and_a_busy_one_does_not() {
    let agent = start(Limits { idle: Duration::from_millis(200), ..Limits::default() }).await;
    let io = TokioIo::new(UnixStream::connect(&agent.socket).await.unwrap());
    let (_sender, connection) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io).await.unwrap();
    timeout(SOON, connection).await.expect("it ends").unwrap();
    let client = observer(&agent).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    // On a busy machine the connection may be idle for long enough before the call.
    let call = async || client.clone().get_flows(follow.clone()).await;
    let mut stream = until_ok(call, "it is let in").await.into_inner();
    tokio::time::sleep(Duration::from_millis(600)).await;
    agent.push.send(Observation::Flow(flow(5))).await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap().time.unwrap().seconds, 5);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(600)).await;
    // The client's library connects again by itself; a call that meets the end of the old connection is the caller's to repeat.
    let again = async || status(&mut client.clone()).await;
    until_ok(again, "it connects again").await;
}

/// In a process of its own: what other tests take is not what such a client costs.
#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "agent::tests_limits::child_has_a_client_that_does_not_read", "--ignored"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of a test"]
async fn child_has_a_client_that_does_not_read() {
    // Time enough to answer for a client that lives, on a machine that has other things to do.
    let ping = Duration::from_millis(200);
    let agent = start(Limits { calls: 3, ping, pong: Duration::from_secs(4), ..Limits::default() }).await;
    // It follows, and reads not a byte of the answers: its own windows are all that it gets.
    let mut lazy: Raw<Full<Bytes>> = Raw::connect(&agent.socket).await;
    let follow = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
    let unread = lazy.post(GET_FLOWS, Full::new(framed(&follow.encode_to_vec()))).await;
    // Another reads not even the socket, so it does not answer pings either.
    let mut dead = UnixStream::connect(&agent.socket).await.unwrap();
    dead.write_all(PREFACE).await.unwrap();
    dead.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut client = observer(&agent).await;
    let mut stream = client.get_flows(follow).await.unwrap().into_inner();
    let before = resident();
    let count = 20_000_i64;
    let reader = tokio::spawn(async move {
        let mut last = -1;
        while last + 1 < count {
            let next = stream.message().await.unwrap().unwrap();
            if let Some(Observation::Flow(flow)) = from_wire(next) {
                last = flow.time.as_second();
            }
        }
    });
    for second in 0..count {
        agent.push.send(Observation::Flow(flow(second))).await.unwrap();
    }
    timeout(SOON, reader).await.expect("the reader is not held up").unwrap();
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 << 20, "a client that does not read cost {grown} bytes");
    // The dead one was cut, at last.
    closed(&mut dead).await;
    drop(unread);
}

/// Memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_definitions_are_told() {
    let agent = start(patient()).await;
    let mut health = HealthClient::new(channel(&agent).await);
    for service in ["", "hubble.server.Observer"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status, 1, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "x".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let list = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(&agent).await);
    let answer = client.server_reflection_info(tokio_stream::once(list)).await;
    let answer = format!("{:?}", answer.unwrap().into_inner().message().await.unwrap());
    assert!(answer.contains("observer.Observer") && answer.contains("grpc.health.v1.Health"), "{answer}");
    let symbol = |name: &str| v1alpha::ServerReflectionRequest {
        host: "here".into(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            name.into(),
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&agent).await);
    // What is not there is an answer as another.
    let asked = tokio_stream::iter([symbol("no.Such"), symbol("flow.Flow")]);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let none = answers.message().await.unwrap().unwrap();
    assert_eq!(none.original_request, Some(symbol("no.Such")));
    let none = format!("{none:?}");
    assert!(none.contains("error_code: 5") && none.contains("no.Such"), "{none}");
    let answer = format!("{:?}", answers.message().await.unwrap().unwrap());
    assert!(answer.contains("FileDescriptorResponse"), "{answer}");
    assert_eq!(answers.message().await.unwrap(), None);
    // At the end whoever watches is told that it is not well any more.
    let watch = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    drop(agent.stop);
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    // Else the agent waits for this call to end, as long as it may here.
    drop((watch, health));
    assert_eq!(agent.ended.await.unwrap().unwrap().flows.total().shown, 0);
}
