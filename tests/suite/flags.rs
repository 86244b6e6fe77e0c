//! Filters that the kernel applies: what they let through, and that the rest is counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netdrop_tests::netns::Netns;
use netdrop_tests::rules::{Chain, NftDrop};
use netdrop_tests::traffic;

use crate::harness::{COUNT, Seen, Watch};

const PORT: u16 = 4250;
const OTHER_PORT: u16 = 4251;
const FIREWALLED: u16 = 4252;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ALIAS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// On the loopback of a namespace: UDP to two closed ports, UDP from another address, UDP to a firewalled port, SYNs to a
/// closed port; 20 of each.
fn everything(netns: &Netns) {
    netns
        .run(|| {
            let to = |port| SocketAddr::new(HERE, port);
            traffic::udp(to(30_000), to(PORT), b"one", COUNT)?;
            traffic::udp(to(30_000), to(OTHER_PORT), b"another", COUNT)?;
            traffic::udp(SocketAddr::new(ALIAS, 30_000), to(OTHER_PORT), b"alias", COUNT)?;
            traffic::udp(to(30_000), to(FIREWALLED), b"denied", COUNT)?;
            traffic::syns(to(30_000), to(OTHER_PORT), COUNT)
        })
        .expect("traffic");
}

/// Runs everything under a filter: 20 flows that fit and none that does not; the rest is hidden, and counted as such.
fn filtered(flags: &[&str], fits: impl Fn(&Seen) -> bool) {
    let netns = Netns::anonymous("filtered").expect("a namespace");
    let rule = format!("udp dport {FIREWALLED}");
    let _rule = NftDrop::add(&netns, "deny", Chain::Input, &rule).expect("nft takes the rule");
    let watch = Watch::with(&[&netns], flags);

    everything(&netns);

    let (seen, others, ended) = watch.end(COUNT, fits);
    assert!(others.is_empty(), "let through by {flags:?}: {others:?}");
    let tally = Tally::of(&ended.talk);
    assert_eq!(tally.shown, seen.len() as u64, "{}", ended.talk);
    assert!(tally.hidden >= u64::from(4 * COUNT), "{}", ended.talk);
    let sum = tally.shown + tally.aggregated + tally.hidden + tally.lost;
    assert_eq!((tally.drops, tally.own_lost()), (sum, 0), "{}", ended.talk);
}

/// The last line of stderr: `netdrop: 5 drops: 3 shown, 0 aggregated, 2 hidden by the filter, 0 lost`.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    pub drops: u64,
    pub shown: u64,
    pub aggregated: u64,
    pub hidden: u64,
    pub lost: u64,
    /// Of the lost, what the kernel skipped: nobody knows whose it was, so it may be another test's.
    pub anybodys: u64,
}

impl Tally {
    pub fn of(talk: &str) -> Self {
        let line = talk.lines().last().unwrap_or_default();
        let before = |word: &str| {
            let words: Vec<&str> =
                line.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
            let at = words.iter().position(|w| *w == word).filter(|at| *at > 0);
            let number = at.and_then(|at| words[at - 1].parse().ok());
            number.unwrap_or_else(|| panic!("no number before {word:?} in the tally {line:?}"))
        };
        Self {
            drops: before("drops"),
            shown: before("shown"),
            aggregated: before("aggregated"),
            hidden: before("hidden"),
            lost: before("lost"),
            anybodys: anybodys(line),
        }
    }

    /// What is lost of what the test is about.
    pub fn own_lost(&self) -> u64 {
        self.lost - self.anybodys
    }
}

/// As `4 lost (3 of whatever reason and namespace: netdrop's program was busy on their CPU)` tells it.
fn anybodys(line: &str) -> u64 {
    let before = line.split_once(" of whatever reason").map(|(before, _)| before);
    let number = before.and_then(|before| before.rsplit('(').next());
    number.map_or(0, |n| n.parse().expect("a number"))
}

#[test]
fn reason() {
    filtered(&["--reason=NETFILTER_DROP"], |seen| {
        seen.reason() == "NETFILTER_DROP" && seen.port() == Some(FIREWALLED)
    });
}

#[test]
fn port() {
    filtered(&[&format!("--port={PORT}")], |seen| seen.port() == Some(PORT));
}

#[test]
fn address() {
    filtered(&["--ip=127.0.0.2"], |seen| seen.addresses() == Some((ALIAS, HERE)));
}

#[test]
fn prefix() {
    filtered(&["--from-ip=127.0.0.2/31"], |seen| seen.addresses() == Some((ALIAS, HERE)));
}

#[test]
fn protocol() {
    let flags = ["--protocol=tcp", "--reason=NO_SOCKET"];
    filtered(&flags, |seen| seen.transport() == Some("TCP") && seen.port() == Some(OTHER_PORT));
}

#[test]
fn several_at_once() {
    let flags =
        [format!("--port={OTHER_PORT}"), "--protocol=udp".to_owned(), "--from-ip=127.0.0.1".to_owned()];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    filtered(&flags, |seen| seen.is_between(HERE, SocketAddr::new(HERE, OTHER_PORT)));
}

#[test]
fn not() {
    let flags = ["--not", "--reason=NO_SOCKET", "--protocol=udp"];
    filtered(&flags, |seen| seen.reason() == "NETFILTER_DROP");
}
