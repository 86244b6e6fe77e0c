//! Drops that share one entry: what the kernel side keeps where a record for each would be too many.

use crate::event::DropRecord;

/// Bits of [`FlowKey::shape`].
pub mod shape {
    /// A later fragment: it has no ports.
    pub const LATER_FRAGMENT: u8 = 1 << 0;
    /// `source` and `destination` hold MAC addresses: the packet is not IP.
    pub const MAC: u8 = 1 << 1;
    /// `source` and `destination` hold the sender's and target's IPv4 address of ARP, `source_port` its operation.
    pub const ARP: u8 = 1 << 2;
}

/// What drops of one flow have in common: 5-tuple, reason, place, namespace and interface. Zero where the packet has none.
///
/// Integers in host order, byte arrays as they stood in the packet.
#[repr(C)]
#[expect(clippy::pub_underscore_fields, reason = "padding is part of the ABI and both sides write it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// Source address; IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// Destination address; IPv4 in the first four bytes.
    pub destination: [u8; 16],
    /// Instruction address that freed the packet.
    pub location: u64,
    /// Raw `enum skb_drop_reason`.
    pub reason: u32,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Index of `skb->dev`.
    pub ifindex: u32,
    /// TCP, UDP, SCTP: source port. ICMP: type and code.
    pub source_port: [u8; 2],
    /// TCP, UDP, SCTP: destination port.
    pub destination_port: [u8; 2],
    /// `skb->protocol` (an EtherType).
    pub ether_type: [u8; 2],
    /// `skb->vlan_tci`, host order.
    pub vlan_tci: u16,
    /// IP protocol.
    pub protocol: u8,
    /// Bits of [`shape`].
    pub shape: u8,
    /// Zero.
    pub _pad: [u8; 2],
}

/// Drops of one flow since the entry was made.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FlowEntry {
    /// Packets.
    pub count: u64,
    /// Sum of `skb->len`.
    pub bytes: u64,
    /// `CLOCK_MONOTONIC` of the last, ns; the first one's is in `record`.
    pub last_ns: u64,
    /// The first packet, whole.
    pub record: DropRecord,
}

/// Where drops go that found no room in the flow map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RestKey {
    /// Raw `enum skb_drop_reason`.
    pub reason: u32,
    /// Inode of the network namespace; 0: not known.
    pub netns: u32,
}

/// Such drops since the hook was attached; never reset, so that nothing is lost between a read and a reset.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestEntry {
    /// Packets.
    pub count: u64,
    /// Sum of `skb->len`.
    pub bytes: u64,
    /// `CLOCK_MONOTONIC` of the last, ns.
    pub last_ns: u64,
}

/// Room for (reason, namespace) pairs.
pub const REST_MAX: u32 = 4096;

/// A token bucket of one flow, as the time at which it is full again (a "theoretical arrival time", ITU-T I.371).
///
/// One that is full says nothing that a new one would not: its place is free.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// Hash of the flow.
    pub tag: u64,
    /// `CLOCK_MONOTONIC`, ns.
    pub full_at: u64,
}

/// Buckets in the table; a power of two, at least 2.
pub const BUCKETS: u32 = 32_768;

/// What a CPU keeps between two drops.
#[repr(C)]
#[expect(clippy::pub_underscore_fields, reason = "padding is part of the ABI and both sides write it")]
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuState {
    /// When this CPU last woke the reader, ns.
    pub last_wake: u64,
    /// 1: the ring buffer was past its watermark when last looked at.
    pub waiting: u32,
    /// 1: it was past the pressure mark.
    pub pressed: u32,
    /// Drops until the next look.
    pub until_look: u32,
    /// Zero.
    pub _pad: u32,
}

const _: () = {
    assert!(size_of::<FlowKey>() == 64);
    assert!(size_of::<FlowEntry>() == 24 + size_of::<DropRecord>());
    assert!(size_of::<RestKey>() == 8);
    assert!(size_of::<RestEntry>() == 24);
    assert!(size_of::<Bucket>() == 16);
    assert!(size_of::<CpuState>() == 24);
    assert!(BUCKETS.is_power_of_two());
};
