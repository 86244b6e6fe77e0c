//! Building the netdrop that the demo shows.

use std::path::PathBuf;

use anyhow::Result;

use crate::image::target_folder;
use crate::shell::{cargo, run, say};

/// Builds netdrop as it ships and gives the binary's path.
pub(super) fn netdrop() -> Result<PathBuf> {
    say("...", "building netdrop, optimized (some minutes when cold)");
    run(&mut cargo(&["build", "--quiet", "--release", "--package", "netdrop-userspace"]))?;
    Ok(target_folder().join("release/netdrop"))
}
