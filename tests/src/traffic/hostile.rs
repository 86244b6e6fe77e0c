//! Packets that no honest sender makes: every header cut off, contradicting itself, or stacked too high.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::craft::{self, ether_type, protocol};

/// One of them.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What is wrong with it, in words that make a file name.
    pub name: String,
    /// EtherType of the frame that carries it.
    pub ether_type: u16,
    /// From the network header on.
    pub bytes: Vec<u8>,
}

/// Between whom.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Sender, IPv4.
    pub from4: Ipv4Addr,
    /// Receiver, IPv4.
    pub to4: Ipv4Addr,
    /// Sender, IPv6.
    pub from6: Ipv6Addr,
    /// Receiver, IPv6.
    pub to6: Ipv6Addr,
}

impl Ends {
    fn v4(&self, protocol: u8) -> craft::Ipv4 {
        craft::Ipv4::new(self.from4, self.to4, protocol)
    }

    fn v6(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        craft::ipv6(self.from6, self.to6, next, payload)
    }

    fn ports(&self, v6: bool) -> (SocketAddr, SocketAddr) {
        let (from, to): (IpAddr, IpAddr) =
            if v6 { (self.from6.into(), self.to6.into()) } else { (self.from4.into(), self.to4.into()) };
        (SocketAddr::new(from, 30_000), SocketAddr::new(to, 4299))
    }

    fn udp(&self, v6: bool, data: &[u8]) -> Vec<u8> {
        let (from, to) = self.ports(v6);
        craft::udp(from, to, data)
    }

    fn tcp(&self, v6: bool) -> Vec<u8> {
        let (from, to) = self.ports(v6);
        craft::tcp(from, to, craft::SYN, 1)
    }
}

/// All kinds; those with a payload carry `fill` bytes of it.
pub fn all(ends: Ends, fill: usize) -> Vec<Hostile> {
    let mut list = List { ends, fill, all: Vec::new() };
    list.headers4();
    list.options4();
    list.fragments4();
    list.transports();
    list.tunnels();
    list.headers6();
    list.extensions6();
    list.frames();
    list.all
}

struct List {
    ends: Ends,
    fill: usize,
    all: Vec<Hostile>,
}

impl List {
    fn add(&mut self, name: impl Into<String>, ether_type: u16, bytes: Vec<u8>) {
        self.all.push(Hostile { name: name.into(), ether_type, bytes });
    }

    fn add4(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.add(name, ether_type::IPV4, bytes);
    }

    fn add6(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.add(name, ether_type::IPV6, bytes);
    }

    fn data(&self) -> Vec<u8> {
        vec![0xa5; self.fill]
    }

    /// A sound UDP packet to spoil.
    fn sound4(&self) -> Vec<u8> {
        self.ends.v4(protocol::UDP).packet(&self.ends.udp(false, &self.data()))
    }

    /// A sound UDP packet, spoilt at some bytes; the checksum of the header fits again.
    fn spoil4(&mut self, name: &str, spoil: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = self.sound4();
        spoil(&mut packet);
        craft::sum_header4(&mut packet);
        self.add4(name, packet);
    }

    fn headers4(&mut self) {
        for len in [0, 1, 9, 19] {
            let cut = self.sound4()[..len].to_vec();
            self.add4(format!("v4-cut-{len}"), cut);
        }
        self.spoil4("v4-version-6", |p| p[0] = 0x65);
        self.spoil4("v4-header-of-16-bytes", |p| p[0] = 0x44);
        self.spoil4("v4-header-of-0-bytes", |p| p[0] = 0x40);
        self.spoil4("v4-total-length-0", |p| p[2..4].fill(0));
        self.spoil4("v4-total-length-below-header", |p| p[2..4].copy_from_slice(&[0, 19]));
        self.spoil4("v4-total-length-above-frame", |p| p[2..4].fill(0xff));
        self.spoil4("v4-ttl-0", |p| p[8] = 0);
        self.spoil4("v4-protocol-0", |p| p[9] = 0);
        self.spoil4("v4-protocol-255", |p| p[9] = 255);
        self.spoil4("v4-reserved-flag", |p| p[6] = 0x80);
        for (name, source) in [
            ("broadcast", [255; 4]),
            ("loopback", [127, 0, 0, 1]),
            ("multicast", [224, 0, 0, 1]),
            ("zero", [0; 4]),
        ] {
            self.spoil4(&format!("v4-from-{name}"), |p| p[12..16].copy_from_slice(&source));
        }
        let mut longest = self.sound4()[..20].to_vec();
        longest[0] = 0x4f;
        self.add4("v4-header-of-60-bytes-cut", longest);
        let mut sum = self.sound4();
        sum[10] ^= 0xff;
        self.add4("v4-checksum", sum);
    }

    fn options4(&mut self) {
        let options: [(&str, &[u8]); 8] = [
            ("nop-40", &[1; 40]),
            ("end-then-more", &[0, 7, 200, 4]),
            ("length-0", &[7, 0, 0, 0]),
            ("length-past-header", &[7, 255, 4, 0]),
            ("record-route-full", &[7, 7, 8, 1, 2, 3, 4]),
            ("timestamp-overflow", &[68, 8, 9, 0xf3, 0, 0, 0, 0]),
            ("loose-source-route", &[131, 7, 4, 10, 9, 9, 9]),
            ("unknown-255", &[255, 4, 0, 0]),
        ];
        for (name, options) in options {
            let mut header = self.ends.v4(protocol::UDP);
            header.options = options.to_vec();
            let packet = header.packet(&self.ends.udp(false, &self.data()));
            self.add4(format!("v4-option-{name}"), packet);
        }
    }

    fn fragments4(&mut self) {
        let datagram = self.ends.udp(false, &self.data());
        for (name, fragment) in [
            ("first", craft::MORE_FRAGMENTS),
            ("later", 5),
            ("last-past-64k", 0x1fff),
            ("first-that-must-not", craft::MORE_FRAGMENTS | craft::DONT_FRAGMENT),
            ("over-the-header", craft::MORE_FRAGMENTS | 1),
        ] {
            let mut header = self.ends.v4(protocol::UDP);
            header.fragment = fragment;
            self.add4(format!("v4-fragment-{name}"), header.packet(&datagram));
        }
        let mut header = self.ends.v4(protocol::UDP);
        header.fragment = craft::MORE_FRAGMENTS;
        self.add4("v4-fragment-empty", header.packet(&[]));
    }

    /// Both families; the transport header cut at every field and spoilt at most.
    fn transports(&mut self) {
        for v6 in [false, true] {
            let udp = self.ends.udp(v6, &self.data());
            let tcp = self.ends.tcp(v6);
            for len in [0, 1, 2, 3, 4, 7] {
                self.transport(v6, &format!("udp-cut-{len}"), protocol::UDP, &udp[..len]);
            }
            for len in [3, 4, 12, 13, 14, 19] {
                self.transport(v6, &format!("tcp-cut-{len}"), protocol::TCP, &tcp[..len]);
            }
            for (name, length) in [("0", 0), ("7", 7), ("past-packet", u16::MAX)] {
                let mut spoilt = udp.clone();
                spoilt[4..6].copy_from_slice(&length.to_be_bytes());
                self.transport(v6, &format!("udp-length-{name}"), protocol::UDP, &spoilt);
            }
            for (name, spoil) in [
                ("doff-0", (12, 0)),
                ("doff-60", (12, 0xf0)),
                ("all-flags", (13, 0xff)),
                ("no-flags", (13, 0)),
            ] {
                let mut spoilt = tcp.clone();
                spoilt[spoil.0] = spoil.1;
                spoilt.extend(self.data());
                self.transport(v6, &format!("tcp-{name}"), protocol::TCP, &spoilt);
            }
            let mut option = tcp.clone();
            option[12] = 0x60;
            option.extend([2, 0, 5, 180]);
            self.transport(v6, "tcp-option-length-0", protocol::TCP, &option);
            for number in [protocol::SCTP, 2, 33, 47, 50, 51, 89, 103, 112, 136, protocol::EXPERIMENT] {
                for len in [0, 4] {
                    let filler = vec![0x41; len];
                    self.transport(v6, &format!("protocol-{number}-of-{len}-bytes"), number, &filler);
                }
            }
            self.icmp(v6);
            self.padding(v6, &udp);
        }
    }

    fn transport(&mut self, v6: bool, name: &str, number: u8, bytes: &[u8]) {
        if v6 {
            let packet = self.ends.v6(number, bytes);
            self.add6(format!("v6-{name}"), packet);
        } else {
            let packet = self.ends.v4(number).packet(bytes);
            self.add4(format!("v4-{name}"), packet);
        }
    }

    /// A packet that ends with its header, in a frame that goes on as if it did not.
    fn padding(&mut self, v6: bool, udp: &[u8]) {
        if v6 {
            let packet = [self.ends.v6(44, &[protocol::UDP, 0, 0, 1, 0, 0, 0, 9]), udp.to_vec()].concat();
            self.add6("v6-fragment-with-padding-like-udp", packet);
        } else {
            let packet = [self.ends.v4(protocol::UDP).packet(&[]), udp.to_vec()].concat();
            self.add4("v4-padding-like-udp", packet);
        }
    }

    fn icmp(&mut self, v6: bool) {
        let (from, to) = self.ends.ports(v6);
        let number = if v6 { protocol::ICMPV6 } else { protocol::ICMP };
        let about = craft::ip(to.ip(), from.ip(), protocol::UDP, &craft::udp(to, from, &self.data()));
        let error = craft::port_unreachable(from.ip(), to.ip(), &about);
        let header = if v6 { 40 } else { 20 };
        for len in [1, 4, 7, 8, 9, 8 + header - 1, 8 + header, 8 + header + 3, 8 + header + 4] {
            self.transport(v6, &format!("icmp-error-cut-{len}"), number, &error[..len]);
        }
        let nested = craft::ip(to.ip(), from.ip(), number, &error);
        let nested = craft::port_unreachable(from.ip(), to.ip(), &nested);
        self.transport(v6, "icmp-error-about-an-error", number, &nested);
        let mut other = error.clone();
        other[8] ^= 0xf0;
        self.transport(v6, "icmp-error-about-another-version", number, &other);
        self.transport(v6, "icmp-type-255", number, &[255, 255, 0, 0, 0, 0, 0, 0]);
        if v6 {
            for kind in [2, 130, 133, 134, 135, 136, 137, 143] {
                self.transport(true, &format!("icmp-type-{kind}-alone"), number, &[kind, 0, 0, 0]);
            }
        }
    }

    fn tunnels(&mut self) {
        let (from, to) = self.ends.ports(false);
        let to = SocketAddr::new(to.ip(), 4789);
        let inner = craft::ethernet([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8], ether_type::IPV4, &self.sound4());
        let vxlan = craft::vxlan(7, &inner);
        let mut add = |name: &str, payload: &[u8]| {
            let packet = self.ends.v4(protocol::UDP).packet(&craft::udp(from, to, payload));
            self.add4(format!("v4-vxlan-{name}"), packet);
        };
        for len in [0, 7, 8, 8 + 13, 8 + 14, 8 + 14 + 19, 8 + 14 + 20, 8 + 14 + 20 + 3] {
            add(&format!("cut-{len}"), &vxlan[..len]);
        }
        let mut no_flag = vxlan.clone();
        no_flag[0] = 0;
        add("without-its-flag", &no_flag);
        let nested = craft::ip(from.ip(), to.ip(), protocol::UDP, &craft::udp(from, to, &vxlan));
        let nested = craft::ethernet([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8], ether_type::IPV4, &nested);
        add("in-vxlan", &craft::vxlan(8, &nested));
        let tagged = craft::vlan(5, 0, ether_type::VLAN, &[0; 30]);
        let tagged = craft::ethernet([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8], ether_type::VLAN, &tagged);
        add("of-tags", &craft::vxlan(9, &tagged));
    }

    fn headers6(&mut self) {
        let sound = self.ends.v6(protocol::UDP, &self.ends.udp(true, &self.data()));
        for len in [0, 1, 7, 39, 40] {
            self.add6(format!("v6-cut-{len}"), sound[..len].to_vec());
        }
        let spoilt: [(&str, usize, &[u8]); 7] = [
            ("version-4", 0, &[0x40]),
            ("version-0", 0, &[0]),
            ("payload-0", 4, &[0, 0]),
            ("payload-above-frame", 4, &[0xff, 0xff]),
            ("hop-limit-0", 7, &[0]),
            ("from-multicast", 8, &[0xff, 2]),
            ("from-loopback", 8, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ];
        for (name, at, bytes) in spoilt {
            let mut packet = sound.clone();
            packet[at..at + bytes.len()].copy_from_slice(bytes);
            self.add6(format!("v6-{name}"), packet);
        }
    }

    fn extensions6(&mut self) {
        let udp = self.ends.udp(true, &self.data());
        for count in [2, 8, 9, 20] {
            let chain = (0..count)
                .fold((protocol::UDP, udp.clone()), |(next, rest), _| (60, craft::options6(next, &rest)));
            let packet = self.ends.v6(chain.0, &chain.1);
            self.add6(format!("v6-chain-of-{count}"), packet);
        }
        for number in [0, 43, 44, 51, 59, 60, 135, 139, 140] {
            for len in [0, 1, 7] {
                let packet = self.ends.v6(number, &vec![0; len]);
                self.add6(format!("v6-extension-{number}-cut-{len}"), packet);
            }
            let mut longest = vec![protocol::UDP, 255];
            longest.extend([0; 30]);
            self.add6(format!("v6-extension-{number}-of-255-units"), self.ends.v6(number, &longest));
            let itself = vec![number; 64];
            self.add6(format!("v6-extension-{number}-of-itself"), self.ends.v6(number, &itself));
        }
        let late = craft::options6(0, &craft::options6(protocol::UDP, &udp));
        self.add6("v6-hop-by-hop-late", self.ends.v6(60, &late));
        let mut bad = craft::options6(protocol::UDP, &udp);
        bad[3] = 250;
        self.add6("v6-option-past-its-header", self.ends.v6(0, &bad));
        let jumbo = [&[protocol::UDP, 0, 0xc2, 4, 0, 0, 0, 8][..], &udp].concat();
        self.add6("v6-jumbo-of-a-small-one", self.ends.v6(0, &jumbo));
        let route = [&[protocol::UDP, 2, 0, 1, 0, 0, 0, 0][..], &[0; 16], &udp].concat();
        self.add6("v6-routing-type-0", self.ends.v6(43, &route));
        for (name, offset, more) in
            [("atomic", 0, false), ("first", 0, true), ("later", 8, false), ("past-64k", 0xfff8, false)]
        {
            let payload = craft::fragment6(protocol::UDP, offset, more, 7, &udp);
            self.add6(format!("v6-fragment-{name}"), self.ends.v6(44, &payload));
        }
        let nested = craft::fragment6(44, 0, true, 1, &craft::fragment6(protocol::UDP, 0, true, 2, &udp));
        self.add6("v6-fragment-of-a-fragment", self.ends.v6(44, &nested));
        let odd = craft::fragment6(protocol::UDP, 0, true, 3, &udp[..udp.len().min(13)]);
        self.add6("v6-fragment-of-odd-length", self.ends.v6(44, &odd));
    }

    fn frames(&mut self) {
        let sound = self.sound4();
        let arp = craft::arp_request([2, 0, 0, 0, 0, 9], self.ends.from4, self.ends.to4);
        for len in [0, 7, 8, 27] {
            self.add(format!("arp-cut-{len}"), ether_type::ARP, arp[..len].to_vec());
        }
        for (name, at) in [
            ("hardware", 0),
            ("protocol", 2),
            ("hardware-length", 4),
            ("protocol-length", 5),
            ("operation", 6),
        ] {
            let mut spoilt = arp.clone();
            spoilt[at] = 255;
            self.add(format!("arp-other-{name}"), ether_type::ARP, spoilt);
        }
        for outer in [ether_type::VLAN, ether_type::QINQ] {
            for count in [1, 2, 4, 5, 12] {
                let stack = (1..count).fold((ether_type::IPV4, sound.clone()), |(inner, rest), id| {
                    (ether_type::VLAN, craft::vlan(id, 7, inner, &rest))
                });
                let tagged = craft::vlan(4095, 7, stack.0, &stack.1);
                self.add(format!("vlan-{outer:04x}-stack-of-{count}"), outer, tagged);
            }
            for len in [0, 1, 2, 3, 4] {
                let tagged = craft::vlan(7, 0, ether_type::VLAN, &[0, 0, 0, 0])[..len].to_vec();
                self.add(format!("vlan-{outer:04x}-cut-{len}"), outer, tagged);
            }
        }
        let data = self.data();
        for number in ETHER_TYPES {
            self.add(format!("ether-type-{number:04x}"), number, [&[0x45; 46][..], &data].concat());
        }
    }
}

/// Lengths (below 0x0600), and EtherTypes that kernels know something of: TEB, MPLS, PPPoE, 802.1X, MACsec, PTP, LLDP ...
const ETHER_TYPES: [u16; 26] = [
    0x0000, 0x0001, 0x0004, 0x002e, 0x05ff, 0x0600, 0x0806, 0x22f0, 0x6003, 0x6558, 0x8035, 0x809b, 0x8137,
    0x8847, 0x8848, 0x8863, 0x8864, 0x888e, 0x88cc, 0x88e5, 0x88f7, 0x8906, 0x893a, 0x9000, 0x9100, 0xffff,
];
