//! What a fresh Debian machine with rustup lacks: installed once, said line by line.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::image::STATIC;
use crate::shell::{command, q, quiet, run, say, works};

const BPF_LINKER: &str = "0.10.3";

/// Packages to build.
const BUILD: &[&str] = &["gcc", "libc6-dev"];
/// Packages for namespaces, rules and traffic.
const NETWORK: &[&str] = &["iproute2", "nftables", "iptables", "conntrack", "procps", "util-linux"];
/// Packages that the tests compare with.
const TESTS: &[&str] = &["bpftool", "linux-perf"];
/// Packages that files are judged by; too large for a guest.
const FILES: &[&str] = &["tshark", "gzip", "zstd"];
/// Packages that the fuzzing engine builds with.
const FUZZ: &[&str] = &["g++"];
/// Packages for the static image.
const IMAGE: &[&str] = &["musl-tools"];
/// Packages of the virtual machines.
const VM: &[&str] = &["qemu-system-x86", "kmod"];
/// Packages whose programs a guest needs beyond those of the tests; every Debian has them.
const GUEST: &[&str] = &["kmod", "dash", "coreutils", "grep", "sed", "mount"];
/// Packages of the cluster.
const CLUSTER: &[&str] = &[
    "etcd-server",
    "containerd",
    "runc",
    "containernetworking-plugins",
    "busybox-static",
    "openssl",
    "procps",
];

/// To build netdrop.
pub fn build() -> anyhow::Result<()> {
    packages(BUILD)?;
    component("rust-src")?;
    bpf_linker()
}

/// To run it in namespaces.
pub fn network() -> anyhow::Result<()> {
    root_or_say_so()?;
    packages(NETWORK)
}

/// To test it.
pub fn tests() -> anyhow::Result<()> {
    network()?;
    packages(TESTS)?;
    packages(FILES)
}

/// To fuzz it.
pub fn fuzz() -> anyhow::Result<()> {
    packages(FUZZ)
}

/// To make an image.
pub fn image() -> anyhow::Result<()> {
    packages(IMAGE)?;
    let target = STATIC;
    if q("rustup", ["target", "list", "--installed"])?.lines().any(|l| l == target) {
        say("ok", format_args!("rust target {target}"));
        return Ok(());
    }
    say("...", format_args!("rust target {target}"));
    q("rustup", ["target", "add", target])
        .map(drop)
        .with_context(|| format!("run: rustup target add {target}"))
}

/// To test it on other kernels. Gives the packages whose programs a guest needs.
pub fn vm() -> anyhow::Result<Vec<&'static str>> {
    tests()?;
    packages(VM)?;
    Ok([NETWORK, TESTS, GUEST].concat())
}

/// To run a cluster.
pub fn cluster() -> anyhow::Result<()> {
    network()?;
    packages(CLUSTER)
}

/// Version of Go as (major, minor), if it is there.
pub fn go_version() -> Option<(u32, u32)> {
    let text = q("go", ["env", "GOVERSION"]).ok()?;
    let mut numbers = text.trim().strip_prefix("go")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn root_or_say_so() -> anyhow::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:")).and_then(|l| l.split_whitespace().nth(1));
    if uid != Some("0") {
        bail!("network namespaces and BPF need root: run `sudo -E cargo xtask ...`");
    }
    Ok(())
}

fn component(name: &str) -> anyhow::Result<()> {
    let installed = q("rustup", ["component", "list", "--installed"])
        .context("rustup is missing: install it from https://rustup.rs")?;
    if installed.lines().any(|l| l == name || l.starts_with(&format!("{name}-"))) {
        say("ok", format_args!("rust component {name}"));
        return Ok(());
    }
    say("...", format_args!("rust component {name}"));
    q("rustup", ["component", "add", name])
        .map(drop)
        .with_context(|| format!("run: rustup component add {name}"))
}

fn bpf_linker() -> anyhow::Result<()> {
    let wanted = format!("bpf-linker {BPF_LINKER}");
    if q("bpf-linker", ["--version"]).is_ok_and(|v| v.trim() == wanted) {
        say("ok", &wanted);
        return Ok(());
    }
    say("...", format_args!("{wanted} (about a minute)"));
    let install = ["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--force", "--quiet"];
    run(&mut command("cargo", install))
        .with_context(|| format!("run: cargo install bpf-linker --version {BPF_LINKER} --locked"))
}

fn packages(names: &[&str]) -> anyhow::Result<()> {
    let installed = |name: &&str| works(&mut command("dpkg", ["-s", name]));
    let missing: Vec<&str> = names.iter().copied().filter(|n| !installed(n)).collect();
    if missing.is_empty() {
        say("ok", format_args!("packages {}", names.join(" ")));
        return Ok(());
    }
    say("...", format_args!("packages {}", missing.join(" ")));
    let hint = || format!("install by hand: apt-get install {}", missing.join(" "));
    quiet(&mut command("apt-get", ["update", "-qq"])).with_context(hint)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-yqq", "--no-install-recommends"]).args(&missing);
    quiet(install.env("DEBIAN_FRONTEND", "noninteractive")).with_context(hint)?;
    Ok(())
}
