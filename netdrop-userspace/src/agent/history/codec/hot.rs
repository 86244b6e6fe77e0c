//! The first fields of a flow: those that filters ask for most.

use std::net::IpAddr;

use super::bytes::Bytes;
use super::packet;
use crate::flow::L4;

/// Which fields a flow has.
pub(super) mod flag {
    /// Kind, count, first and last of the tally; else it is one packet.
    pub(crate) const TALLY: u32 = 1;
    /// Bytes of the tally; else they are the length.
    pub(crate) const BYTES: u32 = 1 << 1;
    pub(crate) const MONOTONIC: u32 = 1 << 2;
    pub(crate) const UUID: u32 = 1 << 3;
    pub(crate) const REASON: u32 = 1 << 4;
    pub(crate) const DESC: u32 = 1 << 5;
    /// Else the event type follows from Hubble's reason.
    pub(crate) const EVENT: u32 = 1 << 6;
    pub(crate) const SITE: u32 = 1 << 7;
    pub(crate) const IP: u32 = 1 << 8;
    pub(crate) const SOURCE_V6: u32 = 1 << 9;
    pub(crate) const DESTINATION_V6: u32 = 1 << 10;
    pub(crate) const L4: u32 = 1 << 11;
    pub(crate) const ETHERNET: u32 = 1 << 12;
    pub(crate) const ETHER_TYPE: u32 = 1 << 13;
    /// The EtherType is that of the source address.
    pub(crate) const ETHER_TYPE_OF_IP: u32 = 1 << 14;
    /// VLAN, ARP, fragment, inner packet, problem.
    pub(crate) const MORE_HEADERS: u32 = 1 << 15;
    pub(crate) const SOURCE: u32 = 1 << 16;
    pub(crate) const DESTINATION: u32 = 1 << 17;
    pub(crate) const SOURCE_IDS: u32 = 1 << 18;
    pub(crate) const DESTINATION_IDS: u32 = 1 << 19;
    /// Services and DNS names.
    pub(crate) const MORE_NAMES: u32 = 1 << 20;
    pub(crate) const NODE: u32 = 1 << 21;
    pub(crate) const INTERFACE: u32 = 1 << 22;
    pub(crate) const INCOMING: u32 = 1 << 23;
    pub(crate) const NETNS: u32 = 1 << 24;
    pub(crate) const PROCESS: u32 = 1 << 25;
    pub(crate) const CGROUP: u32 = 1 << 26;
    pub(crate) const MARK: u32 = 1 << 27;
    pub(crate) const LENGTH: u32 = 1 << 28;
    pub(crate) const REPLY_KNOWN: u32 = 1 << 29;
    pub(crate) const REPLY: u32 = 1 << 30;
    /// Texts of another server, a meaning, benign.
    pub(crate) const REMOTE: u32 = 1 << 31;
}

/// They are read without making any name.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Hot<'a> {
    pub(super) flags: u32,
    /// Numbers of names.
    pub(in super::super) reason: Option<usize>,
    pub(in super::super) source: Option<usize>,
    pub(in super::super) destination: Option<usize>,
    pub(in super::super) addresses: Option<[IpAddr; 2]>,
    pub(in super::super) l4: Option<L4>,
    /// What follows.
    pub(super) cold: Bytes<'a>,
}

impl<'a> Hot<'a> {
    /// Reads them from the body of a flow's record.
    pub(in super::super) fn read(mut bytes: Bytes<'a>) -> Option<Self> {
        let flags = bytes.fixed32()?;
        let has = |flag: u32| flags & flag != 0;
        let mut id = |flag: u32| if has(flag) { bytes.len().map(Some) } else { Some(None) };
        let (reason, source, destination) = (id(flag::REASON)?, id(flag::SOURCE)?, id(flag::DESTINATION)?);
        let addresses = if has(flag::IP) {
            let source = packet::address(&mut bytes, has(flag::SOURCE_V6))?;
            Some([source, packet::address(&mut bytes, has(flag::DESTINATION_V6))?])
        } else {
            None
        };
        let l4 = if has(flag::L4) { Some(packet::l4(&mut bytes)?) } else { None };
        Some(Self { flags, reason, source, destination, addresses, l4, cold: bytes })
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}
