//! Storms: more drops than a record for each makes sense, or fits. Every one is counted, and the sum comes out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netdrop_tests::netns::Netns;
use netdrop_tests::observer::Observer;
use netdrop_tests::rules::{Chain, NftDrop};
use netdrop_tests::traffic::craft::{self, Ipv4, protocol};
use netdrop_tests::{expect, traffic, truth};

use crate::flags::Tally;
use crate::harness::{LIMIT, Seen, binary, json_args, time_of};

const PORT: u16 = 4280;
pub const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A namespace whose firewall drops, and counts, all that comes to [`PORT`].
pub struct Storm {
    pub netns: Netns,
    rule: NftDrop,
}

/// Ends a load, also when a test fails.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What netdrop told of the storm, and what the kernel's own counter says.
pub struct Told {
    /// Packets by sender.
    flows: BTreeMap<(IpAddr, Option<u32>), u64>,
    /// Packets of flows that were not kept apart.
    pub rest: u64,
    /// Lines for one packet each.
    records: u64,
    /// Packets that are said to be lost.
    lost: u64,
    /// Packets that came faster than their CPU took them, so the rule never saw them.
    pub backlog: u64,
    pub tally: Tally,
    pub talk: String,
    pub dropped: u64,
}

impl Storm {
    pub fn new() -> Self {
        let netns = Netns::anonymous("storm").expect("a namespace");
        let rule = NftDrop::add(&netns, "storm", Chain::Input, &format!("udp dport {PORT}"))
            .expect("nft takes the rule");
        Self { netns, rule }
    }

    pub fn dropped(&self) -> u64 {
        self.rule.packets(&self.netns).expect("a counter")
    }

    pub fn watch(&self, flags: &[&str]) -> Observer {
        let mut args = json_args(&[&self.netns]);
        args.extend(flags.iter().map(ToString::to_string));
        Observer::start(&binary(), args).expect("netdrop captures")
    }

    /// Sends packets of `flows` flows, one after the other, `count` in all.
    pub fn send(&self, flows: u32, count: u32) {
        let packets = (0..count).map(|n| packet(n % flows));
        self.netns.run(|| traffic::packets(packets)).expect("traffic");
    }

    /// Sends packets of `flows` flows from two threads at once, for this long and until so many were dropped: a slow machine needs longer.
    pub fn flood(&self, flows: u32, time: Duration, least: u64) {
        let end = Instant::now() + time;
        let over = AtomicBool::new(false);
        let send = |from: u32| {
            let send = || {
                while !over.load(Ordering::Relaxed) {
                    traffic::packets((from..from + 200).map(|n| packet(n % flows)))?;
                }
                Ok(())
            };
            self.netns.run(send).expect("traffic");
        };
        thread::scope(|s| {
            let _over = Over(&over);
            s.spawn(|| send(0));
            s.spawn(|| send(flows / 2));
            let enough = || Ok(Instant::now() >= end && self.dropped() >= least);
            expect::until_looked("drops", Duration::from_millis(100), LIMIT, enough).expect("drops come");
        });
    }

    /// Ends netdrop once all that was sent has arrived, and adds up what it told of these packets.
    pub fn end(&self, observer: Observer) -> Told {
        truth::arrived().expect("no packet is on its way for ever");
        self.end_at_once(observer)
    }

    /// The same while more are on their way.
    fn end_at_once(&self, observer: Observer) -> Told {
        let ended = observer.interrupt().expect("netdrop ends when interrupted");
        assert!(ended.status.success(), "netdrop ended with {}:\n{}", ended.status, ended.talk);
        let tally = Tally::of(&ended.talk);
        let mut told = Told {
            flows: BTreeMap::new(),
            rest: 0,
            records: 0,
            lost: 0,
            backlog: 0,
            tally,
            talk: ended.talk,
            dropped: self.dropped(),
        };
        ended.rest.iter().for_each(|line| told.add(line));
        told
    }
}

impl Told {
    fn add(&mut self, line: &str) {
        let mut value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if let Some(lost) = value["lost_events"]["num_events_lost"].as_str() {
            self.lost += lost.parse::<u64>().expect("a number");
            return;
        }
        let seen = Seen(value["flow"].take());
        let count = seen.count();
        if seen.reason() == "CPU_BACKLOG" {
            self.backlog += count;
            return;
        }
        let Some((from, _)) = seen.addresses() else {
            assert_eq!(seen.fact("aggregated"), "rest", "{seen:?}");
            assert_eq!((seen.reason(), seen.netns().is_some()), ("NETFILTER_DROP", true), "{seen:?}");
            self.rest += count;
            return;
        };
        if seen.port() != Some(PORT) {
            return;
        }
        assert_eq!(seen.reason(), "NETFILTER_DROP", "{seen:?}");
        if seen.fact("aggregated").is_null() {
            assert_eq!(count, 1, "{seen:?}");
            self.records += 1;
        } else {
            assert!(time_of(seen.fact("first")) <= time_of(seen.fact("last")), "{seen:?}");
            assert!(seen.summary().ends_with(&format!("x{count}")) || count == 1, "{seen:?}");
        }
        *self.flows.entry((from, seen.l4("source_port"))).or_default() += count;
    }

    pub fn named(&self) -> u64 {
        self.flows.values().sum()
    }

    /// Nothing is missing: neither of these packets, nor of all that netdrop saw.
    pub fn check(&self) {
        // Of what the kernel skipped nobody knows whose it was.
        let told = self.named() + self.rest;
        assert!(told <= self.dropped && self.dropped <= told + self.lost, "{told}, {}", self.dropped);
        let Tally { drops, shown, aggregated, hidden, lost, .. } = self.tally;
        assert_eq!(drops, shown + aggregated + hidden + lost, "{}", self.talk);
    }
}

/// UDP to [`PORT`] from one of many addresses and ports.
pub fn packet(flow: u32) -> Vec<u8> {
    let [_, _, high, low] = (flow / 50_000).to_be_bytes();
    let port = u16::try_from(1024 + flow % 50_000).expect("a port");
    let from = SocketAddr::new(Ipv4Addr::new(127, 1, high, low).into(), port);
    let data = craft::udp(from, SocketAddr::new(HERE.into(), PORT), &flow.to_be_bytes());
    let IpAddr::V4(source) = from.ip() else { unreachable!("made so above") };
    Ipv4::new(source, HERE, protocol::UDP).packet(&data)
}

#[test]
fn one_flow_is_added_up_and_sampled() {
    let storm = Storm::new();
    let start = Instant::now();
    let observer = storm.watch(&[]);
    storm.send(1, 60_000);
    let told = storm.end(observer);
    told.check();
    assert_eq!((told.rest, told.tally.own_lost(), told.flows.len()), (0, 0, 1), "{}", told.talk);
    // A second's worth at once, then a hundred a second.
    let most = 100 + 100 * (start.elapsed().as_secs() + 1);
    assert!((100..=most).contains(&told.records), "{} records of at most {most}", told.records);
    assert!(told.tally.aggregated > 50_000, "{}", told.talk);
}

#[test]
fn the_rate_of_a_flow_is_a_flag() {
    let storm = Storm::new();
    let start = Instant::now();
    let observer = storm.watch(&["--events-per-flow=5"]);
    storm.send(4, 400);
    let told = storm.end(observer);
    told.check();
    let most = 4 * (5 + 5 * (start.elapsed().as_secs() + 1));
    assert!((20..=most).contains(&told.records), "{} records of at most {most}", told.records);
    assert!(told.flows.values().all(|n| *n == 100), "{:?}", told.flows);
}

#[test]
fn without_a_rate_every_drop_has_its_line() {
    let storm = Storm::new();
    let observer = storm.watch(&["--events-per-flow=0", "--ring-size=16Mi"]);
    storm.send(1, 3_000);
    let told = storm.end(observer);
    told.check();
    assert_eq!((told.records, told.tally.aggregated), (3_000, 0), "{}", told.talk);
}

/// A flow that was added up is told among others whose drops came after its last: lines are in order all the same.
#[test]
fn what_was_added_up_has_its_place_in_time() {
    let storm = Storm::new();
    let observer = storm.watch(&["--events-per-flow=5"]);
    for _ in 0..3 {
        // Long done when it is told.
        storm.netns.run(|| traffic::packets((0..50).map(|_| packet(0)))).expect("traffic");
        for other in 1..30 {
            storm.netns.run(|| traffic::packets([packet(other)])).expect("traffic");
            // A thread that ran others may be unparked by them.
            thread::sleep(Duration::from_millis(50));
        }
    }
    let ended = observer.interrupt().expect("netdrop ends when interrupted");
    let told: Vec<_> = ended
        .rest
        .iter()
        .map(|line| {
            let mut value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            (time_of(&value["time"]), Seen(value["flow"].take()).count())
        })
        .collect();
    // Processors take turns within far less than there is between any two here that are not of one burst.
    let turn = Duration::from_millis(10);
    assert!(told.is_sorted_by(|a, b| a.0 <= b.0 + turn), "{told:?}");
    assert!(told.iter().any(|(_, count)| *count > 1), "{told:?}");
}

/// Each flow is below its rate: each is named, whatever all of them come to.
#[test]
fn many_small_flows_are_all_named() {
    const FLOWS: u32 = 12_000;
    let storm = Storm::new();
    let observer = storm.watch(&[]);
    storm.send(FLOWS, FLOWS);
    let told = storm.end(observer);
    told.check();
    assert_eq!((told.flows.len(), told.rest, told.tally.own_lost()), (FLOWS as usize, 0, 0), "{}", told.talk);
    assert!(told.flows.values().all(|n| *n == 1));
}

/// Ring buffer and flow map full: some flows are named, the rest is counted by reason and namespace.
#[test]
fn what_no_buffer_holds_is_counted() {
    const FLOWS: u32 = 3_000;
    let storm = Storm::new();
    let observer = storm.watch(&["--ring-size=64Ki", "--flow-map-size=64"]);
    // It reads nothing meanwhile: all that follows must fit into what the kernel side has.
    observer.signal(libc::SIGSTOP).expect("a signal");
    storm.send(FLOWS, FLOWS * 10);
    observer.signal(libc::SIGCONT).expect("a signal");
    let told = storm.end(observer);
    told.check();
    assert!(told.rest > 0 && told.flows.len() >= 64, "{} named, rest {}", told.flows.len(), told.rest);
    assert!(told.flows.len() < FLOWS as usize, "{} named", told.flows.len());
    assert_eq!(told.tally.own_lost(), 0, "{}", told.talk);
}

/// A rest may hold what a filter asks for: it is never hidden by one, but said to be lost.
#[test]
fn a_filter_hides_no_rest() {
    let storm = Storm::new();
    let observer = storm.watch(&["--ring-size=64Ki", "--flow-map-size=64", "--to-ip=127.0.0.1"]);
    observer.signal(libc::SIGSTOP).expect("a signal");
    storm.send(3_000, 9_000);
    observer.signal(libc::SIGCONT).expect("a signal");
    let told = storm.end(observer);
    told.check();
    assert_eq!(told.rest, 0);
    assert!(told.lost >= told.dropped - told.named() && told.named() < told.dropped, "{}", told.talk);
}

/// Reason and namespace of a rest are known: what a filter asks of these alone is decided.
#[test]
fn a_filter_by_reason_hides_a_rest() {
    let storm = Storm::new();
    let sizes = ["--ring-size=64Ki", "--flow-map-size=64", "--events-per-flow=1"];
    let observer = storm.watch(&[&sizes[..], &["--not", "--reason=NETFILTER_DROP"]].concat());
    storm.send(3_000, 9_000);
    let told = storm.end(observer);
    assert_eq!((told.named(), told.rest, told.tally.own_lost()), (0, 0, 0), "{}", told.talk);
    assert!(told.tally.hidden >= told.dropped, "{}", told.talk);
}

/// The flow map is changed and read while programs on all CPUs add to it.
#[test]
fn nothing_is_lost_between_two_readings() {
    let storm = Storm::new();
    let observer = storm.watch(&["--events-per-flow=1"]);
    storm.flood(50, Duration::from_millis(4_500), 20_000);
    let told = storm.end(observer);
    told.check();
    assert_eq!((told.flows.len(), told.rest, told.tally.own_lost()), (50, 0, 0), "{}", told.talk);
    assert!(told.tally.aggregated > 10_000, "{}", told.talk);
}

/// Drops before the hook is attached and after it is detached are not netdrop's; those between add up.
#[test]
fn starting_and_ending_in_a_storm() {
    let storm = Storm::new();
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        let _over = Over(&over);
        s.spawn(|| {
            let send = || {
                while !over.load(Ordering::Relaxed) {
                    traffic::packets((0..100).map(packet))?;
                }
                Ok(())
            };
            storm.netns.run(send).expect("traffic");
        });
        for flags in [["--events-per-flow=0"], ["--events-per-flow=100"], ["--events-per-flow=1"]] {
            let before = storm.dropped();
            let observer = storm.watch(&flags);
            let attached = storm.dropped();
            let more = || Ok(storm.dropped() > attached + 2_000);
            expect::until("drops", LIMIT, more).expect("drops come");
            let seen_at_least = storm.dropped() - attached;
            let told = storm.end_at_once(observer);
            let Tally { drops, shown, aggregated, hidden, lost, .. } = told.tally;
            assert_eq!(drops, shown + aggregated + hidden + lost, "{}", told.talk);
            let all = told.named() + told.rest + told.lost;
            assert!((seen_at_least..=told.dropped - before).contains(&all), "{all}: {}", told.talk);
        }
    });
}
