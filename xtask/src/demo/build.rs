//! Building the netdrop that the demo shows.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::screen::Screen;

/// Builds netdrop as it ships and gives the binary's path.
pub(super) fn netdrop(screen: &mut Screen) -> Result<PathBuf> {
    screen.note("building netdrop (cargo build --release; some minutes the first time)")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "netdrop-userspace"])
        .current_dir(root)
        .status()
        .context("can't run cargo")?;
    if !status.success() {
        bail!("netdrop did not build; `cargo build --release -p netdrop-userspace` shows why");
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(root.join(target).join("release/netdrop"))
}
