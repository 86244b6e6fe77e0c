//! The first fields of a flow: those that filters ask for most.

use std::net::IpAddr;

use super::bytes::Bytes;
use super::packet::{self, L4Shape};
use crate::filter::Side;
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

/// Which fields a record has: without it none can be read. Those of a length that follows from it come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Shape {
    pub(super) flags: u32,
    pub(super) l4: Option<L4Shape>,
}

impl Shape {
    /// Where the fields of known length are.
    pub(in super::super) fn layout(self) -> Layout {
        let has = |flag: u32| self.flags & flag != 0;
        let address = |v6: u32| match (has(flag::IP), has(v6)) {
            (false, _) => 0,
            (true, false) => 4,
            (true, true) => 16,
        };
        let destination_at = address(flag::SOURCE_V6);
        let l4_at = destination_at + address(flag::DESTINATION_V6);
        let uuid_at = l4_at + self.l4.map_or(0, L4Shape::len);
        let names_at = uuid_at + if has(flag::UUID) { 16 } else { 0 };
        Layout { shape: self, destination_at, l4_at, uuid_at, names_at }
    }

    /// Whether the Summary follows from what is common to records: a packet by itself, with ports.
    pub(in super::super) fn tells_summary(self) -> bool {
        const MORE: u32 = flag::TALLY | flag::MORE_HEADERS | flag::REMOTE;
        self.has(flag::IP) && !self.has(MORE) && self.l4.is_some_and(L4Shape::is_told_by_ports)
    }

    fn has(self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// Bytes of a record's body before each field, from the end of its likeness on.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Layout {
    shape: Shape,
    destination_at: usize,
    l4_at: usize,
    uuid_at: usize,
    names_at: usize,
}

/// They are read without making any name, each when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Glance<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
}

impl<'a> Glance<'a> {
    /// Of what follows the number of a flow's likeness. `None`: that is too short.
    #[inline]
    pub(in super::super) fn of(bytes: Bytes<'a>, layout: &'a Layout) -> Option<Self> {
        (bytes.0.len() >= layout.names_at).then_some(Self { layout, bytes: bytes.0 })
    }

    fn at(&self, offset: usize) -> Bytes<'a> {
        Bytes(self.bytes.get(offset..).unwrap_or_default())
    }

    /// The source's or the destination's.
    #[inline]
    pub(in super::super) fn address(&self, of_destination: bool) -> Option<IpAddr> {
        let (at, v6) = if of_destination {
            (self.layout.destination_at, flag::DESTINATION_V6)
        } else {
            (0, flag::SOURCE_V6)
        };
        let shape = self.layout.shape;
        if shape.has(flag::IP) { packet::address(&mut self.at(at), shape.has(v6)) } else { None }
    }

    #[inline]
    pub(in super::super) fn l4(&self) -> Option<L4> {
        packet::l4_of(self.layout.shape.l4?, &mut self.at(self.layout.l4_at))
    }

    /// A number that no other transport header has.
    #[inline]
    pub(in super::super) fn l4_key(&self) -> u64 {
        self.layout.shape.l4.map_or(0, |shape| packet::l4_key(shape, self.at(self.layout.l4_at)))
    }

    /// A number that all have, and no others, that are of this protocol and have this port.
    #[inline]
    pub(in super::super) fn port_key(&self, side: Side) -> u64 {
        let Some(shape) = self.layout.shape.l4 else { return 0 };
        packet::port_key(shape, side.of(0, 2), self.at(self.layout.l4_at))
    }

    #[inline]
    pub(in super::super) fn uuid(&self) -> Option<[u8; 16]> {
        if self.layout.shape.has(flag::UUID) { self.at(self.layout.uuid_at).array() } else { None }
    }

    /// Numbers of the names of source, destination and process. `None`: there is less than there should be.
    pub(in super::super) fn names(&self) -> Option<[Option<usize>; 3]> {
        names(&mut self.at(self.layout.names_at), self.layout.shape)
    }
}

fn names(bytes: &mut Bytes<'_>, shape: Shape) -> Option<[Option<usize>; 3]> {
    let mut id = |flag: u32| if shape.has(flag) { bytes.len().map(Some) } else { Some(None) };
    Some([id(flag::SOURCE)?, id(flag::DESTINATION)?, id(flag::PROCESS)?])
}

/// All of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hot<'a> {
    pub(super) shape: Shape,
    pub(super) addresses: Option<[IpAddr; 2]>,
    pub(super) l4: Option<L4>,
    pub(super) uuid: Option<[u8; 16]>,
    /// Numbers of the names of source, destination and process.
    pub(super) names: [Option<usize>; 3],
    /// What follows.
    pub(super) cold: Bytes<'a>,
}

/// The number of a flow's likeness, with which its record's body begins.
pub(in super::super) fn likeness(bytes: &mut Bytes<'_>) -> Option<usize> {
    bytes.len()
}

impl<'a> Hot<'a> {
    /// Reads what follows that number.
    pub(super) fn read(mut bytes: Bytes<'a>, shape: Shape) -> Option<Self> {
        let addresses = if shape.has(flag::IP) {
            let source = packet::address(&mut bytes, shape.has(flag::SOURCE_V6))?;
            Some([source, packet::address(&mut bytes, shape.has(flag::DESTINATION_V6))?])
        } else {
            None
        };
        let l4 = if let Some(shape) = shape.l4 { Some(packet::l4_of(shape, &mut bytes)?) } else { None };
        let uuid = if shape.has(flag::UUID) { Some(bytes.array()?) } else { None };
        let names = names(&mut bytes, shape)?;
        Some(Self { shape, addresses, l4, uuid, names, cold: bytes })
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.shape.has(flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::TcpFlags;

    /// Both ways to read a record see the same in it, and neither is hurt by one that is cut.
    #[test]
    fn a_glance_sees_what_is_read() {
        let tcp = L4Shape::of(L4::Tcp { source_port: 1, destination_port: 2, flags: TcpFlags(0) });
        let body: Vec<u8> = (1..=80).collect();
        let all = [flag::IP, flag::SOURCE_V6, flag::DESTINATION_V6, flag::UUID, flag::SOURCE, flag::PROCESS];
        for bits in 0..1u32 << all.len() {
            let chosen = all.iter().enumerate().filter(|(n, _)| bits & 1 << n != 0);
            let flags = chosen.fold(0, |flags, (_, flag)| flags | flag);
            for l4 in [None, Some(tcp)] {
                let shape = Shape { flags, l4 };
                let layout = shape.layout();
                for len in 0..=body.len() {
                    let bytes = Bytes(&body[..len]);
                    let hot = Hot::read(bytes, shape);
                    let Some(glance) = Glance::of(bytes, &layout) else {
                        assert!(hot.is_none(), "{shape:?}, {len} bytes");
                        continue;
                    };
                    let Some(hot) = hot else {
                        assert_eq!(glance.names(), None, "{shape:?}, {len} bytes");
                        continue;
                    };
                    let addresses = hot.addresses.map(|[source, destination]| (source, destination));
                    assert_eq!(glance.address(false).zip(glance.address(true)), addresses);
                    assert_eq!((glance.l4(), glance.uuid()), (hot.l4, hot.uuid));
                    assert_eq!(glance.names(), Some(hot.names));
                }
            }
        }
    }
}
