//! Tests that disturb all others: they run when those are through.

mod cpus;
mod feeds;
mod kills;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use netdrop_tests::cpu;
use netdrop_tests::rules::{Chain, NftDrop};
use netdrop_tests::traffic;
use netdrop_tests::traffic::craft::{self, Ipv4, protocol};

use crate::flags::Tally;
use crate::limits::observe;
use crate::storm::{HERE, Storm, packet};

/// The largest that is no nonsense: the kernel makes it, or has no memory for it and netdrop says so. Beside
/// others it would take theirs.
#[test]
fn the_largest_ring() {
    let (output, talk) = observe(&["--ring-size=2Gi"]);
    match output.status.code() {
        Some(0) => assert!(talk.contains("capturing"), "{talk}"),
        code => assert!(code == Some(1) && talk.contains("memory") && talk.contains("2147483648"), "{talk}"),
    }
}

/// A drop may interrupt the program at work on another, on the same CPU; the kernel then skips it, and counts that. Here packets
/// that another CPU hands over interrupt what this one drops on their way out.
///
/// A softirq runs on top of any task, and some kernels hide what happens on top of some (a hypervisor's init): such a try is no
/// proof of anything, so one of a few must come out to the last packet.
#[test]
fn drops_in_the_middle_of_another_are_counted() {
    let cpus = cpu::allowed().expect("a thread's CPUs");
    let [sender, other, ..] = cpus[..] else {
        eprintln!("SKIPPED drops_in_the_middle_of_another_are_counted: it takes two CPUs");
        return;
    };
    let mut tries = Vec::new();
    let exact = (0..12).any(|_| {
        let try_ = Interrupted::new(sender, other);
        tries.push(try_);
        try_.lost > 0 && try_.ours + try_.lost == try_.all
    });
    assert!(exact, "{tries:?}");
}

#[derive(Clone, Copy, Debug)]
struct Interrupted {
    all: u64,
    ours: u64,
    lost: u64,
}

impl Interrupted {
    /// What one of the CPUs sends is dropped on its way out; what the other sends, either may process.
    fn new(sender: usize, other: usize) -> Self {
        let storm = Storm::new();
        let out =
            NftDrop::add(&storm.netns, "out", Chain::Output, "udp dport 4281").expect("nft takes the rule");
        // Any CPU may process what was sent on the loopback, also the one that is busy sending.
        let script = "mount -t sysfs sysfs /sys && echo 3 >/sys/class/net/lo/queues/rx-0/rps_cpus";
        storm.netns.command("unshare", &["--mount", "sh", "-c", script]).expect("a setting");
        let observer = storm.watch(&["--events-per-flow=1"]);
        let to = SocketAddr::new(HERE.into(), 4281);
        let data = craft::udp(SocketAddr::new(HERE.into(), 1), to, b"out");
        let out_packet = Ipv4::new(HERE, HERE, protocol::UDP).packet(&data);
        // Short, so that such a task hardly runs meanwhile.
        let end = Instant::now() + Duration::from_millis(150);
        let flood = |packet: &(dyn Fn(u32) -> Vec<u8> + Sync)| {
            let send = || {
                while Instant::now() < end {
                    traffic::packets((0..200).map(packet))?;
                }
                Ok(())
            };
            storm.netns.run(send).expect("traffic");
        };
        // On a CPU each, whatever else runs: one that sends in turns with the other interrupts nothing.
        let on = |cpu| cpu::stay_on(cpu).expect("a CPU that is allowed");
        thread::scope(|s| {
            s.spawn(|| {
                on(sender);
                flood(&|_| out_packet.clone());
            });
            s.spawn(|| {
                on(other);
                flood(&packet);
            });
        });
        let dropped_out = out.packets(&storm.netns).expect("a counter");
        let told = storm.end(observer);
        let Tally { drops, shown, aggregated, hidden, lost, .. } = told.tally;
        assert_eq!(drops, shown + aggregated + hidden + lost, "{}", told.talk);
        let (ours, all) = (shown + aggregated, told.dropped + dropped_out + told.backlog);
        // What was skipped has no reason and no namespace, so it may be somebody else's.
        assert!(ours <= all, "{ours} of {all}: {}", told.talk);
        Self { all, ours, lost }
    }
}
