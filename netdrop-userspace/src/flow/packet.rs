//! Headers of a packet, as far as the captured bytes tell.

use std::fmt::Write as _;
use std::net::IpAddr;

/// All that was parsed. A header that is not there, or was cut off, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// MAC addresses.
    pub ethernet: Option<Ethernet>,
    /// EtherType of the network layer, after any VLAN tags.
    pub ether_type: Option<u16>,
    /// Outermost VLAN tag.
    pub vlan: Option<Vlan>,
    /// ARP.
    pub arp: Option<Arp>,
    /// IPv4 or IPv6.
    pub ip: Option<Ip>,
    /// Transport.
    pub l4: Option<L4>,
    /// The packet an ICMP error is about, or the one a tunnel carries.
    pub inner: Option<Inner>,
    /// Why parsing ended early.
    pub problem: Option<ParseProblem>,
}

/// Ethernet addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Sender.
    pub source: [u8; 6],
    /// Receiver.
    pub destination: [u8; 6],
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// VLAN id, 12 bits.
    pub id: u16,
    /// Priority code point, 3 bits.
    pub priority: u8,
}

/// ARP for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender's protocol address.
    pub sender: std::net::Ipv4Addr,
    /// Target's protocol address.
    pub target: std::net::Ipv4Addr,
}

/// The network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IANA protocol number of the payload, after IPv6 extension headers.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Total length the header states; 0 for a jumbogram or a GSO packet.
    pub total_length: u32,
    /// Set if the packet is a fragment.
    pub fragment: Option<Fragment>,
}

/// Where a fragment lies in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Offset in bytes; only the fragment at 0 has a transport header.
    pub offset: u16,
    /// More follow.
    pub more: bool,
    /// Identification, that all fragments of a datagram share.
    pub id: u32,
}

/// The transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// TCP.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
        /// All nine flags.
        flags: TcpFlags,
    },
    /// UDP (and UDP-Lite).
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// SCTP.
    Sctp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
        /// Type of the first chunk, where captured.
        chunk_type: Option<u8>,
    },
    /// ICMP.
    Icmpv4(IcmpMessage),
    /// ICMPv6.
    Icmpv6(IcmpMessage),
    /// VRRP.
    Vrrp {
        /// Type.
        kind: u8,
        /// Virtual router.
        vrid: u8,
        /// Priority.
        priority: u8,
    },
    /// IGMP.
    Igmp {
        /// Type.
        kind: u8,
        /// Group.
        group: std::net::Ipv4Addr,
    },
}

impl L4 {
    /// Source and destination port, for TCP, UDP and SCTP.
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match *self {
            Self::Tcp { source_port, destination_port, .. }
            | Self::Udp { source_port, destination_port }
            | Self::Sctp { source_port, destination_port, .. } => Some((source_port, destination_port)),
            _ => None,
        }
    }
}

/// Type and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpMessage {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
}

/// The nine TCP flags, as bits: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128, NS 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// Bit and name, in the order of Hubble's Summary.
    pub const NAMES: [(u16, &'static str); 9] = [
        (2, "SYN"),
        (16, "ACK"),
        (4, "RST"),
        (1, "FIN"),
        (8, "PSH"),
        (32, "URG"),
        (64, "ECE"),
        (128, "CWR"),
        (256, "NS"),
    ];

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A packet inside a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// The packet that an ICMP error answers.
    IcmpAbout(Box<Packet>),
    /// The frame that a VXLAN packet carries.
    Vxlan {
        /// Network identifier, 24 bits.
        vni: u32,
        /// The frame.
        packet: Box<Packet>,
    },
}

/// Why parsing ended before the end of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseProblem {
    /// No bytes of the packet could be read.
    NoBytes,
    /// The captured bytes ended inside a header.
    Truncated,
    /// A length or version field contradicts itself.
    Malformed,
    /// More extension headers or tags than are followed.
    TooDeep,
    /// There is no IP header yet: what is known is what the socket knows.
    Unwritten,
}

/// Appends a MAC address as Hubble writes it: `02:00:00:00:00:01`.
pub fn write_mac(mac: [u8; 6], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (i, byte) in mac.iter().enumerate() {
        if i > 0 {
            out.push(':');
        }
        out.push(HEX[usize::from(byte >> 4)].into());
        out.push(HEX[usize::from(byte & 0xf)].into());
    }
}

/// Appends an address as it is printed.
pub fn write_address(address: IpAddr, out: &mut String) {
    let IpAddr::V4(v4) = address else {
        // Writing to a String does not fail.
        let _ = write!(out, "{address}");
        return;
    };
    // Digits at once: this is done for each flow, printed or looked at.
    let (mut text, mut len) = ([b'.'; "255.255.255.255".len()], 0);
    for (i, byte) in v4.octets().into_iter().enumerate() {
        len += usize::from(i > 0);
        for (digit, from) in [(byte / 100, 100), (byte / 10 % 10, 10), (byte % 10, 0)] {
            if byte >= from {
                text[len] = b'0' + digit;
                len += 1;
            }
        }
    }
    out.push_str(str::from_utf8(&text[..len]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_printed() {
        for text in [
            "0.0.0.0",
            "10.0.100.9",
            "255.255.255.255",
            "1.20.101.110",
            "99.10.200.0",
            "fd00::1",
            "::ffff:1.2.3.4",
        ] {
            let address: IpAddr = text.parse().unwrap();
            let mut out = String::new();
            write_address(address, &mut out);
            assert_eq!(out, address.to_string());
        }
    }
}
