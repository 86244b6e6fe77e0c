//! The cluster's programs, from their Go modules.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::shell::{command, quiet, root, say};

/// Where they lie: kept between clusters.
pub fn folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from);
    std::env::var_os("NETDROP_CLUSTER_BIN")
        .map_or_else(|| home().join(".cache/netdrop/cluster"), PathBuf::from)
}

/// A program.
pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// Builds them, if their versions have changed since.
pub fn build() -> anyhow::Result<()> {
    let source = root().join("xtask/cluster-tools/kubernetes");
    let module = fs::read_to_string(source.join("go.mod")).context("cannot read the cluster's go.mod")?;
    let digest: String = Sha256::digest(&module).iter().map(|b| format!("{b:02x}")).collect();
    let (folder, stamp) = (folder(), folder().join(".built"));
    fs::create_dir_all(&folder)?;
    if fs::read_to_string(&stamp).is_ok_and(|built| built == digest) {
        say("ok", "kubernetes");
        return Ok(());
    }
    let version = module
        .lines()
        .find_map(|l| l.trim().strip_prefix("k8s.io/kubernetes "))
        .and_then(|v| v.split_whitespace().next())
        .unwrap_or("v0.0.0");
    say("...", format_args!("kubernetes {version} (eight minutes when cold)"));
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version}");
    let out = format!("{}/", folder.display());
    let mut go = command("go", ["build", "-ldflags", &flags, "-o", &out, "tool"]);
    quiet(go.current_dir(&source).env("CGO_ENABLED", "0"))?;
    fs::write(stamp, digest)?;
    Ok(())
}
