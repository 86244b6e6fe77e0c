//! The ring buffer record.

/// Version of [`DropRecord`]; a reader refuses any other.
pub const ABI_VERSION: u8 = 1;

/// Most packet bytes a record carries.
pub const HEAD_MAX: usize = 128;
/// Packet bytes of a short record: enough for the headers of what storms are made of.
pub const HEAD_SHORT: usize = 64;
/// Length of a short record: a [`DropRecord`] up to [`HEAD_SHORT`] bytes of `head`.
pub const SHORT_LEN: usize = size_of::<DropRecord>() - HEAD_MAX + HEAD_SHORT;
/// Bytes of the MAC header a record carries.
pub const MAC_MAX: usize = 14;

/// Presence and shape bits of [`DropRecord::flags`]. A field whose bit is clear is absent, not zero.
pub mod flag {
    /// `netns` is known.
    pub const NETNS: u32 = 1 << 0;
    /// `ifindex` is known: the packet had a device.
    pub const IFINDEX: u32 = 1 << 1;
    /// `skb_iif` is set: the packet was received.
    pub const IIF: u32 = 1 << 2;
    /// The packet belonged to a socket.
    pub const SOCKET: u32 = 1 << 3;
    /// `cgroup_id` is known (full sockets only: TIME_WAIT and NEW_SYN_RECV have none).
    pub const CGROUP: u32 = 1 << 4;
    /// The running task owns the packet: process context (on the task's own stack), its own socket. Clear: a bystander.
    pub const OWNER: u32 = 1 << 5;
    /// `mac` holds the MAC header.
    pub const MAC: u32 = 1 << 7;
    /// `vlan_proto` and `vlan_tci` hold a VLAN tag taken out of the packet.
    pub const VLAN: u32 = 1 << 8;
    /// `gso_size` and `gso_segs` are set: one skb stands for several packets on the wire.
    pub const GSO: u32 = 1 << 9;
    /// `head` starts at the network header.
    pub const HEAD_NETWORK: u32 = 1 << 10;
    /// `head` starts at the MAC header: the network header was not set.
    pub const HEAD_MAC: u32 = 1 << 11;
    /// `head` starts at `skb->data`: neither header was set.
    pub const HEAD_DATA: u32 = 1 << 12;
    /// The packet has more bytes than `head` holds.
    pub const TRUNCATED: u32 = 1 << 13;
    /// A read failed; which field is absent shows in the other bits.
    pub const READ_FAULT: u32 = 1 << 14;
    /// `local_addr` holds the device's first IPv4 address.
    pub const LOCAL_ADDR: u32 = 1 << 15;
    /// `reason` is known (kernels before 5.17 have none).
    pub const REASON: u32 = 1 << 16;
    /// The call stack is known: it follows the record, or lies in map `STACKS` if the record is that of a flow's entry.
    pub const STACK: u32 = 1 << 17;
    /// No IP header was written yet; the last bytes of `head` are [`super::Ends`], and `head_len` is at most
    /// [`super::UNWRITTEN_HEAD`].
    pub const UNWRITTEN: u32 = 1 << 18;
}

/// Where a packet without an IP header is to go, as its socket knows. Network order.
#[repr(C)]
#[expect(clippy::pub_underscore_fields, reason = "padding is part of the ABI and both sides write it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Own address; IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// The other's.
    pub destination: [u8; 16],
    /// Own port.
    pub source_port: [u8; 2],
    /// The other's.
    pub destination_port: [u8; 2],
    /// 4 or 6.
    pub family: u8,
    /// IP protocol.
    pub protocol: u8,
    /// Zero.
    pub _pad: [u8; 2],
}

/// Packet bytes of a record that has [`Ends`] behind them.
pub const UNWRITTEN_HEAD: usize = HEAD_MAX - size_of::<Ends>();

/// One dropped packet, as the `kfree_skb` hook writes it. The ring buffer also has short ones, of [`SHORT_LEN`] bytes.
///
/// Layout: host order, but for byte arrays, which are in network order as they stood in the packet.
#[repr(C)]
#[expect(clippy::pub_underscore_fields, reason = "padding is part of the ABI and both sides write it")]
#[derive(Clone, Copy, Debug)]
pub struct DropRecord {
    /// [`ABI_VERSION`].
    pub version: u8,
    /// A constant of [`crate::hook`].
    pub hook: u8,
    /// Length of this record in bytes: that of the struct, [`SHORT_LEN`], or as
    /// [`crate::stack::StackedRecord`] has it.
    pub len: u16,
    /// Bits of [`flag`].
    pub flags: u32,
    /// `CLOCK_MONOTONIC`, ns.
    pub time_ns: u64,
    /// Instruction address that freed the packet.
    pub location: u64,
    /// cgroup v2 id of the socket.
    pub cgroup_id: u64,
    /// Raw `enum skb_drop_reason`; the upper 16 bits are the subsystem.
    pub reason: u32,
    /// Inode of the network namespace.
    pub netns: u32,
    /// Index of `skb->dev`.
    pub ifindex: u32,
    /// Index of the device the packet came in by.
    pub skb_iif: u32,
    /// `skb->len`, bytes from `skb->data`, fragments included.
    pub skb_len: u32,
    /// `skb->mark`.
    pub mark: u32,
    /// Thread group id of the running task, as the root pid namespace sees it.
    pub pid: u32,
    /// Thread id of the running task.
    pub tid: u32,
    /// CPU the hook ran on.
    pub cpu: u32,
    /// First IPv4 address of the device.
    pub local_addr: [u8; 4],
    /// `skb->protocol` (an EtherType).
    pub protocol: [u8; 2],
    /// `skb->vlan_proto` (an EtherType).
    pub vlan_proto: [u8; 2],
    /// `skb->vlan_tci`, host order.
    pub vlan_tci: u16,
    /// Payload bytes of each packet of a GSO skb.
    pub gso_size: u16,
    /// Packets a GSO skb stands for.
    pub gso_segs: u16,
    /// `skb->pkt_type` (PACKET_HOST 0, BROADCAST 1, MULTICAST 2, OTHERHOST 3, OUTGOING 4 ...).
    pub pkt_type: u8,
    /// Valid bytes of `head`.
    pub head_len: u8,
    /// Name of the running task, NUL padded.
    pub comm: [u8; 16],
    /// Name of `skb->dev`, NUL padded; valid with [`flag::IFINDEX`].
    pub dev_name: [u8; 16],
    /// Explicit padding, before `mac`: so MAC header and packet bytes lie side by side and one copy fills both.
    pub _pad: [u8; 6],
    /// MAC header: destination, source, EtherType.
    pub mac: [u8; MAC_MAX],
    /// Packet bytes.
    pub head: [u8; HEAD_MAX],
}

const _: () = {
    assert!(size_of::<DropRecord>() == 264);
    assert!(core::mem::offset_of!(DropRecord, head) == 136);
    assert!(core::mem::offset_of!(DropRecord, mac) + MAC_MAX == 136);
    assert!(align_of::<DropRecord>() == 8);
    assert!(SHORT_LEN == 200);
    assert!(size_of::<Ends>() == 40);
    assert!((core::mem::offset_of!(DropRecord, head) + UNWRITTEN_HEAD).is_multiple_of(8));
};
