//! The first fields of a flow: those that filters ask for most.

use std::net::IpAddr;

use super::bytes::Bytes;
use super::packet::{self, L4Shape};
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

/// Which fields a record has: without it none can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Shape {
    pub(super) flags: u32,
    pub(super) l4: Option<L4Shape>,
}

/// They are read without making any name.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Hot<'a> {
    pub(super) shape: Shape,
    /// Numbers of names.
    pub(in super::super) source: Option<usize>,
    pub(in super::super) destination: Option<usize>,
    pub(in super::super) process: Option<usize>,
    pub(in super::super) addresses: Option<[IpAddr; 2]>,
    pub(in super::super) l4: Option<L4>,
    pub(in super::super) uuid: Option<[u8; 16]>,
    /// What follows.
    pub(super) cold: Bytes<'a>,
}

impl<'a> Hot<'a> {
    /// The number of a flow's likeness, with which its record's body begins.
    pub(in super::super) fn likeness(bytes: &mut Bytes<'a>) -> Option<usize> {
        bytes.len()
    }

    /// Reads what follows that number.
    pub(in super::super) fn read(mut bytes: Bytes<'a>, shape: Shape) -> Option<Self> {
        let has = |flag: u32| shape.flags & flag != 0;
        let mut id = |flag: u32| if has(flag) { bytes.len().map(Some) } else { Some(None) };
        let (source, destination, process) = (id(flag::SOURCE)?, id(flag::DESTINATION)?, id(flag::PROCESS)?);
        let addresses = if has(flag::IP) {
            let source = packet::address(&mut bytes, has(flag::SOURCE_V6))?;
            Some([source, packet::address(&mut bytes, has(flag::DESTINATION_V6))?])
        } else {
            None
        };
        let l4 = if let Some(shape) = shape.l4 { Some(packet::l4_of(shape, &mut bytes)?) } else { None };
        let uuid = if has(flag::UUID) { Some(bytes.array()?) } else { None };
        Some(Self { shape, source, destination, process, addresses, l4, uuid, cold: bytes })
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.shape.flags & flag != 0
    }
}
