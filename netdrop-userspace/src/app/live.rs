//! Live capture, as `observe` and `agent` start it.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;

use crate::enrich::change::Listener;
use crate::enrich::kube::{self, KubeConfig, KubeHandle};
use crate::enrich::{Names, NodeScope};
use crate::explain;
use crate::filter::{Compiled, Filters};
use crate::kernel::{KernelInfo, Reasons};
use crate::probe::{MemoryAsked, ProbeConfig};
use crate::source::live::{LiveConfig, LiveSource, own_netns};

/// What capture needs to know.
pub(super) struct Capture<'a> {
    pub(super) filters: &'a Filters,
    pub(super) names_file: Option<PathBuf>,
    pub(super) kubeconfig: Option<PathBuf>,
    /// Use the pod's service account.
    pub(super) in_cluster: bool,
    pub(super) node_name: Option<Arc<str>>,
    /// Who hears of what comes and goes in the cluster.
    pub(super) listener: Listener,
    pub(super) memory: MemoryAsked,
    /// Records a second that one flow may have.
    pub(super) events_per_flow: Option<NonZeroU32>,
    /// Keep the recorded bytes of packets.
    pub(super) keep_frames: bool,
    /// Most frames of a call stack; 0: none is read.
    pub(super) stack_depth: usize,
    /// Leave out what is known to be another node's.
    pub(super) own_node_only: bool,
    /// Also drops by design that no filter asks for.
    pub(super) include_benign: bool,
    /// Let the kernel turn away reasons that are benign everywhere.
    pub(super) hide_benign: bool,
}

/// Capture under way.
pub(super) struct Started {
    pub(super) source: LiveSource,
    pub(super) filter: Compiled,
    pub(super) kernel: KernelInfo,
    pub(super) names: Names,
    /// Bind it: dropped, its watchers end.
    pub(super) kube: Option<KubeHandle>,
}

/// Loads, attaches, starts to watch for names.
pub(super) async fn start(capture: Capture<'_>) -> anyhow::Result<Started> {
    let kernel = KernelInfo::load()?;
    let mut filters = capture.filters.clone();
    for filter in filters.allow.iter_mut().chain(&mut filters.deny) {
        for reason in &mut filter.reason {
            *reason = known_reason(reason, &kernel.reasons)?;
        }
    }
    let filter = if capture.include_benign { filters.compile() } else { explain::compile_asking(&filters) }?;
    let prefilter = filter.prefilter(&|name| kernel.reasons.code(name).into_iter().collect());
    let names = Names::new();
    if let Some(file) = &capture.names_file {
        names.load_file(file)?;
    }
    let mut kube = None;
    if capture.kubeconfig.is_some() || capture.in_cluster {
        let (kubeconfig, node_name) = (capture.kubeconfig, capture.node_name.clone());
        let config = KubeConfig { kubeconfig, node_name, listener: capture.listener };
        kube = Some(kube::start(config, &names).await?);
    }
    let scope = capture
        .node_name
        .clone()
        .filter(|_| capture.own_node_only)
        .map(|node| NodeScope::new(own_netns(), node, names.clone()));
    let config = LiveConfig {
        probe: ProbeConfig {
            memory: capture.memory.plan()?,
            events_per_flow: capture.events_per_flow,
            prefilter,
            hidden: if capture.hide_benign { explain::benign_codes(&kernel.reasons) } else { Vec::new() },
            stack_depth: capture.stack_depth,
            bpf_log: bpf_log(),
        },
        names: names.clone(),
        node_name: capture.node_name,
        scope,
        keep_frames: capture.keep_frames,
        news: kube.as_mut().and_then(KubeHandle::take_events),
    };
    let source = LiveSource::start(&kernel, config)?;
    Ok(Started { source, filter, kernel, names, kube })
}

/// `NETDROP_BPF_LOG=1` lets the BPF programs' log statements speak, on stderr.
fn bpf_log() -> bool {
    let on = std::env::var_os("NETDROP_BPF_LOG").is_some_and(|v| v == "1");
    if on {
        super::log_to_stderr();
    }
    on
}

/// A reason as this kernel calls it. One that it does not have would show nothing, for ever: an error with the nearest name.
fn known_reason(typed: &str, reasons: &Reasons) -> anyhow::Result<String> {
    if typed.contains('*') || reasons.is_empty() {
        return Ok(typed.to_owned());
    }
    if let Some(code) = reasons.code(typed) {
        return Ok(reasons.name(code).name.to_string());
    }
    match reasons.closest(typed) {
        Some(near) => bail!(
            "this kernel has no drop reason {typed:?}; did you mean {near}? `netdrop reasons` lists all"
        ),
        None => bail!("this kernel has no drop reason {typed:?}; `netdrop reasons` lists all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_this_kernels() {
        let reasons = KernelInfo::load().unwrap().reasons;
        assert_eq!(known_reason("core:3", &reasons).unwrap(), "NO_SOCKET");
        assert_eq!(known_reason("skb_drop_reason_no_socket", &reasons).unwrap(), "NO_SOCKET");
        assert_eq!(known_reason("TCP_*", &reasons).unwrap(), "TCP_*");
        assert_eq!(known_reason("CORE:9999", &reasons).unwrap(), "CORE:9999");
        let e = known_reason("NO_SOKET", &reasons).unwrap_err().to_string();
        assert!(e.contains("NO_SOCKET") && e.contains("netdrop reasons"), "{e}");
    }
}
