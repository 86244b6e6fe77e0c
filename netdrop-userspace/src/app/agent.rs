//! `netdrop agent`: capture, names, history, server, log feeds, metrics.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use clap::ArgMatches;

use super::live::{Capture, Started, start};
use super::prepared::{Prepared, in_cluster, listen, prepare};
use crate::agent::doors::Listen;
use crate::agent::problems::Problems;
use crate::agent::{self, AgentConfig, AgentEvents, HistoryDisk, HistorySize, Limits, Outputs};
use crate::balance::{Balance, Row};
use crate::config::{self, Loaded, Reloader};
use crate::merge::PeerAddress;
use crate::relay::peers::{Source, around, kube, server_name};
use crate::source::merged::hostname;

/// Runs until `stop`.
pub async fn agent(
    flags: ArgMatches,
    loaded: Loaded,
    set_level: config::SetLevel,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let args = loaded.args.clone();
    let in_cluster = in_cluster(&args);
    let node_name: Option<Arc<str>> = args.node_name.clone().filter(|n| !n.is_empty()).map(Arc::from);
    let listen = listen(&args);
    // Before capture starts: what is wrong with these is known at once, and all of it.
    let mut problems = Problems::default();
    let Prepared { systemd, doors, metrics, feeds } =
        prepare(&loaded, &listen, in_cluster, &mut problems).await;
    problems.none()?;
    // Before anybody is told that the agent is ready, and could send one.
    let hangups = config::hangups()?;
    let events = Arc::new(AgentEvents::default());
    let capture = Capture {
        filters: &loaded.filters,
        names_file: args.names,
        kubeconfig: args.kubeconfig,
        in_cluster,
        node_name: node_name.clone(),
        listener: events.listener(),
        memory: args.capture.memory(),
        events_per_flow: args.capture.events_per_flow(),
        keep_frames: false,
        stack_depth: args.capture.stack.0,
        own_node_only: true,
        // Kept apart in the history, for clients that ask for them.
        include_benign: true,
        hide_benign: false,
    };
    let kubeconfig = capture.kubeconfig.clone();
    let Started { mut source, filter, kernel, names, kube: _watchers } = start(capture).await?;
    // From here on a SIGTERM ends with a sum, not at once.
    let mut stop = pin!(stop);
    if futures::poll!(stop.as_mut()).is_ready() {
        return Ok(());
    }
    let outputs = Outputs { feeds, metrics, counts: doors.has_metrics(), events, names: Some(names) };
    let reloading = tokio::spawn(config::watch(
        Reloader::new(flags, loaded, outputs.clone(), set_level),
        hangups,
        systemd.clone(),
    ));
    tracing::info!(kernel = %kernel.release, "capturing at tp_btf/kfree_skb");
    let peers = peers(&listen, node_name.as_deref(), kubeconfig, in_cluster).await?;
    let config = AgentConfig {
        doors,
        limits: Limits::default(),
        systemd,
        history: HistorySize { drops: args.drop_history, flows: args.flow_history },
        history_disk: args.history_dir.map(|folder| HistoryDisk { folder, bytes: args.history_disk }),
        node_name,
        peers,
        filter,
    };
    let tally = agent::run(&mut source, config, outputs, stop).await?;
    reloading.abort();
    for feed in &tally.feeds {
        let c = &feed.counts;
        tracing::info!(
            feed = feed.name,
            lines = c.lines.load(Relaxed),
            told = c.told.load(Relaxed),
            withheld = c.withheld.load(Relaxed) + c.overflow.load(Relaxed),
            failed = c.failed.load(Relaxed),
            complete = feed.ended,
            "the feed has ended"
        );
    }
    let live = source.tally()?;
    let Row { drops, shown, aggregated, hidden, lost, .. } = Balance::new(&live, &tally.flows).total();
    if source.without_stack() > 0 {
        tracing::info!(observations = source.without_stack(), "had no call stack");
    }
    tracing::info!(drops, shown, aggregated, hidden, lost, elsewhere = live.elsewhere, "stopped");
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
