//! `netdrop status`: of an agent, or of this machine.

use std::io::Write;

use crate::agent::DEFAULT_SOCKET;
use crate::cli::status;
use crate::cli::status_local::{self, StatusArgs};
use crate::kernel::{Features, KernelInfo};
use crate::probe::{ProbeConfig, ProbeSet};
use crate::source::remote;

/// Prints it.
pub async fn status(args: &StatusArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if args.local {
        return status_local::write(&Features::probe(Some(try_capture())), args.output, out);
    }
    let default = || format!("unix://{DEFAULT_SOCKET}");
    let server = args.server.clone().unwrap_or_else(default);
    let status = remote::status(&server).await?;
    status::write(&server, &status, out)
}

/// Loads and attaches the programs for a moment: what works is better known by trying.
fn try_capture() -> Result<(), String> {
    let text = |e: anyhow::Error| format!("{e:#}");
    let kernel = KernelInfo::load().map_err(text)?;
    ProbeSet::attach(&kernel, &ProbeConfig::default()).map(drop).map_err(|e| text(e.into()))
}
