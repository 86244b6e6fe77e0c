//! A server as a source: netdrop's agent or relay, or any that speaks Hubble's observer API; and several at once.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::timeout;
use tonic::{Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::merged::MergedSource;
use super::wire::WireSource;
use crate::cli::server_flags::Servers;
use crate::connect::{Connection, Dial, MAX_RESPONSE, Target, words};
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse, ServerStatusRequest, ServerStatusResponse};

/// Most responses taken at once.
const TAKE: usize = 256;
/// A server that takes longer to answer is told of.
const PROMPT: Duration = Duration::from_secs(1);

/// The flows of one server, or of several merged by time.
pub enum Remote {
    /// As one server tells them.
    One(Box<RemoteSource>),
    /// As several tell them.
    Many(Box<MergedSource>),
}

impl Remote {
    /// Connects and asks; `slow` is told what there is to wait for, if it takes long.
    pub async fn open(
        servers: &Servers,
        request: GetFlowsRequest,
        slow: impl FnMut(Slow),
    ) -> anyhow::Result<Self> {
        if let [target] = &servers.targets[..] {
            let source = RemoteSource::ask_telling(&servers.dial, target, request, PROMPT, slow).await?;
            return Ok(Self::One(Box::new(source)));
        }
        Ok(Self::Many(Box::new(MergedSource::open(servers, request)?)))
    }
}

impl WireSource for Remote {
    async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool> {
        match self {
            Self::One(source) => WireSource::next(&mut **source, batch).await,
            Self::Many(source) => WireSource::next(&mut **source, batch).await,
        }
    }
}

/// A server that takes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slow {
    /// The connection does not stand yet.
    Connecting(Target),
    /// The connection stands, and nothing comes.
    Silent(Target),
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting(target) => write!(f, "still connecting to {target}"),
            Self::Silent(target) => write!(f, "connected to {target}, which does not answer; waiting for it"),
        }
    }
}

/// The stream of one GetFlows call.
pub struct RemoteSource {
    flows: Flows,
    /// What else it leads to stays open for as long.
    _connection: Connection,
    /// How it ended, which is told after all that came before.
    end: Option<Result<(), Status>>,
}

type Answer = Result<Response<Streaming<GetFlowsResponse>>, Status>;
type Call = BoxFuture<'static, Answer>;

/// How far the call is.
enum Flows {
    /// Servers in Go accept one by its first response.
    Asked(Call),
    Told(Box<Streaming<GetFlowsResponse>>),
}

impl RemoteSource {
    /// Connects in the clear and asks.
    pub async fn connect(server: &str, request: GetFlowsRequest) -> anyhow::Result<Self> {
        Self::ask(&Dial::default(), &Target::parse(server)?, request).await
    }

    /// Connects and asks.
    pub async fn ask(dial: &Dial, target: &Target, request: GetFlowsRequest) -> anyhow::Result<Self> {
        Self::ask_telling(dial, target, request, PROMPT, drop).await
    }

    async fn ask_telling(
        dial: &Dial,
        target: &Target,
        request: GetFlowsRequest,
        prompt: Duration,
        mut slow: impl FnMut(Slow),
    ) -> anyhow::Result<Self> {
        let mut connecting = pin!(dial.connect(target));
        let connected = if let Ok(connected) = timeout(prompt, &mut connecting).await {
            connected
        } else {
            slow(Slow::Connecting(target.clone()));
            connecting.await
        };
        let connection = connected?;
        let mut client = ObserverClient::new(connection.clone()).max_decoding_message_size(MAX_RESPONSE);
        let mut call: Call = Box::pin(async move { client.get_flows(request).await });
        let silent = || slow(Slow::Silent(target.clone()));
        let flows = match timeout(prompt, &mut call).await {
            Ok(answer) => Flows::told(answer).map_err(|s| words(&s))?,
            Err(_) => when_it_lives(connection.clone(), call, prompt, silent).await?,
        };
        Ok(Self { flows, _connection: connection, end: None })
    }

    /// Takes what has arrived already, so that a burst is written at once.
    fn take_ready(&mut self, batch: &mut Vec<GetFlowsResponse>) {
        for _ in 0..TAKE {
            match futures::FutureExt::now_or_never(self.flows.next()) {
                Some(Ok(Some(response))) => batch.push(response),
                Some(Ok(None)) => self.end = Some(Ok(())),
                Some(Err(status)) => self.end = Some(Err(status)),
                None => return,
            }
            if self.end.is_some() {
                return;
            }
        }
    }
}

impl Flows {
    fn told(answer: Answer) -> Result<Self, Status> {
        Ok(Self::Told(Box::new(answer?.into_inner())))
    }

    async fn next(&mut self) -> Result<Option<GetFlowsResponse>, Status> {
        loop {
            match self {
                Self::Asked(call) => *self = Self::told(call.await)?,
                Self::Told(stream) => return stream.message().await,
            }
        }
    }
}

/// A call that has no answer yet: a server that answers another one is only quiet, and not told of.
async fn when_it_lives(
    connection: Connection,
    mut call: Call,
    prompt: Duration,
    silent: impl FnOnce(),
) -> anyhow::Result<Flows> {
    let mut client = ObserverClient::new(connection);
    let mut other = pin!(client.server_status(ServerStatusRequest {}));
    let mut silent = Some(silent);
    loop {
        let late = tokio::time::sleep(prompt);
        tokio::select! {
            biased;
            answer = &mut call => return Flows::told(answer).map_err(|s| words(&s)),
            // Whatever it says; if the connection is lost, the call says so.
            _ = &mut other => return Ok(Flows::Asked(call)),
            () = late, if silent.is_some() => silent.take().map_or((), |silent| silent()),
        }
    }
}

impl WireSource for RemoteSource {
    async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool> {
        if self.end.is_none() {
            match self.flows.next().await {
                Ok(Some(response)) => {
                    batch.push(response);
                    self.take_ready(batch);
                    return Ok(true);
                }
                Ok(None) => self.end = Some(Ok(())),
                Err(status) => self.end = Some(Err(status)),
            }
        }
        match self.end.replace(Ok(())) {
            Some(Err(status)) => Err(words(&status)),
            _ => Ok(false),
        }
    }
}

/// A connection to the one server of calls with one answer.
pub async fn connect(servers: &Servers) -> anyhow::Result<Connection> {
    let target = servers.first()?;
    anyhow::ensure!(servers.targets.len() == 1, "this asks one server; --server names {servers}");
    servers.dial.connect(target).await
}

/// A call with one answer.
pub async fn call<T>(
    servers: &Servers,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> anyhow::Result<T> {
    let limit = servers.request_timeout;
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer.map_err(|s| words(&s))?.into_inner()),
        Err(_) => anyhow::bail!("{servers} did not answer within {} s", limit.as_secs_f64()),
    }
}

/// Health of a server.
pub async fn health(servers: &Servers, connection: &Connection) -> anyhow::Result<ServingStatus> {
    let check = HealthCheckRequest { service: "hubble.server.Observer".to_owned() };
    let mut client = HealthClient::new(connection.clone());
    Ok(call(servers, client.check(check)).await?.status())
}

/// Numbers of a server.
pub async fn server_status(
    servers: &Servers,
    connection: &Connection,
) -> anyhow::Result<ServerStatusResponse> {
    let mut client = ObserverClient::new(connection.clone()).max_decoding_message_size(MAX_RESPONSE);
    call(servers, client.server_status(ServerStatusRequest {})).await
}

/// Numbers of a healthy server, reached in the clear.
pub async fn status(server: &str) -> anyhow::Result<ServerStatusResponse> {
    let servers = Servers::one(server)?;
    let connection = connect(&servers).await?;
    anyhow::ensure!(health(&servers, &connection).await? == ServingStatus::Serving, "not healthy");
    server_status(&servers, &connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a server until there is something to say, or an end.
    async fn said(target: &Target, prompt: Duration) -> Option<String> {
        let (say, mut said) = tokio::sync::mpsc::channel(2);
        let request = GetFlowsRequest { follow: true, ..GetFlowsRequest::default() };
        let dial = Dial::default();
        let asking = RemoteSource::ask_telling(&dial, target, request, prompt, |slow| {
            say.try_send(slow.to_string()).unwrap();
        });
        tokio::select! {
            biased;
            line = said.recv() => line,
            done = asking => { done.unwrap(); None }
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("silent.sock");
        let _silent = tokio::net::UnixListener::bind(&socket).unwrap();
        let target = Target::parse(&format!("unix://{}", socket.display())).unwrap();
        let line =
            timeout(PROMPT * 30, said(&target, PROMPT / 10)).await.expect("a line").expect("no answer");
        assert_eq!(
            line,
            format!("connected to unix://{}, which does not answer; waiting for it", socket.display())
        );
    }

    /// As one in Go that has nothing to tell yet.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_is_only_quiet_is_not_told_of() {
        let node = crate::relay::node::TestNode::start("quiet");
        node.be_lazy();
        let target = Target::parse(&node.address.to_string()).unwrap();
        // Prompt enough also for a machine that does other things.
        assert_eq!(timeout(PROMPT * 60, said(&target, PROMPT * 4)).await.expect("it goes on"), None);
    }

    #[tokio::test]
    async fn a_missing_socket_says_how_to_start_an_agent() {
        let e = status("unix:///nonexistent.sock").await.unwrap_err().to_string();
        assert!(e.contains("/nonexistent.sock") && e.contains("netdrop agent"), "{e}");
    }
}
