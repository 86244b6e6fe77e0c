//! `netdrop agent`: capture, names, history, server and log feed.

use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use super::live::{Capture, Started, start};
use crate::agent::doors::{Doors, Listen};
use crate::agent::systemd::{Inherited, Notifier};
use crate::agent::{self, AgentConfig, Limits};
use crate::balance::{Balance, Row};
use crate::cli::agent::AgentArgs;
use crate::filter::{Compiled, Filters};
use crate::merge::PeerAddress;
use crate::relay::peers::{Source, around, kube, server_name};
use crate::source::merged::hostname;

/// Runs until `stop`.
pub async fn agent(args: AgentArgs, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    // Before capture starts: what is wrong with these is known at once.
    let systemd = Notifier::from_env()?;
    let listen: Listen = args.listen.into();
    let doors = Doors::take(&listen, Inherited::from_env()?)?;
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() && args.kubeconfig.is_none();
    let node_name: Option<Arc<str>> = args.node_name.filter(|n| !n.is_empty()).map(Arc::from);
    let capture = Capture {
        filters: &Filters::default(),
        names_file: args.names,
        kubeconfig: args.kubeconfig,
        in_cluster,
        node_name: node_name.clone(),
        memory: args.capture.memory(),
        events_per_flow: args.capture.events_per_flow(),
        own_node_only: true,
        // Kept apart in the history, for clients that ask for them.
        hide_benign: false,
    };
    let kubeconfig = capture.kubeconfig.clone();
    let Started { mut source, kernel, kube: _watchers, .. } = start(capture).await?;
    // From here on a SIGTERM ends with a sum, not at once.
    let mut stop = pin!(stop);
    if futures::poll!(stop.as_mut()).is_ready() {
        return Ok(());
    }
    tracing::info!(kernel = %kernel.release, "capturing at tp_btf/kfree_skb");
    let peers = peers(&listen, node_name.as_deref(), kubeconfig, in_cluster).await?;
    let config = AgentConfig {
        doors,
        limits: Limits::default(),
        systemd,
        capacity: usize::try_from(args.event_buffer_capacity).unwrap_or(usize::MAX),
        metrics_address: args.metrics_address,
        log_rate: args.log_rate,
        node_name,
        peers,
        filter: Compiled::default(),
    };
    let tally = agent::run(&mut source, config, BufWriter::new(io::stdout()), stop).await?;
    let live = source.tally()?;
    let Row { drops, shown, aggregated, lost, .. } = Balance::new(&live, &tally.flows).total();
    tracing::info!(
        drops,
        shown,
        aggregated,
        lost,
        elsewhere = live.elsewhere,
        logged = tally.feed.map(|f| f.shown),
        withheld = tally.feed.map(|f| f.withheld),
        "stopped"
    );
    Ok(())
}

/// Hubble's name of a cluster that has none.
const CLUSTER: &str = "default";

/// Whom the peer service tells of: the agent itself, and, where agents serve a port and the Kubernetes API is known, those of all nodes.
async fn peers(
    listen: &Listen,
    node: Option<&str>,
    kubeconfig: Option<PathBuf>,
    in_cluster: bool,
) -> anyhow::Result<Source> {
    let own_name = hostname();
    let name = node.unwrap_or(&own_name);
    let own = around::own_address(listen.address, &listen.socket_path);
    let tls_cluster = listen.cert.is_some().then(|| CLUSTER.to_owned());
    let named = listen.address.and(tls_cluster.as_deref()).map(|cluster| server_name(name, cluster));
    let others = match listen.address.filter(|_| in_cluster || kubeconfig.is_some()) {
        Some(address) => {
            let naming = kube::Naming { port: address.port(), tls_cluster };
            Some(kube::nodes(kube::client(kubeconfig).await?, naming))
        }
        None => None,
    };
    Ok(around::around(name, PeerAddress { address: own, server_name: named }, others))
}
