//! Packets that no honest sender makes, of every kind and up to 64 KiB: none is lost, miscounted or laid at a wrong door, and
//! netdrop lives on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process;

use netdrop_tests::expect;
use netdrop_tests::link::{self, Batch};
use netdrop_tests::netns::Netns;
use netdrop_tests::rules::{self, Chain, NftDrop};
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::craft::ether_type::{ARP, IPV4, IPV6};
use netdrop_tests::traffic::hostile::{self, Ends, Hostile};
use netdrop_tests::traffic::{self, Offload, craft};
use netdrop_tests::truth::{self, Counters};

use crate::harness::{LIMIT, Seen, Watch};

/// MAC address of the node's `pod-a`.
const NODE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Ethernet's largest.
const MTU: u32 = 65_535;
/// Payloads: none, some, and what fills a packet.
const FILLS: [usize; 3] = [0, 100, 65_000];

/// A router between two pods, all devices at the largest MTU. The pods' kernels say nothing by themselves (MLD).
fn jumbo() -> Router {
    let net = Router::new().expect("a router");
    let on_node = Router::DEVICES.iter().fold(Batch::new(), |batch, device| batch.mtu(device, MTU));
    on_node.apply(&net.node).expect("an MTU");
    for pod in [&net.a, &net.b] {
        Batch::new().mtu("eth0", MTU).apply(&pod.netns).expect("an MTU");
        let rule = "icmpv6 type mld2-listener-report";
        NftDrop::add(&pod.netns, "quiet", Chain::Output, rule).expect("nft takes the rule");
    }
    net
}

fn all(net: &Router) -> Vec<Hostile> {
    let v4 = |address| if let IpAddr::V4(v4) = address { v4 } else { Ipv4Addr::UNSPECIFIED };
    let v6 = |address| if let IpAddr::V6(v6) = address { v6 } else { Ipv6Addr::UNSPECIFIED };
    let ends = Ends { from4: v4(net.a.v4), to4: v4(net.b.v4), from6: v6(net.a.v6), to6: v6(net.b.v6) };
    FILLS.into_iter().flat_map(|fill| hostile::all(ends, fill)).collect()
}

/// A frame to the node. Its sender's address is its number, so that each is known again.
fn frame(n: usize, hostile: &Hostile) -> Vec<u8> {
    let [.., high, low] = n.to_be_bytes();
    craft::ethernet(NODE_MAC, [2, 0xfe, 0, 0, high, low], hostile.ether_type, &hostile.bytes)
}

fn number(seen: &Seen) -> Option<usize> {
    let digits = seen.0["ethernet"]["source"].as_str()?.strip_prefix("02:fe:00:00:")?.replace(':', "");
    usize::from_str_radix(&digits, 16).ok()
}

/// Sends frames from pod a, their headers in one piece of memory; gives how many the kernel took.
fn send(net: &Router, frames: impl IntoIterator<Item = (Offload, Vec<u8>)> + Send) -> usize {
    let device = link::index(&net.a.netns, "eth0").expect("the pod has a device");
    net.a.netns.run(|| traffic::offloaded(device, frames)).expect("traffic")
}

fn whole(frame: &[u8]) -> Offload {
    Offload { headers: u16::try_from(frame.len().min(142)).unwrap_or(0), ..Offload::default() }
}

/// Watches a namespace; a record for every drop.
fn watch(netns: &Netns) -> Watch {
    Watch::with(&[netns], &["--events-per-flow=0", "--ring-size=16Mi"])
}

/// Addresses, read as the standards have it: those of a header that is whole and of its version.
fn addresses(hostile: &Hostile) -> Option<(IpAddr, IpAddr)> {
    let bytes = &hostile.bytes;
    let v4 = |at: usize| <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok().map(IpAddr::from);
    let v6 = |at: usize| <[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok().map(IpAddr::from);
    match (hostile.ether_type, bytes.first()?) {
        (IPV4, 0x45..=0x4f) => Some((v4(12)?, v4(16)?)),
        (IPV6, 0x60..=0x6f) => Some((v6(8)?, v6(24)?)),
        _ => None,
    }
}

/// What holds of all that came from pod a and died on the node, however it did.
fn check_place(net: &Router, what: &str, seen: &Seen) {
    assert_eq!(seen.netns(), Some(net.node.inode()), "{what}: {seen:?}");
    assert_eq!(seen.interface(), Some("pod-a"), "{what}: {seen:?}");
    // It has left its sender: whoever runs now is a bystander.
    assert_eq!(seen.fact("process_owner").as_bool(), Some(false), "{what}: {seen:?}");
    assert!(!seen.reason().is_empty() && !seen.fact("site").is_null(), "{what}: {seen:?}");
    assert!(seen.transport().is_none() || seen.addresses().is_some(), "{what}: ports of nobody: {seen:?}");
}

/// Waits for one flow of each of them and no more, and checks it; gives what else was seen, too.
fn one_of_each(net: &Router, all: &[Hostile], watch: Watch) -> (Vec<Seen>, Vec<Seen>) {
    let (mut seen, others) = watch.split(all.len(), |seen| number(seen).is_some());
    seen.sort_by_key(number);
    for (n, (hostile, seen)) in all.iter().zip(&seen).enumerate() {
        let what = &hostile.name;
        assert_eq!(number(seen), Some(n), "{what} or one before is missing or there twice: {seen:?}");
        check_place(net, what, seen);
        // What is behind a tag is told too.
        if matches!(hostile.ether_type, IPV4 | IPV6 | ARP) {
            assert_eq!(seen.addresses(), addresses(hostile), "{what}: {seen:?}");
        }
    }
    (seen, others)
}

/// Counters of the node's `pod-a` and of a rule there.
struct Door {
    received: u64,
    dropped: u64,
}

impl Door {
    fn read(net: &Router, rule: &NftDrop) -> Self {
        let received = truth::link(&net.node, "pod-a").expect("counters").rx_packets;
        Self { received, dropped: rule.packets(&net.node).expect("a counter") }
    }
}

/// A firewall drops all that comes in by the device, before anything else looks into it.
#[test]
fn at_the_door() {
    let net = jumbo();
    let all = all(&net);
    let rule = NftDrop::add_ingress(&net.node, "door", "pod-a", "").expect("nft takes the rule");
    let watch = watch(&net.node);
    let before = Door::read(&net, &rule);

    let frames = all.iter().enumerate().map(|(n, hostile)| frame(n, hostile));
    let sent = send(&net, frames.map(|frame| (whole(&frame), frame)));

    assert_eq!(sent, all.len());
    let (seen, others) = one_of_each(&net, &all, watch);
    let after = Door::read(&net, &rule);
    assert_eq!(after.received - before.received, (all.len() + others.len()) as u64);
    // A tag is taken out even before; one that is cut off dies of it.
    let dropped = |seen: &Seen| seen.reason() == "NETFILTER_DROP";
    let mut cut = seen.iter().filter(|seen| !dropped(seen));
    assert!(cut.all(|seen| all[number(seen).unwrap_or(0)].name.contains("-cut-")), "{seen:?}");
    let count = seen.iter().chain(&others).filter(|seen| dropped(seen)).count();
    assert_eq!(after.dropped - before.dropped, count as u64);
}

/// A large packet's bytes may lie where a record does not reach: what they say is not known then, and never made up.
#[test]
fn out_of_reach() {
    let net = jumbo();
    let all: Vec<Hostile> = all(&net)
        .into_iter()
        .filter(|hostile| hostile.bytes.len() > 60_000 && !hostile.name.starts_with("vlan"))
        .collect();
    let rule = NftDrop::add_ingress(&net.node, "door", "pod-a", "").expect("nft takes the rule");
    let watch = watch(&net.node);

    let frames = all.iter().enumerate().map(|(n, hostile)| frame(n, hostile));
    assert_eq!(send(&net, frames.map(|frame| (Offload::default(), frame))), all.len());

    for seen in watch.exactly(all.len(), |seen| number(seen).is_some()) {
        let hostile = &all[number(&seen).expect("those that fit have one")];
        let what = &hostile.name;
        check_place(&net, what, &seen);
        let found = seen.addresses();
        assert!(found.is_none() || found == addresses(hostile), "{what}: {seen:?}");
        let len = u32::try_from(hostile.bytes.len()).expect("a length");
        assert_eq!(seen.fact("length").as_f64(), Some(len.into()), "{what}: {seen:?}");
    }
    assert!(rule.packets(&net.node).expect("a counter") >= all.len() as u64);
}

/// Through the node's stack, which refuses much; a firewall drops what it would forward. So each dies, and once.
#[test]
fn in_the_stack() {
    let net = jumbo();
    let all = all(&net);
    let rule = NftDrop::add(&net.node, "stack", Chain::Forward, "").expect("nft takes the rule");
    let watch = watch(&net.node);
    let before = Counters::read(&net.node).expect("counters");

    let frames = all.iter().enumerate().map(|(n, hostile)| frame(n, hostile));
    assert_eq!(send(&net, frames.map(|frame| (whole(&frame), frame))), all.len());

    let (seen, _) = one_of_each(&net, &all, watch);
    let of = |reasons: &[&str], ether_type: u16| {
        let fits =
            |n: usize, seen: &Seen| all[n].ether_type == ether_type && reasons.contains(&seen.reason());
        seen.iter().enumerate().filter(|(n, seen)| fits(*n, seen)).count() as u64
    };
    let after = Counters::read(&net.node).expect("counters");
    let grown = |counter: &str| after.since(&before, counter).expect("a counter");
    assert_eq!(
        rule.packets(&net.node).expect("a counter"),
        of(&["NETFILTER_DROP"], IPV4) + of(&["NETFILTER_DROP"], IPV6)
    );
    // Older kernels have no name for some of these, as for what is wrong with IPv4 options: those may be among the unnamed.
    let counted = |counter: &str, reasons: &[&str], ether_type: u16| {
        let (named, unnamed) = (of(reasons, ether_type), of(&["NOT_SPECIFIED"], ether_type));
        let grown = grown(counter);
        assert!(
            (named..=named + unnamed).contains(&grown),
            "{counter}: {grown}, {named} and {unnamed} unnamed"
        );
    };
    counted("IpInHdrErrors", &["IP_INHDR", "IP_CSUM"], IPV4);
    // Another version is an unhandled protocol; what hop-by-hop options lack is not specified.
    counted("Ip6InHdrErrors", &["IP_INHDR", "UNHANDLED_PROTO"], IPV6);
    counted("IpExtInCsumErrors", &["IP_CSUM"], IPV4);
    counted("IpExtInTruncatedPkts", &["PKT_TOO_SMALL"], IPV4);
    counted("Ip6InTruncatedPkts", &["PKT_TOO_SMALL"], IPV6);
}

/// Where connections are tracked, fragments are put together and headers looked at that nobody else looks at.
#[test]
fn where_connections_are_tracked() {
    let net = jumbo();
    let all = all(&net);
    rules::track_connections(&net.node).expect("nft takes the rule");
    let rule = NftDrop::add(&net.node, "stack", Chain::Forward, "").expect("nft takes the rule");
    let watch = watch(&net.node);

    let frames = all.iter().enumerate().map(|(n, hostile)| frame(n, hostile));
    assert_eq!(send(&net, frames.map(|frame| (whole(&frame), frame))), all.len());

    // A fragment waits for others, and dies with them.
    let waits = |hostile: &Hostile| hostile.name.contains("fragment") || hostile.name.contains("-44-");
    let sure = |seen: &Seen| number(seen).is_some_and(|n| !waits(&all[n]));
    let count = all.iter().filter(|hostile| !waits(hostile)).count();
    let (seen, others) = watch.split(count, sure);
    for seen in seen.iter().chain(others.iter().filter(|seen| number(seen).is_some())) {
        check_place(&net, &all[number(seen).unwrap_or(0)].name, seen);
    }
    let firewalled = seen.iter().filter(|seen| seen.reason() == "NETFILTER_DROP").count() as u64;
    assert!(rule.packets(&net.node).expect("a counter") >= firewalled);
}

/// A sound packet of 60,000 bytes of TCP or UDP.
fn sound(net: &Router, v6: bool, tcp: bool) -> Vec<u8> {
    let (from, to) = (SocketAddr::new(net.a.address(v6), 1), SocketAddr::new(net.b.address(v6), 2));
    let data = vec![0; 60_000];
    let (protocol, payload) = if tcp {
        (craft::protocol::TCP, [craft::tcp(from, to, craft::ACK, 1), data].concat())
    } else {
        (craft::protocol::UDP, craft::udp(from, to, &data))
    };
    let packet = craft::ip(from.ip(), to.ip(), protocol, &payload);
    craft::ethernet(NODE_MAC, net.a.mac, if v6 { IPV6 } else { IPV4 }, &packet)
}

/// Sound packets, each with all lies.
fn lies(net: &Router) -> Vec<(Offload, Vec<u8>)> {
    let mut all = Vec::new();
    for (v6, tcp) in [(false, false), (false, true), (true, false), (true, true)] {
        let frame = sound(net, v6, tcp);
        let (start, field) = (if v6 { 54 } else { 34 }, if tcp { 16 } else { 6 });
        let sums =
            [(0, 142, 0, 0), (1, 142, start, field), (1, 54, start, 0), (1, 142, 100, 2), (1, 14, 0, 0)];
        for kind in [1, 3, 4, 5, 0x81] {
            // No smaller: a piece each of some bytes would be tens of thousands of packets.
            for size in [500, 1448, 30_000, u16::MAX] {
                let offloads = sums.map(|(flags, headers, sum_start, sum_offset)| Offload {
                    flags,
                    kind,
                    headers,
                    size,
                    sum_start,
                    sum_offset,
                });
                all.extend(offloads.map(|offload| (offload, frame.clone())));
            }
        }
    }
    all
}

/// Large packets with lies about how to cut them up.
#[test]
fn cut_up_by_lies() {
    let net = jumbo();
    let rule = NftDrop::add_ingress(&net.node, "door", "pod-a", "").expect("nft takes the rule");
    let watch = watch(&net.node);
    let before = Door::read(&net, &rule);
    let sent = send(&net, lies(&net));
    assert!(sent > 20, "the kernel took {sent}");

    // The kernel cuts up what a device can't: the firewall counts what comes of it.
    let arrived = || {
        let after = Door::read(&net, &rule);
        Ok(after.received - before.received == after.dropped - before.dropped)
    };
    expect::until("the arrival of all", LIMIT, arrived).expect("counters");
    let count = usize::try_from(Door::read(&net, &rule).dropped - before.dropped).expect("a count");
    assert!(count >= sent, "{count} of {sent}");
    for seen in watch.exactly(count, |seen| seen.reason() == "NETFILTER_DROP") {
        check_place(&net, "cut up", &seen);
    }
}

/// A firewall drops what the sender's own namespace sends: it is the sender's, whatever the packet says.
#[test]
fn at_the_sender() {
    let net = jumbo();
    let rule = NftDrop::add(&net.a.netns, "out", Chain::Output, "meta skuid 0").expect("nft takes the rule");
    let watch = watch(&net.a.netns);
    let mut sent = 0;
    for hostile in all(&net).iter().filter(|hostile| matches!(hostile.ether_type, IPV4 | IPV6)) {
        // The kernel refuses the worst of them.
        if net.a.netns.run(|| traffic::packets([&hostile.bytes])).is_ok() {
            sent += 1;
        }
    }
    let count = rule.packets(&net.a.netns).expect("a counter");
    assert!(sent > 300 && count > 300, "{sent} sent, {count} dropped");
    let count = usize::try_from(count).expect("a count");
    let is_owned = |seen: &Seen| seen.fact("process_owner").as_bool() == Some(true);
    for seen in watch.exactly(count, |seen| seen.reason() == "NETFILTER_DROP" && is_owned(seen)) {
        assert_eq!(seen.fact("pid").as_f64(), Some(process::id().into()), "{seen:?}");
        assert_eq!(seen.netns(), Some(net.a.netns.inode()), "{seen:?}");
    }
}
