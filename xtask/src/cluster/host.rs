//! Hosts: namespaces on one wire, with vxlan between the nodes' pods.

use std::fs;
use std::process::Command;

use super::{NODES, sysctl};
use crate::shell::{q, works};

const PREFIX: &str = "netdrop-k8s-";

/// Name of a host's namespace.
pub fn namespace(host: &str) -> String {
    format!("{PREFIX}{host}")
}

/// Address of the control plane (0) or a node.
pub fn address(node: u8) -> String {
    if node == 0 { "10.211.0.1".into() } else { format!("10.211.0.{}", 10 + node) }
}

/// A command in a host's network (mounts stay the machine's).
pub fn at(host: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", namespace(host))).arg("--").arg(program);
    command
}

/// Names of all namespaces of the machine.
pub fn all_namespaces() -> Vec<String> {
    fs::read_dir("/run/netns")
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default()
}

fn ip(words: &str) -> anyhow::Result<()> {
    q("ip", words.split_whitespace()).map(drop)
}

fn in_host(host: &str, words: &str) -> anyhow::Result<()> {
    ip(&format!("-n {} {words}", namespace(host)))
}

/// All hosts and links.
pub fn network() -> anyhow::Result<()> {
    ip(&format!("netns add {}", namespace("wire")))?;
    in_host("wire", "link add wire type bridge")?;
    in_host("wire", "link set wire up")?;
    host("cp", 0)?;
    for node in NODES {
        host(&format!("n{node}"), node)?;
        in_host(&format!("n{node}"), "route add default via 10.211.0.1")?;
    }
    for from in std::iter::once(0).chain(NODES) {
        overlay(from)?;
    }
    Ok(())
}

fn host(name: &str, node: u8) -> anyhow::Result<()> {
    let (own, wire) = (namespace(name), namespace("wire"));
    ip(&format!("netns add {own}"))?;
    in_host(name, "link set lo up")?;
    ip(&format!("link add eth0 netns {own} type veth peer name {name} netns {wire}"))?;
    in_host("wire", &format!("link set {name} master wire up"))?;
    in_host(name, &format!("addr add {}/24 dev eth0", address(node)))?;
    in_host(name, "link set eth0 up")?;
    sysctl(name, &["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
}

fn mac(node: u8) -> String {
    format!("02:0a:d3:00:00:{node:02x}")
}

/// One host's end of the overlay, and its ways to the others' pods.
fn overlay(from: u8) -> anyhow::Result<()> {
    let name = if from == 0 { "cp".to_owned() } else { format!("n{from}") };
    let (own_mac, local) = (mac(from), address(from));
    in_host(
        &name,
        &format!(
            "link add vx0 address {own_mac} mtu 1450 type vxlan id 1 dstport 4789 local {local} dev eth0 nolearning"
        ),
    )?;
    in_host(&name, &format!("addr add 10.212.{from}.0/32 dev vx0"))?;
    in_host(&name, "link set vx0 up")?;
    for to in std::iter::once(0).chain(NODES).filter(|to| *to != from) {
        let (mac, at) = (mac(to), address(to));
        let fdb = format!("-n {} fdb append {mac} dev vx0 dst {at}", namespace(&name));
        q("bridge", fdb.split_whitespace())?;
        in_host(&name, &format!("neigh add 10.212.{to}.0 lladdr {mac} dev vx0"))?;
        in_host(&name, &format!("route add 10.212.{to}.0/24 via 10.212.{to}.0 dev vx0 onlink"))?;
    }
    Ok(())
}

/// Removes the hosts, and the pods' namespaces that were not there before.
pub fn remove(before: &[&str]) {
    for name in all_namespaces() {
        let pods = name.starts_with("cni-") && !before.contains(&name.as_str());
        if pods || name.starts_with(PREFIX) {
            works(Command::new("ip").args(["netns", "del", &name]));
        }
    }
}
