//! `netdrop agent`: capture, names, history, server and log feed.

use std::io::{self, BufWriter};
use std::pin::pin;
use std::sync::Arc;

use super::live::{Capture, Started, start};
use crate::agent::doors::Doors;
use crate::agent::systemd::{Inherited, Notifier};
use crate::agent::{self, AgentConfig, HistoryDisk, HistorySize, Limits};
use crate::balance::{Balance, Row};
use crate::cli::agent::AgentArgs;
use crate::filter::{Compiled, Filters};

/// Runs until `stop`.
pub async fn agent(args: AgentArgs, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    // Before capture starts: what is wrong with these is known at once.
    let systemd = Notifier::from_env()?;
    let doors = Doors::take(&args.listen.into(), Inherited::from_env()?)?;
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
    let Started { mut source, kernel, kube: _watchers, .. } = start(capture).await?;
    // From here on a SIGTERM ends with a sum, not at once.
    let mut stop = pin!(stop);
    if futures::poll!(stop.as_mut()).is_ready() {
        return Ok(());
    }
    tracing::info!(kernel = %kernel.release, "capturing at tp_btf/kfree_skb");
    let config = AgentConfig {
        doors,
        limits: Limits::default(),
        systemd,
        history: HistorySize { drops: args.drop_history, flows: args.flow_history },
        history_disk: args.history_dir.map(|folder| HistoryDisk { folder, bytes: args.history_disk }),
        metrics_address: args.metrics_address,
        log_rate: args.log_rate,
        node_name,
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
