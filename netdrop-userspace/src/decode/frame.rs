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
    let whole = length_from_network_header(record.skb_len, head);
    let length = whole.saturating_add(length(before)).max(length(bytes.len()));
    Some(Frame { bytes: bytes.into(), length, without_mac: mac.is_none() })
}

/// The kernel counts from where it was in the packet (`skb->data`): mostly at the network header, but behind those headers that it was
/// done with where a transport protocol drops a packet. Then the IP header knows how long the whole is.
fn length_from_network_header(skb_len: u32, head: &[u8]) -> u32 {
    let word = |at: usize| head.get(at..at + 2).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]])));
    let (stated, header) = match head.first().map(|b| (b >> 4, b & 0xf)) {
        Some((4, words)) => (word(2), u32::from(words) * 4),
        Some((6, _)) => (word(4).map(|payload| payload + 40), 40),
        _ => return skb_len,
    };
    // A packet that was cut on its way states more, too. But of a short one all that is left is here, and of a long one hardly just what
    // headers take is missing.
    let all_here = length(head.len()) == skb_len;
    let pulled =
        |whole: u32| whole.checked_sub(skb_len).is_some_and(|n| n >= header && n <= length(head.len()));
    stated.filter(|whole| !all_here && pulled(*whole)).unwrap_or(skb_len)
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

#[cfg(test)]
mod tests {
    use super::length_from_network_header;

    #[test]
    fn headers_that_were_pulled_are_counted() {
        let mut v4 = [0; 128];
        (v4[0], v4[2], v4[3]) = (0x45, 0xea, 0x7c);
        let mut v6 = [0; 128];
        (v6[0], v6[4], v6[5]) = (0x60, 0xea, 0x68);
        let mut short = v4;
        (short[2], short[3]) = (0, 156);
        for (head, skb_len, whole) in [
            (&v4, 60_028, 60_028),
            (&v4, 60_008, 60_028),
            (&v4, 60_000, 60_028),
            // Padded, cut, or no length that makes sense.
            (&v4, 60_040, 60_040),
            (&v4, 60_020, 60_020),
            (&v4, 1_000, 1_000),
            (&short, 136, 156),
            (&short, 128, 128),
            (&v6, 60_008, 60_048),
            (&v6, 60_048, 60_048),
            (&[0; 128], 7, 7),
        ] {
            assert_eq!(length_from_network_header(skb_len, head), whole, "{skb_len}");
        }
        assert_eq!(length_from_network_header(9, &[0x45]), 9);
    }
}
