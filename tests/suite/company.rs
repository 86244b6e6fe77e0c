//! netdrop beside others: other readers of the same drops, and the kernel's events that are none of its business.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process;

use netdrop_tests::link;
use netdrop_tests::netns::Netns;
use netdrop_tests::topology::Router;
use netdrop_tests::traffic::{self, craft};
use netdrop_tests::truth;

use crate::harness::{COUNT, Watch, json_args};
use crate::perf::PerfStat;

const PORT: u16 = 4248;

#[test]
fn two_at_once_see_the_same() {
    let net = Router::new().expect("a router");
    let (from, to) = (SocketAddr::new(net.a.v4, 30_000), SocketAddr::new(net.b.v4, PORT));
    let first = Watch::on(&[&net.b.netns]);
    let second = Watch::on(&[&net.b.netns]);

    net.a.netns.run(|| traffic::udp(from, to, b"both", COUNT)).expect("traffic");

    let one = first.exactly(COUNT, |seen| seen.is_between(from.ip(), to));
    let other = second.exactly(COUNT, |seen| seen.is_between(from.ip(), to));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!((one.reason(), one.fact("site")), (other.reason(), other.fact("site")));
    }
}

/// A program on the classic tracepoint that returns 0 would hide the event from every `perf` of the machine.
#[test]
fn perf_counts_the_same_with_and_without() {
    // An EtherType that no other test sends: perf sees the whole machine.
    const ETHER_TYPE: u16 = 0x88b6;
    let net = Router::new().expect("a router");
    let device = link::index(&net.a.netns, "eth0").expect("the pod has a device");
    let frame = craft::ethernet([2, 0, 0, 0, 0, 1], net.a.mac, ETHER_TYPE, &[0; 50]);
    let send = || {
        net.a.netns.run(|| traffic::frames(device, vec![&frame; usize::from(COUNT)])).expect("traffic");
        truth::arrived().expect("no frame is on its way for ever");
    };

    let without = PerfStat::start(ETHER_TYPE);
    send();
    let without = without.count();

    let with = PerfStat::start(ETHER_TYPE);
    let watch = Watch::on(&[&net.node]);
    send();
    watch.exactly(COUNT, |seen| seen.reason() == "UNHANDLED_PROTO");
    assert_eq!((without, with.count()), (u64::from(COUNT), u64::from(COUNT)));
}

/// Messages between processes of one machine go through the same kernel function when they die.
#[test]
fn unix_sockets_are_not_shown() {
    let net = Router::new().expect("a router");
    let (from, to) = (SocketAddr::new(net.a.v4, 30_000), SocketAddr::new(net.b.v4, PORT));
    // No --netns: what has no namespace would show too. The drops of all other tests need room, or they cost these their lines.
    let watch = Watch::start(&[json_args(&[]), vec!["--ring-size=16Mi".to_owned()]].concat());

    let (sender, receiver) = UnixDatagram::pair().expect("a pair of sockets");
    for _ in 0..COUNT {
        sender.send(b"never read").expect("a message");
    }
    drop(receiver);
    net.a.netns.run(|| traffic::udp(from, to, b"a fence", COUNT)).expect("traffic");

    let inode = net.b.netns.inode();
    let (_, others) =
        watch.split(COUNT, |seen| seen.netns() == Some(inode) && seen.is_between(from.ip(), to));
    let own = |pid: &serde_json::Value| pid.as_f64() == Some(process::id().into());
    for flow in others.iter().filter(|flow| own(flow.fact("pid"))) {
        assert!(flow.netns().is_some() || flow.addresses().is_some(), "not a network packet: {flow:?}");
    }
}

/// A test's drops are its own: the same traffic next door does not show.
#[test]
fn neighbours_stay_apart() {
    let (net, next_door) = (Router::new().expect("a router"), Router::new().expect("a router"));
    let (from, to) = (SocketAddr::new(net.a.v4, 30_000), SocketAddr::new(net.b.v4, PORT));
    let watch = Watch::on(&[&net.b.netns]);

    let send = |netns: &Netns| netns.run(|| traffic::udp(from, to, b"whose?", COUNT)).expect("traffic");
    send(&next_door.a.netns);
    send(&net.a.netns);

    for flow in watch.exactly(COUNT, |seen| seen.is_between(from.ip(), to)) {
        assert_eq!(flow.netns(), Some(net.b.netns.inode()));
    }
}
