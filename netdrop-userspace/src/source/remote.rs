//! A server as a source: netdrop's agent or relay, or any that speaks Hubble's observer API; and several at once.

use tonic::{Status, Streaming};
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

/// The flows of one server, or of several merged by time.
pub enum Remote {
    /// As one server tells them.
    One(Box<RemoteSource>),
    /// As several tell them.
    Many(Box<MergedSource>),
}

impl Remote {
    /// Connects and asks.
    pub async fn open(servers: &Servers, request: GetFlowsRequest) -> anyhow::Result<Self> {
        if let [target] = &servers.targets[..] {
            let source = RemoteSource::ask(&servers.dial, target, request).await?;
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

/// The stream of one GetFlows call.
#[derive(Debug)]
pub struct RemoteSource {
    stream: Streaming<GetFlowsResponse>,
    /// How it ended, which is told after all that came before.
    end: Option<Result<(), Status>>,
}

impl RemoteSource {
    /// Connects in the clear and asks.
    pub async fn connect(server: &str, request: GetFlowsRequest) -> anyhow::Result<Self> {
        Self::ask(&Dial::default(), &Target::parse(server)?, request).await
    }

    /// Connects and asks.
    pub async fn ask(dial: &Dial, target: &Target, request: GetFlowsRequest) -> anyhow::Result<Self> {
        let connection = dial.connect(target).await?;
        let mut client = ObserverClient::new(connection).max_decoding_message_size(MAX_RESPONSE);
        let stream = client.get_flows(request).await.map_err(|s| words(&s))?.into_inner();
        Ok(Self { stream, end: None })
    }

    /// Takes what has arrived already, so that a burst is written at once.
    fn take_ready(&mut self, batch: &mut Vec<GetFlowsResponse>) {
        for _ in 0..TAKE {
            match futures::FutureExt::now_or_never(self.stream.message()) {
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

impl WireSource for RemoteSource {
    async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool> {
        if self.end.is_none() {
            match self.stream.message().await {
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

    #[tokio::test]
    async fn a_missing_socket_says_how_to_start_an_agent() {
        let e = status("unix:///nonexistent.sock").await.unwrap_err().to_string();
        assert!(e.contains("/nonexistent.sock") && e.contains("netdrop agent"), "{e}");
    }
}
