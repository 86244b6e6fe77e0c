//! Links, addresses, routes and neighbours: one `ip -batch` per namespace.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::netns::Netns;
use crate::{command, expect};

/// How long devices may take to work, once they are up; and between two looks.
const LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(2);

/// A VXLAN device.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a> {
    /// Name.
    pub name: &'a str,
    /// Network identifier.
    pub vni: u32,
    /// The device that carries it.
    pub underlay: &'a str,
    /// Outer source address.
    pub local: IpAddr,
    /// MAC address.
    pub mac: &'a str,
    /// MTU of what it carries.
    pub mtu: u32,
}

/// Lines for `ip -batch`, in order.
#[derive(Clone, Debug, Default)]
#[must_use = "a batch does nothing until it is applied"]
pub struct Batch(String);

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    fn line(mut self, line: impl Display) -> Self {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "{line}");
        self
    }

    /// A pair of devices: `name` with `mac` here, `peer` with `peer_mac` in another namespace.
    pub fn veth(self, name: &str, mac: &str, other: &Netns, peer: &str, peer_mac: &str) -> Self {
        self.line(format_args!(
            "link add name {name} address {mac} type veth peer name {peer} address {peer_mac} \
             netns {}",
            other.path()
        ))
    }

    /// A bridge that forwards at once.
    pub fn bridge(self, name: &str, mac: &str) -> Self {
        self.line(format_args!(
            "link add name {name} address {mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ))
    }

    /// A device that swallows what it is given.
    pub fn dummy(self, name: &str) -> Self {
        self.line(format_args!("link add name {name} type dummy"))
    }

    /// A VXLAN device whose peers are told by [`ForwardingTable::tunnel`].
    pub fn vxlan(self, vxlan: &Vxlan<'_>) -> Self {
        let Vxlan { name, vni, underlay, local, mac, mtu } = vxlan;
        self.line(format_args!(
            "link add name {name} address {mac} mtu {mtu} type vxlan id {vni} dev {underlay} local {local} \
             dstport 4789 nolearning"
        ))
    }

    /// Puts a device into a bridge.
    pub fn port(self, bridge: &str, name: &str) -> Self {
        self.line(format_args!("link set dev {name} master {bridge}"))
    }

    /// Brings a device up.
    pub fn up(self, name: &str) -> Self {
        self.line(format_args!("link set dev {name} up"))
    }

    /// Sets a device's MTU.
    pub fn mtu(self, name: &str, mtu: u32) -> Self {
        self.line(format_args!("link set dev {name} mtu {mtu}"))
    }

    /// An address with its prefix length, usable at once.
    pub fn address(self, name: &str, address: IpAddr, prefix: u8) -> Self {
        let nodad = if address.is_ipv6() { " nodad" } else { "" };
        self.line(format_args!("address add {address}/{prefix} dev {name}{nodad}"))
    }

    /// A route to `destination` (a prefix or `default`) by a gateway.
    pub fn route(self, destination: &str, gateway: IpAddr, name: &str) -> Self {
        self.line(format_args!("route add {destination} via {gateway} dev {name} onlink"))
    }

    /// A route of another type: `blackhole`, `unreachable`, `prohibit`.
    pub fn dead_route(self, kind: &str, destination: &str) -> Self {
        self.line(format_args!("route add {kind} {destination}"))
    }

    /// A neighbour that needs no ARP and no neighbour discovery.
    pub fn neighbour(self, address: IpAddr, mac: &str, name: &str) -> Self {
        self.line(format_args!("neighbour replace {address} lladdr {mac} dev {name} nud permanent"))
    }

    /// Runs it in a namespace.
    pub fn apply(self, netns: &Netns) -> Result<()> {
        netns.ip(&self.0)
    }
}

/// A locally administered MAC address that ends in `n`.
pub fn mac(n: u8) -> String {
    format!("02:00:00:00:00:{n:02x}")
}

/// Where a device or a bridge finds MAC addresses: lines for `bridge -batch`.
#[derive(Clone, Debug, Default)]
#[must_use = "a table does nothing until it is applied"]
pub struct ForwardingTable(String);

impl ForwardingTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Frames for `mac` leave a VXLAN device towards `remote`.
    pub fn tunnel(mut self, vxlan: &str, mac: &str, remote: IpAddr) -> Self {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "fdb replace {mac} dev {vxlan} dst {remote} self permanent");
        self
    }

    /// Frames for `mac` leave a bridge by `port`; without it, they leave by every port until the bridge has heard of `mac`.
    pub fn port(mut self, port: &str, mac: &str) -> Self {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "fdb replace {mac} dev {port} master static");
        self
    }

    /// Enters it in a namespace.
    pub fn apply(self, netns: &Netns) -> Result<()> {
        netns.run(|| command::feed("bridge", &["-batch", "-"], &self.0)).map(drop)
    }
}

/// Waits until all devices of a namespace that were brought up work. That one has a peer the kernel tells it by a worker of its own
/// (linkwatch, net/core/link_watch.c); what it sends before that is lost, and a bridge takes nothing from it.
pub fn wait_until_up(netns: &Netns) -> Result<()> {
    let works = || {
        let listed = netns.command("ip", &["-json", "-details", "link", "show", "up"])?;
        let links: serde_json::Value = serde_json::from_str(&listed).context("`ip -json` printed no JSON")?;
        Ok(links.as_array().into_iter().flatten().all(|link| {
            // Of a device that can lose its peer it is unknown only until the worker has looked; of others for ever.
            let can_lose = ["veth", "bridge"].iter().any(|kind| link["linkinfo"]["info_kind"] == *kind);
            link["operstate"] == "UP" || (link["operstate"] == "UNKNOWN" && !can_lose)
        }))
    };
    expect::until_looked("devices that are up", PAUSE, LIMIT, works)?;
    // The worker says so before it is through, and holds the lock that any change needs.
    netns.ip("link set dev lo up\n")
}

/// Index of a device.
pub fn index(netns: &Netns, name: &str) -> Result<u32> {
    let listed = netns.command("ip", &["-json", "link", "show", "dev", name])?;
    let links: serde_json::Value = serde_json::from_str(&listed).context("`ip -json` printed no JSON")?;
    links[0]["ifindex"]
        .as_u64()
        .and_then(|index| u32::try_from(index).ok())
        .with_context(|| format!("`ip -json` gave no index for {name}"))
}
