//! A firewall's drop in each direction, of each protocol, in both families: 20 packets sent, 20 counted by the kernel, 20 seen.

use std::net::{IpAddr, SocketAddr};
use std::process;

use netdrop_tests::link;
use netdrop_tests::netns::Netns;
use netdrop_tests::rules::{Chain, Iptables, IptablesRule, NftDrop};
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::{self, craft};

use crate::harness::{COUNT, Seen, Watch};

const PORT: u16 = 4242;
const ECHO_ID: u16 = 77;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Sctp,
}

impl Protocol {
    /// Name in `l4`.
    const fn name(self, v6: bool) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp if v6 => "ICMPv6",
            Self::Icmp => "ICMPv4",
            Self::Sctp => "SCTP",
        }
    }

    const fn number(self, v6: bool) -> u32 {
        (match self {
            Self::Tcp => craft::protocol::TCP,
            Self::Udp => craft::protocol::UDP,
            Self::Icmp if v6 => craft::protocol::ICMPV6,
            Self::Icmp => craft::protocol::ICMP,
            Self::Sctp => craft::protocol::SCTP,
        }) as u32
    }

    fn send(self, from: IpAddr, to: IpAddr) -> anyhow::Result<()> {
        let (source, target) = (SocketAddr::new(from, 30_000), SocketAddr::new(to, PORT));
        match self {
            Self::Tcp => traffic::syns(source, target, COUNT),
            Self::Udp => traffic::udp(source, target, b"twenty of these", COUNT),
            Self::Icmp => traffic::echo(from, to, ECHO_ID, COUNT),
            Self::Sctp => {
                let packet = craft::ip(from, to, craft::protocol::SCTP, &craft::sctp(source, target));
                traffic::packets(std::iter::repeat_n(packet, COUNT.into()))
            }
        }
    }

    fn nft(self, v6: bool) -> String {
        match self {
            Self::Tcp => format!("tcp dport {PORT}"),
            Self::Udp => format!("udp dport {PORT}"),
            Self::Sctp => format!("sctp dport {PORT}"),
            Self::Icmp if v6 => "icmpv6 type echo-request".to_owned(),
            Self::Icmp => "icmp type echo-request".to_owned(),
        }
    }

    fn iptables(self, v6: bool) -> String {
        match self {
            Self::Tcp => format!("-p tcp --dport {PORT} -j DROP"),
            Self::Udp => format!("-p udp --dport {PORT} -j DROP"),
            Self::Sctp => "-p sctp -j DROP".to_owned(),
            Self::Icmp if v6 => "-p icmpv6 --icmpv6-type echo-request -j DROP".to_owned(),
            Self::Icmp => "-p icmp --icmp-type echo-request -j DROP".to_owned(),
        }
    }
}

/// Who writes the rule.
#[derive(Clone, Copy)]
enum Firewall {
    Nft,
    IptablesNft,
    IptablesLegacy,
}

enum Rule {
    Nft(NftDrop),
    Iptables(IptablesRule),
}

impl Rule {
    fn add(firewall: Firewall, netns: &Netns, chain: Chain, protocol: Protocol, v6: bool) -> Self {
        let iptables = match (firewall, v6) {
            (Firewall::Nft, _) => {
                return Self::Nft(
                    NftDrop::add(netns, "cell", chain, &protocol.nft(v6)).expect("nft takes the rule"),
                );
            }
            (Firewall::IptablesNft, false) => Iptables::Nft,
            (Firewall::IptablesNft, true) => Iptables::Nft6,
            (Firewall::IptablesLegacy, false) => Iptables::Legacy,
            (Firewall::IptablesLegacy, true) => Iptables::Legacy6,
        };
        let rule = IptablesRule::add(netns, iptables, chain, &protocol.iptables(v6), "cell");
        Self::Iptables(rule.expect("iptables takes the rule"))
    }

    fn packets(&self, netns: &Netns) -> u64 {
        match self {
            Self::Nft(rule) => rule.packets(netns),
            Self::Iptables(rule) => rule.packets(netns),
        }
        .expect("the rule has a counter")
    }
}

fn cell(firewall: Firewall, chain: Chain, protocol: Protocol, v6: bool) {
    let net = Router::new().expect("a router");
    let (dropper, device) = match chain {
        Chain::Input => (&net.b.netns, Some("eth0")),
        Chain::Forward => (&net.node, Some("pod-a")),
        Chain::Output => (&net.a.netns, None),
    };
    let (from, to) = (net.a.address(v6), net.b.address(v6));
    let rule = Rule::add(firewall, dropper, chain, protocol, v6);
    let watch = Watch::on(&[&net.a.netns, &net.node, &net.b.netns]);

    net.a.netns.run(|| protocol.send(from, to)).expect("traffic");

    let seen = watch.exactly(COUNT, |seen| seen.reason() == "NETFILTER_DROP");
    assert_eq!(rule.packets(dropper), u64::from(COUNT), "by the rule's own counter");
    let incoming = device.map(|name| link::index(dropper, name).expect("the device is there"));
    for flow in &seen {
        assert_eq!(flow.netns(), Some(dropper.inode()), "{flow:?}");
        assert_eq!(flow.addresses(), Some((from, to)), "{flow:?}");
        assert_eq!(flow.transport(), Some(protocol.name(v6)), "{flow:?}");
        assert_eq!(flow.fact("protocol").as_f64(), Some(protocol.number(v6).into()), "{flow:?}");
        assert_eq!(flow.incoming(), incoming, "{flow:?}");
        assert_eq!(flow.interface(), device, "{flow:?}");
        check_transport(flow, protocol, v6);
        check_owner(flow, chain);
    }
    check_sources(&seen, protocol);
}

fn check_transport(flow: &Seen, protocol: Protocol, v6: bool) {
    if protocol == Protocol::Icmp {
        assert_eq!(flow.l4("type"), Some(if v6 { 128 } else { 8 }), "{flow:?}");
        assert_eq!(flow.l4("code"), Some(0), "{flow:?}");
        return;
    }
    assert_eq!(flow.port(), Some(PORT), "{flow:?}");
    if protocol == Protocol::Tcp {
        assert_eq!(flow.0["l4"]["TCP"]["flags"], serde_json::json!({ "SYN": true }), "{flow:?}");
    }
}

/// On the way out the sender is running and the packet is its own.
fn check_owner(flow: &Seen, chain: Chain) {
    let owner = flow.fact("process_owner").as_bool();
    if chain == Chain::Output {
        assert_eq!(owner, Some(true), "{flow:?}");
        assert_eq!(flow.fact("pid").as_f64(), Some(process::id().into()), "{flow:?}");
    } else {
        assert_ne!(owner, Some(true), "{flow:?}");
    }
}

fn check_sources(seen: &[Seen], protocol: Protocol) {
    let mut ports: Vec<u32> = seen.iter().filter_map(|flow| flow.l4("source_port")).collect();
    ports.sort_unstable();
    ports.dedup();
    let expected: Vec<u32> = match protocol {
        Protocol::Tcp => (30_000..).take(COUNT.into()).collect(),
        Protocol::Udp | Protocol::Sctp => vec![30_000],
        Protocol::Icmp => vec![0],
    };
    assert_eq!(ports, expected);
}

macro_rules! cells {
    ($($name:ident: $firewall:ident $chain:ident $protocol:ident $v6:literal;)*) => {
        $(#[test]
        fn $name() {
            cell(Firewall::$firewall, Chain::$chain, Protocol::$protocol, $v6);
        })*
    };
}

cells! {
    input_tcp_v4: Nft Input Tcp false;
    input_tcp_v6: Nft Input Tcp true;
    input_udp_v4: IptablesNft Input Udp false;
    input_udp_v6: IptablesNft Input Udp true;
    input_icmp_v4: IptablesLegacy Input Icmp false;
    input_icmp_v6: IptablesLegacy Input Icmp true;
    input_sctp_v4: Nft Input Sctp false;
    input_sctp_v6: Nft Input Sctp true;
    forward_tcp_v4: IptablesLegacy Forward Tcp false;
    forward_tcp_v6: IptablesLegacy Forward Tcp true;
    forward_udp_v4: Nft Forward Udp false;
    forward_udp_v6: Nft Forward Udp true;
    forward_icmp_v4: IptablesNft Forward Icmp false;
    forward_icmp_v6: IptablesNft Forward Icmp true;
    forward_sctp_v4: IptablesLegacy Forward Sctp false;
    forward_sctp_v6: IptablesLegacy Forward Sctp true;
    output_tcp_v4: IptablesNft Output Tcp false;
    output_tcp_v6: IptablesNft Output Tcp true;
    output_udp_v4: IptablesLegacy Output Udp false;
    output_udp_v6: IptablesLegacy Output Udp true;
    output_icmp_v4: Nft Output Icmp false;
    output_icmp_v6: Nft Output Icmp true;
    output_sctp_v4: IptablesNft Output Sctp false;
    output_sctp_v6: IptablesNft Output Sctp true;
}
