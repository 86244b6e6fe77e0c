//! `netdrop relay`: one server for the flows of all nodes.

use std::pin::pin;

use tokio::sync::watch;

use crate::cli::relay::{PeerSource, RelayArgs};
use crate::relay::peers::{Source, dns, kube, service};
use crate::relay::{Relay, RelayConfig};

/// Runs until `stop`.
pub async fn relay(args: RelayArgs, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let config = args.config()?;
    let source = source(&args, &config).await?;
    let relay = Relay::bind(config).await?;
    // Before anybody is told that it serves, and could end it: from here on a signal ends it in order.
    let mut stop = pin!(stop);
    if futures::poll!(stop.as_mut()).is_ready() {
        return Ok(());
    }
    let tls = if relay.serves_tls() { "TLS 1.3" } else { "no TLS" };
    let health = relay.health_address().map(|a| a.to_string());
    let metrics = relay.metrics_address().map(|a| a.to_string());
    tracing::info!(address = %relay.address()?, health, metrics, tls, "relay serving");
    let (stopping, stopped) = watch::channel(false);
    let run = relay.run(source.peers.clone(), stopped);
    let mut run = pin!(run);
    tokio::select! {
        ended = &mut run => return ended,
        () = &mut stop => {}
    }
    stopping.send_replace(true);
    run.await?;
    tracing::info!("stopped");
    Ok(())
}

async fn source(args: &RelayArgs, config: &RelayConfig) -> anyhow::Result<Source> {
    Ok(match args.peer_source()? {
        PeerSource::List(peers) => Source::fixed(peers),
        PeerSource::Service(target, name) => {
            service::start(target, config.dial.clone(), name, args.retry_timeout)
        }
        PeerSource::Dns(name) => dns::start(name, dns::Lookups::default()),
        PeerSource::Pods(labels) => {
            let client = kube::client(args.kubeconfig.clone()).await?;
            kube::pods(client, &args.peer_namespace, &labels, args.naming())
        }
    })
}
