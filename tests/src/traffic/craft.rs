//! Packets, byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IANA protocol numbers.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// One for experiments (RFC 3692).
    pub const EXPERIMENT: u8 = 253;
}

/// EtherTypes.
pub mod ether_type {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// A VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// A provider's VLAN tag, before another.
    pub const QINQ: u16 = 0x88a8;
    /// One for local experiments (IEEE 802).
    pub const EXPERIMENT: u16 = 0x88b5;
}

/// IPv4's "don't fragment", for [`Ipv4::fragment`].
pub const DONT_FRAGMENT: u16 = 0x4000;
/// IPv4's "more fragments", for [`Ipv4::fragment`].
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// TCP's SYN flag.
pub const SYN: u8 = 2;
/// TCP's ACK flag.
pub const ACK: u8 = 16;

/// An IPv4 header's variable parts.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Protocol number.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Identification.
    pub id: u16,
    /// [`DONT_FRAGMENT`], [`MORE_FRAGMENTS`], and the offset in units of 8 bytes.
    pub fragment: u16,
    /// Options; filled up to four bytes.
    pub options: Vec<u8>,
}

impl Ipv4 {
    /// A plain header.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8) -> Self {
        Self { source, destination, protocol, ttl: 64, id: 1, fragment: 0, options: Vec::new() }
    }

    /// Header and payload.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let header_len = 20 + options.len();
        let words = u8::try_from(header_len / 4).unwrap_or(15);
        let mut p = vec![0x40 | words, 0];
        p.extend(len16(header_len + payload.len()));
        p.extend(self.id.to_be_bytes());
        p.extend(self.fragment.to_be_bytes());
        p.extend([self.ttl, self.protocol, 0, 0]);
        p.extend(self.source.octets());
        p.extend(self.destination.octets());
        p.extend(options);
        sum_header4(&mut p);
        p.extend(payload);
        p
    }
}

/// Makes the checksum of an IPv4 header right, as far as its own length field says.
pub fn sum_header4(packet: &mut [u8]) {
    let len = packet.first().map_or(0, |b| usize::from(b & 0xf) * 4);
    if let Some(header) = packet.get_mut(..len).filter(|h| h.len() >= 12) {
        header[10..12].fill(0);
        let sum = checksum(&[header]);
        header[10..12].copy_from_slice(&sum);
    }
}

/// An IPv6 packet; `next` is the type of the first header in `payload`.
pub fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend(len16(payload.len()));
    p.extend([next, 64]);
    p.extend(source.octets());
    p.extend(destination.octets());
    p.extend(payload);
    p
}

/// An IPv6 extension header of 8 bytes (hop-by-hop 0, destination options 60) before `payload`, filled with one PadN.
pub fn options6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![next, 0, 1, 4, 0, 0, 0, 0];
    p.extend(payload);
    p
}

/// An IPv6 fragment header (44) before `payload`; `offset` in bytes, a multiple of 8.
pub fn fragment6(next: u8, offset: u16, more: bool, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![next, 0];
    p.extend((offset & 0xfff8 | u16::from(more)).to_be_bytes());
    p.extend(id.to_be_bytes());
    p.extend(payload);
    p
}

/// A plain packet of the addresses' family. They must be of the same one.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => Ipv4::new(s, d, protocol).packet(payload),
        (s, d) => ipv6(to6(s), to6(d), protocol, payload),
    }
}

fn to6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// A UDP datagram with its checksum.
pub fn udp(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut p = ports(source, destination);
    p.extend(len16(8 + data.len()));
    p.extend([0, 0]);
    p.extend(data);
    let sum = pseudo_checksum(source.ip(), destination.ip(), protocol::UDP, &p);
    p[6..8].copy_from_slice(&sum);
    p
}

/// A TCP segment without options and payload.
pub fn tcp(source: SocketAddr, destination: SocketAddr, flags: u8, sequence: u32) -> Vec<u8> {
    let mut p = ports(source, destination);
    p.extend(sequence.to_be_bytes());
    p.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    let sum = pseudo_checksum(source.ip(), destination.ip(), protocol::TCP, &p);
    p[16..18].copy_from_slice(&sum);
    p
}

/// An SCTP packet with one INIT chunk (RFC 9260, section 3.3.2).
pub fn sctp(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut p = ports(source, destination);
    p.extend([0; 8]);
    p.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    let sum = crc32c(&p);
    p[8..12].copy_from_slice(&sum.to_le_bytes());
    p
}

/// An ICMP or ICMPv6 echo request, by the addresses' family.
pub fn echo(source: IpAddr, destination: IpAddr, id: u16, sequence: u16) -> Vec<u8> {
    icmp(source, destination, if source.is_ipv6() { 128 } else { 8 }, 0, id, sequence, b"netdrop")
}

fn icmp(
    source: IpAddr,
    destination: IpAddr,
    kind: u8,
    code: u8,
    id: u16,
    sequence: u16,
    data: &[u8],
) -> Vec<u8> {
    let mut p = vec![kind, code, 0, 0];
    p.extend(id.to_be_bytes());
    p.extend(sequence.to_be_bytes());
    p.extend(data);
    let sum = if source.is_ipv6() {
        pseudo_checksum(source, destination, protocol::ICMPV6, &p)
    } else {
        checksum(&[&p])
    };
    p[2..4].copy_from_slice(&sum);
    p
}

/// An ICMP or ICMPv6 "port unreachable" about a packet.
pub fn port_unreachable(source: IpAddr, destination: IpAddr, about: &[u8]) -> Vec<u8> {
    let (kind, code) = if source.is_ipv6() { (1, 4) } else { (3, 3) };
    icmp(source, destination, kind, code, 0, 0, about)
}

/// An Ethernet frame.
pub fn ethernet(destination: [u8; 6], source: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut p = Vec::from(destination);
    p.extend(source);
    p.extend(ether_type.to_be_bytes());
    p.extend(payload);
    p
}

/// A VLAN tag before `payload`, for [`ethernet`] with [`ether_type::VLAN`].
pub fn vlan(id: u16, priority: u8, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut p = Vec::from((u16::from(priority) << 13 | id & 0xfff).to_be_bytes());
    p.extend(ether_type.to_be_bytes());
    p.extend(payload);
    p
}

/// A VXLAN header before a frame (RFC 7348, section 5), for [`udp`] to port 4789.
pub fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    let mut p = vec![0x08, 0, 0, 0];
    p.extend((vni << 8).to_be_bytes());
    p.extend(frame);
    p
}

/// An ARP request, for [`ethernet`] with [`ether_type::ARP`].
pub fn arp_request(mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut p = vec![0, 1, 8, 0, 6, 4, 0, 1];
    p.extend(mac);
    p.extend(sender.octets());
    p.extend([0; 6]);
    p.extend(target.octets());
    p
}

fn ports(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat()
}

/// A length field; what does not fit is cut off, as a field of 16 bits does.
fn len16(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn pseudo_checksum(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> [u8; 2] {
    let len = len16(payload.len());
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    checksum(&[&octets(source), &octets(destination), &[0, protocol], &len, payload])
}

/// The internet checksum (RFC 1071); all parts but the last have an even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words.map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |b| u64::from(*b))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let [.., high, low] = (!folded).to_be_bytes();
    [high, low]
}

/// CRC-32C (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ ((crc & 1) * 0x82f6_3b78);
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_by_known_answers() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        // The example of RFC 1071, section 3: the sum is ddf2.
        assert_eq!(
            checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]),
            (!0xddf2_u16).to_be_bytes()
        );
    }

    #[test]
    fn a_header_sums_up_to_zero() {
        let mut header = Ipv4::new(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), protocol::UDP);
        header.options = vec![7, 7, 4, 0, 0, 0, 0];
        let packet = header.packet(b"xy");
        assert_eq!((packet[0], packet.len()), (0x47, 30));
        assert_eq!(checksum(&[&packet[..28]]), [0, 0]);
    }
}
