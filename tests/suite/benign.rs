//! Benign drops: counted, not shown, and there for whoever asks; what is a loss is always shown.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netdrop_tests::netns::Netns;
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::{self, Mailbox, craft};

use crate::flags::Tally;
use crate::harness::{COUNT, LIMIT, Seen, TRIES, Watch, kernel};

/// Ports of this file alone, and none that the kernel chooses for somebody: these tests see the whole machine.
const PORT: u16 = 22_917;
const CLOSED: u16 = 22_918;
const CLOSED_TO_PODS: u16 = 22_919;
const OF_FRAGMENTS: u16 = 22_920;

fn here(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Benign ones of the last line: `12 hidden by the filter (7 benign)`.
fn benign(talk: &str) -> u64 {
    let last = talk.lines().last().unwrap_or_default();
    let number = last.split_once(" (").and_then(|(_, rest)| rest.split_once(" benign)"));
    number.map_or(0, |(n, _)| n.parse().expect("a number"))
}

/// Datagrams that nobody read when their socket was closed, and as many to a closed port.
fn unread(netns: &Netns, port: u16) {
    let mailbox = netns.run(|| Mailbox::bind(here(port))).expect("a socket");
    netns.run(|| traffic::udp(here(30_000), here(port), b"", 2)).expect("traffic");
    drop(mailbox);
    netns.run(|| traffic::udp(here(30_001), here(CLOSED), b"nobody", COUNT)).expect("traffic");
}

/// The socket is gone by then, and with it what says which namespace it was in: the ports tell ours apart.
fn watch_ports(more: &[&str]) -> Watch {
    let ports = [PORT, CLOSED].map(|port| format!("--to-port={port}"));
    let args = ["-o", "json"].map(str::to_owned).into_iter().chain(ports);
    Watch::start(&args.chain(more.iter().map(ToString::to_string)).collect::<Vec<_>>())
}

fn nobody_listens(seen: &Seen) -> bool {
    seen.reason() == "NO_SOCKET" && seen.port().is_some_and(|port| port == CLOSED || port == CLOSED_TO_PODS)
}

fn nobody_read(seen: &Seen) -> bool {
    seen.port() == Some(PORT) && seen.fact("benign") == true
}

/// The kernel frees a closed socket when it likes; the one who asks tells when it has.
#[test]
fn what_a_closed_socket_had_not_read_is_for_who_asks() {
    let netns = Netns::anonymous("unread").expect("a namespace");
    let (quiet, mut asking) = (watch_ports(&[]), watch_ports(&["--include-benign"]));
    let mut closed = 0;
    let told = (0..TRIES).any(|_| {
        closed += 1;
        unread(&netns, PORT);
        asking.comes(2, LIMIT / 4, nobody_read)
    });
    assert!(told, "none of {closed} closed sockets was told of");

    let (seen, others, ended) = asking.finish(nobody_read);
    assert!((2..=2 * closed).contains(&seen.len()) && seen.len() % 2 == 0, "{closed} closed: {seen:?}");
    for flow in seen {
        assert!(flow.died_of("NOT_SPECIFIED", "udp_destruct_common"), "{flow:?}");
        assert!(
            flow.fact("meaning").as_str().is_some_and(|m| m.contains("UDP socket was closed")),
            "{flow:?}"
        );
    }
    let count = closed * usize::from(COUNT);
    assert_eq!(others.iter().filter(|seen| nobody_listens(seen)).count(), count);
    assert_eq!(benign(&ended.talk), 0, "{}", ended.talk);

    let (_, others, ended) = quiet.end(count, nobody_listens);
    assert!(!others.iter().any(nobody_read), "{others:?}");
    let tally = Tally::of(&ended.talk);
    assert!(benign(&ended.talk) >= 2 && tally.hidden >= benign(&ended.talk), "{}", ended.talk);
    let sum = tally.shown + tally.aggregated + tally.hidden + tally.lost;
    assert_eq!(tally.drops, sum, "{}", ended.talk);
}

/// Of a datagram's first fragment all copies but the first; the second fragment never comes.
fn duplicates(net: &Router) {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (net.a.v4, net.b.v4) else { panic!("IPv4 addresses") };
    let header = craft::Ipv4 {
        fragment: craft::MORE_FRAGMENTS,
        id: 4290,
        ..craft::Ipv4::new(from, to, craft::protocol::UDP)
    };
    let datagram = craft::udp((from, 30_000).into(), (to, OF_FRAGMENTS).into(), &[0; 56]);
    let fragment = header.packet(&datagram);
    let copies = std::iter::repeat_n(fragment, usize::from(COUNT) + 1);
    net.a.netns.run(|| traffic::packets(copies)).expect("traffic");
    let closed = SocketAddr::new(net.b.v4, CLOSED_TO_PODS);
    let from = SocketAddr::new(net.a.v4, 30_001);
    net.a.netns.run(|| traffic::udp(from, closed, b"nobody", COUNT)).expect("traffic");
}

/// A reason that is benign wherever it occurs: the kernel turns it away, and the sum knows.
#[test]
fn duplicates_are_hidden_in_the_kernel_and_counted() {
    if !kernel().has_reason("DUP_FRAG") {
        println!("SKIPPED duplicates_are_hidden_in_the_kernel_and_counted: it has no name for them");
        return;
    }
    let net = Router::new().expect("a router");
    let watch = Watch::on(&[&net.b.netns]);
    duplicates(&net);
    let (_, others, ended) = watch.end(COUNT, nobody_listens);
    assert!(!others.iter().any(|seen| seen.reason() == "DUP_FRAG"), "{others:?}");
    let tally = Tally::of(&ended.talk);
    assert!(benign(&ended.talk) >= u64::from(COUNT), "{}", ended.talk);
    let row = ended.talk.lines().find(|line| line.ends_with(" DUP_FRAG")).expect("a row of the reason");
    assert_eq!(row.split_whitespace().nth(1), Some("0"), "none is shown: {row}");
    let sum = tally.shown + tally.aggregated + tally.hidden + tally.lost;
    assert_eq!((tally.drops, tally.own_lost()), (sum, 0), "{}", ended.talk);
}

#[test]
fn duplicates_are_shown_to_who_names_them_or_asks() {
    if !kernel().has_reason("DUP_FRAG") {
        println!("SKIPPED duplicates_are_shown_to_who_names_them_or_asks: it has no name for them");
        return;
    }
    for flag in ["--reason=dup_frag", "--include-benign"] {
        let net = Router::new().expect("a router");
        let watch = Watch::with(&[&net.b.netns], &[flag, "--events-per-flow=0"]);
        duplicates(&net);
        let seen = watch.exactly(COUNT, |seen| seen.reason() == "DUP_FRAG");
        assert!(seen.iter().all(|flow| flow.fact("benign") == true), "{seen:?}");
    }
}

/// What only looks harmless is shown: nobody joined this group, but somebody may have wanted to.
#[test]
fn a_real_drop_without_a_reason_is_shown() {
    let net = Router::new().expect("a router");
    let watch = Watch::on(&[&net.node]);
    net.node.ip("route add blackhole 10.199.0.0/24").expect("a route");
    let from = SocketAddr::new(net.a.v4, 30_000);
    let to = SocketAddr::from(([10, 199, 0, 9], OF_FRAGMENTS));
    net.a.netns.run(|| traffic::udp(from, to, b"no way", COUNT)).expect("traffic");
    let seen = watch.exactly(COUNT, |seen| seen.is_between(from.ip(), to));
    for flow in seen {
        assert!(flow.died_of("NOT_SPECIFIED", "ip_error"), "{flow:?}");
        let meaning = flow.fact("meaning").as_str().unwrap_or_default();
        assert!(meaning.contains("blackhole") && flow.fact("benign").is_null(), "{flow:?}");
    }
}
