//! Live capture, as `observe` and `agent` start it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::enrich::Names;
use crate::enrich::NodeScope;
use crate::enrich::kube::{self, KubeConfig, KubeHandle};
use crate::filter::Compiled;
use crate::kernel::KernelInfo;
use crate::probe::ProbeConfig;
use crate::source::live::{LiveConfig, LiveSource, own_netns};

/// What capture needs to know.
pub(super) struct Capture<'a> {
    pub(super) filter: &'a Compiled,
    pub(super) names_file: Option<PathBuf>,
    pub(super) kubeconfig: Option<PathBuf>,
    /// Use the pod's service account.
    pub(super) in_cluster: bool,
    pub(super) node_name: Option<Arc<str>>,
    pub(super) ring_size: u32,
    /// Leave out what is known to be another node's.
    pub(super) own_node_only: bool,
}

/// Capture under way.
pub(super) struct Started {
    pub(super) source: LiveSource,
    pub(super) kernel: KernelInfo,
    pub(super) names: Names,
    /// Kept for its watchers.
    _kube: Option<KubeHandle>,
}

/// Loads, attaches, starts to watch for names.
pub(super) async fn start(capture: Capture<'_>) -> anyhow::Result<Started> {
    let kernel = KernelInfo::load()?;
    let prefilter = capture.filter.prefilter(&|name| kernel.reasons.code(name).into_iter().collect());
    let names = Names::new();
    if let Some(file) = &capture.names_file {
        names.load_file(file)?;
    }
    let mut kube = None;
    if capture.kubeconfig.is_some() || capture.in_cluster {
        let config = KubeConfig { kubeconfig: capture.kubeconfig, node_name: capture.node_name.clone() };
        kube = Some(kube::start(config, &names).await?);
    }
    let scope = capture
        .node_name
        .clone()
        .filter(|_| capture.own_node_only)
        .map(|node| NodeScope::new(own_netns(), node, names.clone()));
    let config = LiveConfig {
        probe: ProbeConfig { ring_size: capture.ring_size, prefilter },
        names: names.clone(),
        node_name: capture.node_name,
        scope,
        news: kube.as_mut().and_then(KubeHandle::take_events),
    };
    let source = LiveSource::start(&kernel, config)?;
    Ok(Started { source, kernel, names, _kube: kube })
}
