//! The flood's packets: made once, then changed in place for each flow.

use std::net::{Ipv4Addr, SocketAddr};

use netdrop_tests::traffic::craft;

/// Destination port of every packet of the flood.
pub const PORT: u16 = 9999;
/// Bytes of a packet, IP header included: a small one, since the price of a drop does not depend on its size.
pub const LEN: usize = 46;

/// First source address; the testbed's network has all that follow.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 65, 0, 0);
const FIRST_PORT: u16 = 1024;
/// Source ports in use before the next source address is.
const PORTS: u32 = 50_000;
/// Source port of all SYNs.
const SYN_PORT: u16 = 40_000;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// UDP; a flow is a source port, and past 50,000 of them the next source address too.
    Udp,
    /// TCP SYNs; a flow is a source address.
    Syn,
}

/// One packet.
#[derive(Clone, Debug)]
pub struct Packet {
    kind: Kind,
    bytes: [u8; LEN],
}

impl Packet {
    /// That of flow 0.
    pub fn new(kind: Kind, to: Ipv4Addr) -> Self {
        let (from, to) = (SocketAddr::from((FIRST, FIRST_PORT)), SocketAddr::from((to, PORT)));
        let (protocol, mut payload) = match kind {
            Kind::Udp => (craft::protocol::UDP, craft::udp(from, to, &[0; LEN - 28])),
            Kind::Syn => (craft::protocol::TCP, craft::tcp(from, to, craft::SYN, 1)),
        };
        payload.resize(LEN - 20, 0);
        if kind == Kind::Udp {
            // The ports change; IPv4 allows for no checksum.
            payload[6..8].fill(0);
        } else {
            payload[..2].copy_from_slice(&SYN_PORT.to_be_bytes());
        }
        // The kernel fills identification and checksum of the IP header (raw(7)).
        let mut header = craft::Ipv4::new(FIRST, Ipv4Addr::from(ip(to)), protocol);
        header.id = 0;
        let mut bytes = [0; LEN];
        bytes.copy_from_slice(&header.packet(&payload)[..LEN]);
        Self { kind, bytes }
    }

    /// That of another flow.
    pub fn of_flow(&mut self, flow: u32) -> &[u8; LEN] {
        let (address, port) = source(self.kind, flow);
        self.bytes[12..16].copy_from_slice(&address.octets());
        self.bytes[20..22].copy_from_slice(&port.to_be_bytes());
        &self.bytes
    }
}

fn ip(address: SocketAddr) -> [u8; 4] {
    match address {
        SocketAddr::V4(a) => a.ip().octets(),
        SocketAddr::V6(_) => [0; 4],
    }
}

/// Source address and port of a flow.
pub fn source(kind: Kind, flow: u32) -> (Ipv4Addr, u16) {
    let first = FIRST.to_bits();
    match kind {
        Kind::Udp => {
            let port = u16::try_from(flow % PORTS).unwrap_or(0);
            (Ipv4Addr::from_bits(first + flow / PORTS), FIRST_PORT + port)
        }
        Kind::Syn => (Ipv4Addr::from_bits(first + flow), SYN_PORT),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn flows_differ() {
        for (kind, flows) in [(Kind::Udp, 100_000), (Kind::Syn, 60_000)] {
            let sources: HashSet<_> = (0..flows).map(|flow| source(kind, flow)).collect();
            assert_eq!(sources.len(), flows as usize);
        }
    }

    #[test]
    fn a_packet_is_what_it_says() {
        let mut packet = Packet::new(Kind::Udp, Ipv4Addr::new(10, 64, 0, 2));
        let bytes = packet.of_flow(50_001);
        assert_eq!(bytes[..4], [0x45, 0, 0, 46]);
        assert_eq!((bytes[9], &bytes[12..20]), (17, &[10, 65, 0, 1, 10, 64, 0, 2][..]));
        assert_eq!(bytes[20..24], [0x04, 0x01, 0x27, 0x0f]);
    }
}
