//! The cluster's programs, from their Go modules.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::image::sha256;
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

/// Builds Kubernetes, if its version has changed since.
pub fn build() -> anyhow::Result<()> {
    module("kubernetes", "k8s.io/kubernetes", "eight minutes when cold", &["tool"])
}

/// Builds the stock hubble client and the stock relay, which must be able to read from netdrop.
pub fn build_hubble() -> anyhow::Result<()> {
    module("hubble", "github.com/cilium/cilium", "four minutes when cold", &["tool"])
}

/// Builds the judge of metrics.
pub fn build_promlint() -> anyhow::Result<()> {
    module("promlint", "require github.com/prometheus/client_golang", "a minute when cold", &["."])
}

fn module(name: &str, versioned: &str, time: &str, packages: &[&str]) -> anyhow::Result<()> {
    let source = root().join("xtask/cluster-tools").join(name);
    let text = fs::read_to_string(source.join("go.mod"))
        .with_context(|| format!("cannot read the go.mod of {name}"))?;
    // Of a program of our own, too.
    let own = fs::read_to_string(source.join("main.go")).unwrap_or_default();
    let digest = sha256(format!("{text}{packages:?}{own}").as_bytes());
    let (folder, stamp) = (folder(), folder().join(format!(".built-{name}")));
    fs::create_dir_all(&folder)?;
    let version = text
        .lines()
        .find_map(|l| l.trim().strip_prefix(versioned)?.strip_prefix(' '))
        .and_then(|v| v.split_whitespace().next())
        .unwrap_or("v0.0.0");
    if fs::read_to_string(&stamp).is_ok_and(|built| built == digest) {
        say("ok", format_args!("{name} {version}"));
        return Ok(());
    }
    say("...", format_args!("{name} {version} ({time})"));
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version}");
    let out = format!("{}/", folder.display());
    let mut go = command("go", ["build", "-ldflags", &flags, "-o", &out]);
    quiet(go.args(packages).current_dir(&source).env("CGO_ENABLED", "0"))?;
    fs::write(stamp, digest)?;
    Ok(())
}
