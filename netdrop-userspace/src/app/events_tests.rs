//! Generated events, from a server to bytes, beside the stock client. `NETDROP_SEED` plays a failure again.

use std::sync::Arc;

use clap::Command;
use netdrop_tests::flowgen::FlowGen;
use netdrop_tests::stock::{self, Printed};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response};

use super::*;
use crate::cli::{args, observe};
use crate::proto::observer::observer_server::{Observer, ObserverServer};
use crate::proto::observer::{
    GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsRequest, GetFlowsResponse, GetNamespacesRequest,
    GetNamespacesResponse, GetNodesRequest, GetNodesResponse, ServerStatusRequest, ServerStatusResponse,
};
use crate::wire::json::{Message, Unknown, read};

const EVENTS: usize = 400;
/// Of this many events a server that is asked for them breaks off.
const BROKEN: u64 = 7;

fn seed() -> u64 {
    std::env::var("NETDROP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[derive(Default)]
struct Events {
    agent: Vec<GetAgentEventsResponse>,
    debug: Vec<GetDebugEventsResponse>,
}

impl Events {
    fn generated(seed: u64) -> Self {
        let mut generator = FlowGen::new(seed).unwrap();
        let mut lines = |field: &str, message: &str| -> Vec<String> {
            (0..EVENTS).map(|_| generator.event(field, message).to_string()).collect()
        };
        let (agent, debug) = (lines("agent_event", "AgentEvent"), lines("debug_event", "DebugEvent"));
        Self { agent: parsed(&agent), debug: parsed(&debug) }
    }
}

fn parsed<M: Message>(lines: &[String]) -> Vec<M> {
    lines.iter().map(|line| read(line, Unknown::Refuse).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

type Stream<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

/// The newest of them, and an error after the last where that is asked for.
fn served<T: Clone>(events: &[T], number: u64) -> Response<Stream<T>> {
    let most = usize::try_from(number).unwrap_or(usize::MAX);
    let mut all: Vec<_> = events[events.len().saturating_sub(most)..].iter().cloned().map(Ok).collect();
    if number == BROKEN {
        all.push(Err(Status::data_loss("no more \"of\" them")));
    }
    Response::new(tokio_stream::iter(all))
}

#[tonic::async_trait]
impl Observer for Events {
    type GetFlowsStream = Stream<GetFlowsResponse>;
    type GetAgentEventsStream = Stream<GetAgentEventsResponse>;
    type GetDebugEventsStream = Stream<GetDebugEventsResponse>;

    async fn get_flows(&self, _: Request<GetFlowsRequest>) -> Result<Response<Self::GetFlowsStream>, Status> {
        Err(Status::unimplemented("flows"))
    }

    async fn get_agent_events(
        &self,
        request: Request<GetAgentEventsRequest>,
    ) -> Result<Response<Self::GetAgentEventsStream>, Status> {
        let request = request.into_inner();
        if request.since.is_some() {
            return Err(Status::unknown(format!("since {:?} until {:?}", request.since, request.until)));
        }
        Ok(served(&self.agent, request.number))
    }

    async fn get_debug_events(
        &self,
        request: Request<GetDebugEventsRequest>,
    ) -> Result<Response<Self::GetDebugEventsStream>, Status> {
        let request = request.into_inner();
        if request.until.is_some() {
            return Err(Status::unimplemented("GetDebugEvents not yet implemented"));
        }
        Ok(served(&self.debug, request.number))
    }

    async fn get_nodes(&self, _: Request<GetNodesRequest>) -> Result<Response<GetNodesResponse>, Status> {
        Err(Status::unimplemented("nodes"))
    }

    async fn get_namespaces(
        &self,
        _: Request<GetNamespacesRequest>,
    ) -> Result<Response<GetNamespacesResponse>, Status> {
        Err(Status::unimplemented("namespaces"))
    }

    async fn server_status(
        &self,
        _: Request<ServerStatusRequest>,
    ) -> Result<Response<ServerStatusResponse>, Status> {
        Err(Status::unimplemented("status"))
    }
}

async fn serve(events: Events) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let service = tonic::transport::Server::builder().add_service(ObserverServer::new(events));
    tokio::spawn(service.serve_with_incoming(TcpListenerStream::new(listener)));
    server
}

/// What netdrop prints; errors as it says them.
async fn ours(line: &[String], legacy: bool) -> Printed {
    let words = ["netdrop".to_owned()].into_iter().chain(line.iter().cloned()).map(Into::into);
    let said = |why: String| Printed { code: Some(1), stdout: Vec::new(), stderr: (why + "\n").into_bytes() };
    let root = Command::new("netdrop").subcommand(observe::command());
    let matches = match args::parse(root, words) {
        Ok(matches) => matches,
        Err(args::Refused::Wrong(why) | args::Refused::Shown(why)) => return said(why),
    };
    let (_, observe) = matches.subcommand().unwrap();
    let (name, events) = observe.subcommand().unwrap();
    let config = EventsConfig::from_matches(EventKind::from_name(name).unwrap(), events);
    let mut config = match config {
        Ok(config) => config,
        Err(e) => return said(format!("{e:#}")),
    };
    config.legacy_json |= legacy;
    let mut out = Vec::new();
    let ended = events_into(&config, &mut out, false, std::future::pending()).await;
    let stderr = ended.as_ref().err().map_or_else(String::new, |e| format!("{e:#}\n")).into_bytes();
    Printed { code: Some(i32::from(ended.is_err())), stdout: out, stderr }
}

/// All formats, with all that changes them.
fn lines() -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for kind in ["agent-events", "debug-events"] {
        for format in ["compact", "dict", "table", "json"] {
            for more in ["--all", "--all --print-node-name", "--last 3 --time-format rfc3339nano -s"] {
                all.push((format!("{kind} -o {format} {more}"), false));
            }
        }
        for more in [
            "",
            "--last 7",
            "--last 0",
            "--last 5 -f",
            "-f -o table",
            "-o nope",
            "--since 2025-01-02 --until 2025-01-03T04Z",
            "--since 2025-01-02 --until 2025-01-03T04Z -f",
            "--until 2025-01-02",
            "--since bad",
            "--until bad",
            "--until bad -f",
            "--last x",
            "--print-policy-names=maybe",
        ] {
            all.push((format!("{kind} {more}"), false));
        }
        all.push((format!("{kind} --all -o json"), true));
        all.push((format!("{kind} --all -o jsonpb"), true));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn events_look_as_the_stock_client_shows_them() {
    let Some(hubble) = stock::client("events beside the stock client").unwrap() else { return };
    let seed = seed();
    let server = serve(Events::generated(seed)).await;
    let hubble = Arc::new(hubble);
    let mut printed = 0;
    for (line, legacy) in lines() {
        let line = format!("observe {line} --server {server}");
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (client, theirs) = (Arc::clone(&hubble), words.clone());
        let compat: &[_] = if legacy { &[("HUBBLE_COMPAT", "legacy-json-output")] } else { &[] };
        let theirs = tokio::task::spawn_blocking(move || stock::run(&client, &theirs, compat));
        let theirs = theirs.await.unwrap().unwrap();
        let ours = ours(&words, legacy && !line.contains("jsonpb")).await;
        assert!(
            theirs.code == ours.code && theirs.stdout == ours.stdout,
            "{line} (NETDROP_SEED={seed}): {:?} and {:?}, {}",
            theirs.code,
            ours.code,
            stock::difference(&theirs.stdout, &ours.stdout)
        );
        let said = |p: &Printed| {
            String::from_utf8_lossy(&p.stderr).split("; want").next().unwrap().trim().to_owned()
        };
        assert_eq!(said(&theirs), said(&ours), "{line}");
        printed += ours.stdout.len();
    }
    assert!(printed > 500_000, "too little to compare: {printed} bytes");
}

/// Hubble's client lets `--first` make no difference; here it counts.
#[test]
fn the_request_is_the_clients() {
    let request = |line: &str| {
        let words = ["netdrop", "observe", "agent-events"].into_iter().chain(line.split_whitespace());
        let root = Command::new("netdrop").subcommand(observe::command());
        let matches = args::parse(root, words.map(Into::into)).unwrap();
        let m = matches.subcommand_matches("observe").unwrap().subcommand_matches("agent-events").unwrap();
        let r = agent_request(&EventsConfig::from_matches(EventKind::Agent, m).unwrap());
        (r.number, r.first, r.follow, r.since.is_some(), r.until.is_some())
    };
    assert_eq!(request(""), (DEFAULT_LAST, false, false, false, false));
    assert_eq!(request("-f"), (DEFAULT_LAST, false, true, false, false));
    assert_eq!(request("--all"), (u64::MAX, false, false, false, false));
    assert_eq!(request("--since 5m"), (0, false, false, true, false));
    assert_eq!(request("--since 5m --last 3 --until 1m"), (3, false, false, true, true));
    assert_eq!(request("--first 3"), (3, true, false, false, false));
}
