//! Bytes as packets, from every header on that a record may start with.

use netdrop::decode::{self, DropEvent};
use netdrop_common::event::{ABI_VERSION, DropRecord, HEAD_MAX, MAC_MAX, flag};
use netdrop_common::hook;

use crate::flows;

/// Two bytes of EtherType and one that says where the packet starts; the rest is the packet.
pub fn run(bytes: &[u8]) {
    let Some((&[high, low, shape], packet)) = bytes.split_first_chunk() else { return };
    let protocol = [high, low];
    // What a record holds is cut off; the parsers must stand the whole of it.
    flows::check_packet(&decode::parse_ethernet(packet));
    flows::check_packet(&decode::parse_network(Some(u16::from_be_bytes(protocol)), packet));
    flows::check_packet(&decode::parse_network(None, packet));
    if let Ok(event) = DropEvent::from_record(record(protocol, shape, packet)) {
        flows::check(&event);
    }
}

/// A record of a packet, as the kernel side would write it. Of `shape`, two bits say what the bytes begin with, four what else is there,
/// and the last two are the time.
pub fn record(protocol: [u8; 2], shape: u8, packet: &[u8]) -> DropRecord {
    let start = [flag::HEAD_NETWORK, flag::HEAD_MAC, flag::HEAD_DATA, 0][usize::from(shape & 3)];
    let more = [(4, flag::MAC), (8, flag::VLAN), (16, flag::SOCKET | flag::OWNER), (32, flag::NETNS)];
    let more = more.iter().filter(|(bit, _)| shape & bit != 0).fold(0, |all, (_, flag)| all | flag);
    let kept = packet.len().min(HEAD_MAX);
    let mut head = [0; HEAD_MAX];
    head[..kept].copy_from_slice(&packet[..kept]);
    let mut mac = [0; MAC_MAX];
    let from_end = packet.len().min(MAC_MAX);
    mac[..from_end].copy_from_slice(&packet[packet.len() - from_end..]);
    let cut = if kept < packet.len() { flag::TRUNCATED } else { 0 };
    DropRecord {
        version: ABI_VERSION,
        hook: hook::KFREE_SKB,
        len: u16::try_from(size_of::<DropRecord>()).unwrap_or(0),
        flags: start | more | cut | flag::REASON,
        time_ns: u64::from(shape >> 6),
        location: 0xffff_ffff_8100_0000,
        cgroup_id: 0,
        reason: 2,
        netns: 4_026_531_840,
        ifindex: 0,
        skb_iif: 0,
        skb_len: u32::try_from(packet.len()).unwrap_or(u32::MAX),
        mark: 0,
        pid: 1,
        tid: 1,
        cpu: 0,
        local_addr: [10, 0, 0, 1],
        protocol,
        vlan_proto: [0x81, 0],
        vlan_tci: 7,
        gso_size: 0,
        gso_segs: 0,
        pkt_type: 0,
        head_len: u8::try_from(kept).unwrap_or(0),
        comm: *b"fuzz\0\0\0\0\0\0\0\0\0\0\0\0",
        dev_name: [0; 16],
        _pad: [0; 6],
        mac,
        head,
    }
}
