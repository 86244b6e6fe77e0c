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
    /// Observations kept in memory
    #[arg(long, value_name = "N", default_value_t = 16_383, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub event_buffer_capacity: u32,
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
