//! `netdrop status`: of a server, or of this machine.

use std::io::Write;

use anyhow::{anyhow, bail};
use tonic_health::pb::health_check_response::ServingStatus;

use super::{say_all, servers_of};
use crate::cli::status::{self, StatusOutput};
use crate::cli::status_local::{self, StatusArgs};
use crate::kernel::{Features, KernelInfo};
use crate::probe::{ProbeConfig, ProbeSet};
use crate::source::remote;
use crate::source::several::Several;

/// Prints it; also what there is to say before an error.
pub async fn status(args: &StatusArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if args.local {
        return status_local::write(&Features::probe(Some(try_capture())), args.local_output()?, out);
    }
    let output = StatusOutput::from_name(args.output.as_deref().unwrap_or("compact"))?;
    let servers = servers_of(&args.server)?;
    if servers.targets.len() > 1 {
        // One of them answers: as much as the health of a relay says.
        let several = Several::connect(&servers).await?;
        if output == StatusOutput::Compact {
            status::write_health(&servers.addresses(), "Ok", out)?;
        }
        let (numbers, troubles) = several.status().await;
        say_all(&troubles);
        return status::write(&numbers, output, out);
    }
    let connection = remote::connect(&servers).await.map_err(|e| {
        // What a server says, it is asked for its state with.
        if e.to_string().starts_with("rpc error: ") { anyhow!("failed getting status: {e:#}") } else { e }
    })?;
    let health = remote::health(&servers, &connection).await;
    let health = health.map_err(|e| anyhow!("failed getting status: {e:#}"))?;
    if output == StatusOutput::Compact {
        let word = match health {
            ServingStatus::Serving => "Ok".to_owned(),
            other => format!("Unavailable: {}", other.as_str_name()),
        };
        status::write_health(&servers.addresses(), &word, out)?;
    }
    if health != ServingStatus::Serving {
        bail!("not healthy");
    }
    let numbers = remote::server_status(&servers, &connection).await;
    let numbers = numbers.map_err(|e| anyhow!("failed to get hubble server status: {e:#}"))?;
    status::write(&numbers, output, out)
}

/// Loads and attaches the programs for a moment: what works is better known by trying.
fn try_capture() -> Result<(), String> {
    let text = |e: anyhow::Error| format!("{e:#}");
    let kernel = KernelInfo::load().map_err(text)?;
    ProbeSet::attach(&kernel, &ProbeConfig::default()).map(drop).map_err(|e| text(e.into()))
}
