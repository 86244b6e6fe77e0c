//! `netdrop agent`: flags. Each may also be set by its variable or in the file of `--config`; see [`crate::config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ArgAction;
use clap::{Args, Command};

use super::capture::CaptureArgs;
use super::listen::{ListenArgs, address};
use super::time;
use crate::agent::metrics::DEFAULT_MOST;
use crate::config::filters_of_json;

const EXAMPLES: &str = "\
Examples:
  netdrop agent --log-rate 0                        for netdrop and hubble on this machine
  netdrop agent --metrics-address :9965             for Prometheus, and for probes
  netdrop agent --history-dir /var/lib/netdrop      with a history that outlives the agent
  netdrop agent --config agent.yaml --print-config  what would be in effect, and from where";

/// What was typed after `netdrop agent`.
#[derive(Clone, Debug, Args)]
pub struct AgentArgs {
    /// Settings from this YAML file: any flag's name without its hyphens, flowLogs, metrics
    #[arg(long, value_name = "FILE", env = "NETDROP_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print what is in effect and where each setting comes from, and end
    #[arg(long)]
    pub print_config: bool,
    /// How much is told on stderr: error, warn, info, debug, trace, or as RUST_LOG takes it
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "NETDROP_LOG_LEVEL", value_parser = log_level)]
    pub log_level: String,
    /// Where its server is reached
    #[command(flatten, next_help_heading = "Server")]
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
    /// This node's name; with it, drops of other nodes on the same kernel are left out
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node_name: Option<String>,
    /// Names from this cluster; in a pod its service account is used
    #[arg(long, value_name = "FILE", env = "NETDROP_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Names from this file: ADDRESS[/LEN] NAMESPACE/NAME [labels], a line each
    #[arg(long, value_name = "FILE", env = "NETDROP_NAMES")]
    pub names: Option<PathBuf>,
    /// Keep only drops that fit this FlowFilter, as JSON; may be repeated
    #[arg(long, value_name = "JSON", env = "NETDROP_ALLOWLIST", value_parser = flow_filters)]
    pub allowlist: Vec<String>,
    /// Keep no drop that fits this FlowFilter, as JSON; may be repeated
    #[arg(long, value_name = "JSON", env = "NETDROP_DENYLIST", value_parser = flow_filters)]
    pub denylist: Vec<String>,
    /// Log feed
    #[command(flatten)]
    pub export: ExportArgs,
    /// HTTP port
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// What capture may cost
    #[command(flatten, next_help_heading = "Capture")]
    pub capture: CaptureArgs,
}

/// The feed to stdout, and one to a file as Hubble's exporter has it. More of them are flowLogs of the configuration.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Log feed")]
pub struct ExportArgs {
    /// Lines a second on stdout, ten seconds' worth at once; more are counted; 0: no log feed there
    #[arg(long, value_name = "N", default_value_t = 100, env = "NETDROP_LOG_RATE")]
    pub log_rate: u32,
    /// Write flows to this file, as lines of JSON; stdout: what follows is for the feed there
    #[arg(long, value_name = "FILE", env = "NETDROP_EXPORT_FILE_PATH")]
    pub export_file_path: Option<PathBuf>,
    /// Rotate the file before it is larger
    #[arg(long, value_name = "MB", default_value_t = 10, env = "NETDROP_EXPORT_FILE_MAX_SIZE_MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub export_file_max_size_mb: u64,
    /// Old files that are kept; 0: all
    #[arg(long, value_name = "N", default_value_t = 5, env = "NETDROP_EXPORT_FILE_MAX_BACKUPS")]
    pub export_file_max_backups: usize,
    /// Compress old files
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = ArgAction::Set, env = "NETDROP_EXPORT_FILE_COMPRESS")]
    pub export_file_compress: bool,
    /// FlowFilter to write, as JSON; may be repeated
    #[arg(long, value_name = "JSON", env = "NETDROP_EXPORT_ALLOWLIST", value_parser = flow_filters)]
    pub export_allowlist: Vec<String>,
    /// FlowFilter to leave out, as JSON; may be repeated
    #[arg(long, value_name = "JSON", env = "NETDROP_EXPORT_DENYLIST", value_parser = flow_filters)]
    pub export_denylist: Vec<String>,
    /// Fields that a line has, as time,source.pod_name,extensions.kernel_reason; by default all
    #[arg(long, value_name = "PATH", value_delimiter = ',', env = "NETDROP_EXPORT_FIELDMASK")]
    pub export_fieldmask: Vec<String>,
    /// Write one line for flows that are alike in these fields, with their count
    #[arg(long, value_name = "PATH", value_delimiter = ',', env = "NETDROP_EXPORT_FIELDAGGREGATE")]
    pub export_fieldaggregate: Vec<String>,
    /// How often such lines are written, as 30s; 0: every flow has its line
    #[arg(long, value_name = "TIME", default_value = "0s", env = "NETDROP_EXPORT_AGGREGATION_INTERVAL", value_parser = span)]
    pub export_aggregation_interval: Duration,
}

/// Who may ask how the agent does, and what is counted.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Metrics and health")]
pub struct MetricsArgs {
    /// Serve /metrics, /healthz and /readyz here, as :9965 or 127.0.0.1:9965
    #[arg(long, value_name = "[ADDRESS]:PORT", env = "NETDROP_METRICS_ADDRESS", value_parser = metrics_address)]
    pub metrics_address: Option<SocketAddr>,
    /// Hubble's metrics and their options, as "drop:sourceContext=pod;destinationContext=pod flow"
    #[arg(long, value_name = "LIST", default_value = "drop flow", env = "NETDROP_METRICS")]
    pub metrics: String,
    /// Series that one of them may have; the rest is counted in one that says overflow
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MOST, env = "NETDROP_METRICS_MAX_SERIES")]
    pub metrics_max_series: usize,
}

/// The subcommand. Values are checked by [`crate::config`], which tells all that is wrong at once.
pub fn command() -> Command {
    // The flags' own description is that of the flags, not of the command.
    AgentArgs::augment_args(Command::new("agent"))
        .about("Capture for many: history, server, log feeds, metrics")
        .long_about(None)
        .after_help(EXAMPLES)
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

fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    address(text).map_err(|_| "not an address and port: write :9965, 127.0.0.1:9965 or [::1]:9965".into())
}

fn span(text: &str) -> Result<Duration, String> {
    time::duration(text).ok_or_else(|| "want a time, as 30s, 5m or 1h30m".into())
}

/// Checked here, so that a mistake in them is told with all others.
fn flow_filters(text: &str) -> Result<String, String> {
    filters_of_json(text).map(|_| text.to_owned())
}

fn log_level(text: &str) -> Result<String, String> {
    let known = text.parse::<tracing_subscriber::EnvFilter>().is_ok() && !text.is_empty();
    known
        .then(|| text.to_owned())
        .ok_or_else(|| "want error, warn, info, debug, trace, or as RUST_LOG takes it".into())
}
