//! An agent's server as a source: netdrop's, or any that speaks Hubble's observer API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::wire::WireSource;
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{GetFlowsRequest, GetFlowsResponse, ServerStatusRequest, ServerStatusResponse};

/// A server that is there answers sooner.
const CONNECT: Duration = Duration::from_secs(5);
/// For calls with one answer.
const CALL: Duration = Duration::from_secs(12);
/// A Flow is small; this is generous.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;
/// Most responses taken at once.
const TAKE: usize = 256;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl Address {
    fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        if text.starts_with("tls://") {
            bail!("--server {text}: TLS is not supported yet; use the agent's unix socket");
        }
        let with_port =
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !with_port {
            bail!("--server {text:?} is neither unix:///path nor host:port");
        }
        Ok(Self::Tcp(text.to_owned()))
    }

    async fn connect(&self) -> anyhow::Result<Channel> {
        match self {
            Self::Tcp(target) => Endpoint::from_shared(format!("http://{target}"))?
                .connect_timeout(CONNECT)
                .connect()
                .await
                .with_context(|| format!("cannot connect to the agent at {target}")),
            Self::Unix(path) => {
                check_socket(path)?;
                let path = path.clone();
                // The URI is not used: the connector knows the socket.
                Endpoint::from_static("http://localhost")
                    .connect_timeout(CONNECT)
                    .connect_with_connector(tower::service_fn(move |_: Uri| {
                        let path = path.clone();
                        async move { UnixStream::connect(path).await.map(TokioIo::new) }
                    }))
                    .await
                    .context("cannot connect to the agent's socket")
            }
        }
    }
}

/// Says what is wrong with a socket before a transport error hides it.
fn check_socket(path: &Path) -> anyhow::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Ok(()),
        Err(e) => Err(anyhow!(match e.kind() {
            std::io::ErrorKind::NotFound =>
                format!("no agent at {}: start one with `netdrop agent`", path.display()),
            std::io::ErrorKind::ConnectionRefused => {
                format!("the agent of {} is gone: start it with `netdrop agent`", path.display())
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("no permission for {}: run as root, or as a member of its group", path.display())
            }
            _ => format!("cannot connect to {}: {e}", path.display()),
        })),
    }
}

/// A status as the stock client words it.
fn words(status: &Status) -> anyhow::Error {
    if status.code() == Code::Unknown {
        return anyhow!("{}", status.message());
    }
    anyhow!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// The stream of one GetFlows call.
#[derive(Debug)]
pub struct RemoteSource {
    stream: Streaming<GetFlowsResponse>,
    /// How it ended, which is told after all that came before.
    end: Option<Result<(), Status>>,
}

impl RemoteSource {
    /// Connects and asks.
    pub async fn connect(server: &str, request: GetFlowsRequest) -> anyhow::Result<Self> {
        let channel = Address::parse(server)?.connect().await?;
        let mut client = ObserverClient::new(channel).max_decoding_message_size(MAX_RESPONSE);
        let stream = client.get_flows(request).await.map_err(|s| words(&s))?.into_inner();
        Ok(Self { stream, end: None })
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

impl RemoteSource {
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

/// Health and numbers of a server.
pub async fn status(server: &str) -> anyhow::Result<ServerStatusResponse> {
    let call = async {
        let channel = Address::parse(server)?.connect().await?;
        let check = HealthCheckRequest { service: "hubble.server.Observer".to_owned() };
        let health = HealthClient::new(channel.clone())
            .check(check)
            .await
            .map_err(|s| anyhow!("failed getting status: {}", words(&s)))?
            .into_inner();
        if health.status() != ServingStatus::Serving {
            bail!("not healthy");
        }
        let status = ObserverClient::new(channel)
            .server_status(ServerStatusRequest {})
            .await
            .map_err(|s| words(&s))?;
        Ok(status.into_inner())
    };
    tokio::time::timeout(CALL, call)
        .await
        .map_err(|_| anyhow!("the agent at {server} did not answer within 12 s"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(Address::parse("unix:///run/x.sock").unwrap(), Address::Unix("/run/x.sock".into()));
        assert_eq!(Address::parse("/run/x.sock").unwrap(), Address::Unix("/run/x.sock".into()));
        assert_eq!(Address::parse("localhost:4245").unwrap(), Address::Tcp("localhost:4245".into()));
        for wrong in ["localhost", "", ":1", "host:port", "tls://a:1"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_missing_socket_says_how_to_start_an_agent() {
        let e = status("unix:///nonexistent.sock").await.unwrap_err().to_string();
        assert!(e.contains("/nonexistent.sock") && e.contains("netdrop agent"), "{e}");
    }
}
