//! A recorded packet as an Ethernet frame again, for files of packets.

use netdrop_common::event::flag;

use super::DropEvent;
use super::packet::{IPV4, IPV6};
use crate::flow::Frame;

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Where the EtherType begins in it.
const TYPE_AT: usize = 12;

/// The bytes that were recorded, with an Ethernet header in front; `None` where there are none.
pub fn frame(event: &DropEvent) -> Option<Frame> {
    let (head, record) = (event.head(), event.record());
    if head.is_empty() {
        return None;
    }
    if event.has(flag::HEAD_MAC) {
        let length = record.skb_len.max(length(head.len()));
        return Some(Frame { bytes: head.into(), length, without_mac: false });
    }
    let mac = event.mac().filter(|mac| mac[..TYPE_AT] != [0; TYPE_AT]);
    let mut bytes = Vec::with_capacity(ETHERNET + 4 + head.len());
    bytes.extend_from_slice(mac.map_or(&[0; TYPE_AT], |mac| &mac[..TYPE_AT]));
    if event.has(flag::VLAN) {
        // The kernel takes the tag out of the packet.
        bytes.extend_from_slice(&record.vlan_proto);
        bytes.extend_from_slice(&record.vlan_tci.to_be_bytes());
    }
    bytes.extend_from_slice(&ether_type(event, mac).to_be_bytes());
    let before = bytes.len();
    bytes.extend_from_slice(head);
    // The length counts from where the kernel was in the packet, at its network header mostly.
    let length = record.skb_len.saturating_add(length(before)).max(length(bytes.len()));
    Some(Frame { bytes: bytes.into(), length, without_mac: mac.is_none() })
}

/// What the kernel says, else the frame, else the packet's first digit.
fn ether_type(event: &DropEvent, mac: Option<&[u8; ETHERNET]>) -> u16 {
    let of_frame = mac.map(|mac| u16::from_be_bytes([mac[TYPE_AT], mac[TYPE_AT + 1]]));
    event.protocol().or(of_frame).unwrap_or_else(|| match event.head().first().map(|b| b >> 4) {
        Some(4) => IPV4,
        Some(6) => IPV6,
        _ => 0,
    })
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
