//! A real Kubernetes cluster on one machine: etcd, kube-apiserver, controller manager, scheduler, and on two nodes kubelet,
//! containerd and kube-proxy, each in a network namespace of its own, with a bridge on each node and vxlan between them.
//!
//! Hosts: `cp` 10.211.0.1, `n1` 10.211.0.11, `n2` 10.211.0.12. Pods: 10.212.NODE.0/24. Services: 10.213.0.0/16.

mod binaries;
mod control;
mod host;
mod node;
mod pki;
mod processes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::image::{self, ImageArgs};
use crate::shell::{cargo, q, run, say};
use crate::tools;

pub use binaries::{build_hubble, build_promlint};

/// Everything of a running cluster lies below.
pub const STATE: &str = "/run/netdrop-cluster";
/// Nodes.
pub const NODES: [u8; 2] = [1, 2];

/// What was typed after `cargo xtask cluster`.
#[derive(Args)]
pub struct ClusterArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Starts it; ready in about fifteen seconds once its parts are built
    Up,
    /// Ends it and removes all it made
    Down,
    /// kubectl as admin
    #[command(alias = "k")]
    Kubectl {
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs a command in the network of a host: cp, n1, n2 or wire
    Ns {
        /// Host
        host: String,
        /// Command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Imports image archives on all nodes
    Load {
        /// Archives
        archives: Vec<PathBuf>,
    },
    /// Kills the API server, as a failure would
    KillApi,
    /// Starts the API server again
    StartApi,
}

/// Does it.
pub fn cluster(args: ClusterArgs) -> anyhow::Result<()> {
    match args.action {
        Action::Up => up(),
        Action::Down => {
            down();
            Ok(())
        }
        Action::Kubectl { arguments } => run(control::kubectl()?.args(arguments)),
        Action::Ns { host, command } => {
            let (program, arguments) = command.split_first().context("no command")?;
            run(host::at(&host, program).args(arguments))
        }
        Action::Load { archives } => archives.iter().try_for_each(|a| load(a)),
        Action::KillApi => {
            processes::kill(&state().join("pid/apiserver"));
            Ok(())
        }
        Action::StartApi => control::start_api(),
    }
}

fn state() -> PathBuf {
    STATE.into()
}

fn up() -> anyhow::Result<()> {
    tools::cluster()?;
    binaries::build()?;
    if state().exists() {
        say("...", "removing what an earlier cluster left");
        down();
    }
    let result = start();
    if result.is_err() {
        say(
            "!!",
            format_args!("the cluster did not start; its logs: {STATE}/log (cluster down removes them)"),
        );
    }
    result
}

fn start() -> anyhow::Result<()> {
    for folder in ["log", "pid", "pki", "images"] {
        fs::create_dir_all(state().join(folder))?;
    }
    fs::write(state().join("resolv.conf"), "")?;
    fs::write(state().join("netns-before"), host::all_namespaces().join("\n"))?;
    images()?;
    host::network()?;
    say("ok", "networks");
    control::start()?;
    say("ok", "control plane");
    for node in NODES {
        node::start(node)?;
    }
    for node in NODES {
        control::wait_for_node(node)?;
    }
    say("ok", "two nodes Ready: cargo xtask cluster kubectl get pods -A");
    Ok(())
}

/// The pause image, and one with busybox for pods.
fn images() -> anyhow::Result<()> {
    use image::Entry;
    const APPLETS: &[&str] = &[
        "sh", "sleep", "nc", "wget", "httpd", "ping", "cat", "echo", "ip", "timeout", "mkdir", "ls", "ps",
        "kill",
    ];
    let busybox = Path::new("/bin/busybox");
    let mut entries = vec![Entry::file("bin/busybox", busybox), Entry::folder("tmp"), Entry::folder("etc")];
    let pause = ["/bin/busybox", "sleep", "2147483647"];
    image::write(&state().join("images/pause.tar"), "localhost/pause:1", &entries, &pause)?;
    entries.extend(APPLETS.iter().map(|a| Entry::link(&format!("bin/{a}"), "busybox")));
    image::write(&state().join("images/tools.tar"), "localhost/tools:1", &entries, &["/bin/sh"])
}

fn load(archive: &Path) -> anyhow::Result<()> {
    for node in NODES {
        node::import(node, archive)?;
    }
    Ok(())
}

/// Ends every process by the id it was started with, then removes mounts, namespaces, cgroups and files.
fn down() {
    for node in NODES {
        processes::kill(&state().join(format!("pid/kubelet-n{node}")));
    }
    for node in NODES {
        node::kill_containers(node);
    }
    processes::kill_all(&state().join("pid"));
    processes::kill_shims(STATE);
    let before = fs::read_to_string(state().join("netns-before")).unwrap_or_default();
    host::remove(&before.lines().collect::<Vec<_>>());
    processes::unmount_below(STATE);
    node::remove_cgroups();
    if let Err(e) = fs::remove_dir_all(state())
        && e.kind() != std::io::ErrorKind::NotFound
    {
        say("!!", format_args!("cannot remove {STATE}: {e}"));
    }
}

/// Where the stock client is, once it is built.
pub fn hubble() -> std::path::PathBuf {
    binaries::path("hubble")
}

/// The judge of metrics, where it was built.
pub fn promlint() -> std::path::PathBuf {
    binaries::path("promlint")
}

/// The cluster tests: a cluster, netdrop's image on its nodes, the tests, and the end of it all.
pub fn test(filter: &[&str]) -> anyhow::Result<()> {
    let archive = std::env::temp_dir().join(format!("netdrop-{}.tar", std::process::id()));
    image::image(&ImageArgs { out: archive.clone(), tag: image::NETDROP.into() })?;
    binaries::build_hubble()?;
    up()?;
    let tested = load(&archive).and_then(|()| {
        say("...", "cluster tests");
        let xtask = std::env::current_exe()?;
        let threads = ["--test-threads", "1"];
        let mut tests =
            cargo(&["test", "--quiet", "--package", "netdrop-tests", "--test", "suite", "--", "cluster::"]);
        run(tests
            .args(filter)
            .args(threads)
            .env("NETDROP_XTASK", xtask)
            .env("NETDROP_HUBBLE", binaries::path("hubble")))
    });
    down();
    drop(fs::remove_file(archive));
    tested
}

/// Runs `ctr` of a node.
fn ctr(node: u8, arguments: &[&str]) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(format!("{STATE}/n{node}/containerd.sock")).args(["--namespace", "k8s.io"]);
    command.args(arguments);
    command
}

/// Waits until something works.
fn wait_until(what: &str, seconds: u64, mut works: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    while !works() {
        if std::time::Instant::now() > end {
            bail!("{what}: not after {seconds} s (logs: {STATE}/log)");
        }
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    Ok(())
}

/// Sets a kernel setting in a host.
fn sysctl(host: &str, settings: &[&str]) -> anyhow::Result<()> {
    q("ip", ["netns", "exec", &host::namespace(host), "sysctl", "-qw"].iter().chain(settings)).map(drop)
}
