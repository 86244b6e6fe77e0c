//! Ready-made networks.

pub mod cluster;
mod router;

pub use cluster::Cluster;
pub use router::Router;

use std::net::IpAddr;

use crate::netns::Netns;

/// A pod: a namespace with one device, `eth0`.
#[derive(Debug)]
pub struct Pod {
    /// Its namespace.
    pub netns: Netns,
    /// IPv4 address.
    pub v4: IpAddr,
    /// IPv6 address.
    pub v6: IpAddr,
    /// MAC address of `eth0`.
    pub mac: [u8; 6],
}

impl Pod {
    /// The address of one family.
    pub fn address(&self, v6: bool) -> IpAddr {
        if v6 { self.v6 } else { self.v4 }
    }
}
