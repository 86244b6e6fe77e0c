//! CPUs that go offline and come back, on a machine of the tests' own: a guest.

use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use netdrop_tests::{cpu, expect, traffic};

use crate::harness::LIMIT;
use crate::storm::{Over, Storm, Told, packet};

const ONLINE: &str = "/sys/devices/system/cpu/online";
/// The one that goes; the first one of a machine stays.
const CPU: usize = 1;
const EACH: u32 = 3000;
const FLOWS: u32 = 50;

/// Whether this machine is the tests' own: to take a CPU away from anybody else's is out of the question.
#[expect(clippy::print_stderr, reason = "why it does nothing")]
fn is_own(test: &str) -> bool {
    let own = env::var_os("NETDROP_TEST_GUEST").is_some();
    if !own {
        eprintln!(
            "SKIPPED {test}: it takes a CPU from a machine, so only from the guests of `cargo xtask vm`"
        );
    }
    own
}

/// A CPU that is offline while this lives.
struct Offline;

impl Offline {
    fn new() -> Self {
        set(false);
        Self
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        set(true);
    }
}

fn set(online: bool) {
    let path = format!("/sys/devices/system/cpu/cpu{CPU}/online");
    fs::write(&path, if online { "1" } else { "0" }).expect("a CPU that can go offline and come back");
    let all = if online { format!("0-{CPU}\n") } else { "0\n".to_owned() };
    let is = || Ok(fs::read_to_string(ONLINE)? == all);
    expect::until("the CPU's state", LIMIT, is).expect("the kernel obeys");
}

/// Sends packets from this CPU, which also drops them: they go by the loopback.
fn send_on(storm: &Storm, cpu: usize) {
    thread::scope(|s| {
        s.spawn(|| {
            cpu::stay_on(cpu).expect("a CPU that is online");
            storm.send(FLOWS, EACH);
        });
    });
}

/// Nothing was lost, so all flows and all packets are named.
fn check(told: &Told, sent: u32) {
    told.check();
    assert_eq!((told.dropped, told.tally.lost), (u64::from(sent), 0), "{}", told.talk);
    assert_eq!(told.named() + told.rest, told.dropped, "{}", told.talk);
}

/// What a CPU has counted is still told when it is gone, and again when it is back.
#[test]
fn a_cpu_goes_offline() {
    if !is_own("a_cpu_goes_offline") {
        return;
    }
    let storm = Storm::new();
    let observer = storm.watch(&[]);
    send_on(&storm, CPU);
    let offline = Offline::new();
    send_on(&storm, 0);
    drop(offline);
    send_on(&storm, CPU);
    check(&storm.end(observer), 3 * EACH);
}

/// One that was not there when netdrop started counts, too.
#[test]
fn a_cpu_comes_late() {
    if !is_own("a_cpu_comes_late") {
        return;
    }
    let storm = Storm::new();
    let offline = Offline::new();
    let observer = storm.watch(&[]);
    send_on(&storm, 0);
    drop(offline);
    send_on(&storm, CPU);
    check(&storm.end(observer), 2 * EACH);
}

/// In the middle of a flood, again and again.
#[test]
fn cpus_come_and_go_under_load() {
    if !is_own("cpus_come_and_go_under_load") {
        return;
    }
    let storm = Storm::new();
    let observer = storm.watch(&[]);
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        let _over = Over(&over);
        for _ in 0..2 {
            s.spawn(|| {
                let flood = || {
                    while !over.load(Ordering::Relaxed) {
                        traffic::packets((0..200).map(|n| packet(n % FLOWS)))?;
                    }
                    Ok(())
                };
                storm.netns.run(flood).expect("traffic");
            });
        }
        for _ in 0..5 {
            drop(Offline::new());
        }
    });
    let told = storm.end(observer);
    told.check();
    assert!(told.named() > 0, "{}", told.talk);
}
