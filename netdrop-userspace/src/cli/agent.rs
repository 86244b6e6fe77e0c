//! `netdrop agent`: flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::capture::CaptureArgs;
use super::listen::ListenArgs;

/// What was typed after `netdrop agent`.
#[derive(Clone, Debug, Args)]
pub struct AgentArgs {
    /// Where its server is reached
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Memory for drops that can be looked back at, as 64MiB
    #[arg(long, value_name = "BYTES", value_parser = history_bytes, default_value = "64MiB", env = "NETDROP_DROP_HISTORY")]
    pub drop_history: usize,
    /// Memory for flows that were no drops
    #[arg(long, value_name = "BYTES", value_parser = history_bytes, default_value = "32MiB", env = "NETDROP_FLOW_HISTORY")]
    pub flow_history: usize,
    /// Keep history here, too, so that it outlives the agent
    #[arg(long, value_name = "FOLDER", env = "NETDROP_HISTORY_DIR")]
    pub history_dir: Option<PathBuf>,
    /// Disk space for it
    #[arg(long, value_name = "BYTES", value_parser = disk_bytes, default_value = "256MiB", env = "NETDROP_HISTORY_DISK")]
    pub history_disk: u64,
    /// Lines a second on stdout, ten seconds' worth at once; more are counted; 0: no log feed
    #[arg(long, value_name = "N", default_value_t = 100, env = "NETDROP_LOG_RATE")]
    pub log_rate: u32,
    /// This node's name; with it, drops of other nodes on the same kernel are left out
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node_name: Option<String>,
    /// Names from this cluster; in a pod its service account is used
    #[arg(long, value_name = "FILE", env = "NETDROP_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Names from this file: ADDRESS[/LEN] NAMESPACE/NAME [labels], a line each
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
    /// Serve metrics for Prometheus here, at /metrics, as 127.0.0.1:9965
    #[arg(long, value_name = "ADDRESS:PORT", env = "NETDROP_METRICS_ADDRESS")]
    pub metrics_address: Option<SocketAddr>,
    /// What capture may cost
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Less holds nothing worth a look.
const LEAST_HISTORY: u64 = 256 << 10;
/// Less is turned over before anybody looks.
const LEAST_DISK: u64 = 16 << 20;

/// Bytes as capture's flags take them, and with a B at the end.
fn bytes(text: &str) -> Result<u64, String> {
    super::capture::bytes(text.strip_suffix('B').unwrap_or(text))
}

fn history_bytes(text: &str) -> Result<usize, String> {
    let bytes = bytes(text)?;
    if bytes < LEAST_HISTORY {
        return Err("too little to look back at; want 256KiB or more".into());
    }
    usize::try_from(bytes).map_err(|_| "more than this machine can address".into())
}

fn disk_bytes(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes < LEAST_DISK {
        return Err("too little to outlive anything; want 16MiB or more".into());
    }
    Ok(bytes)
}
