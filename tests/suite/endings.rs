//! How `netdrop observe` prints and how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use netdrop_tests::netns::Netns;
use netdrop_tests::observer::{Ended, Observer, hears};
use netdrop_tests::{expect, kernel, traffic};

use crate::flags::Tally;
use crate::harness::{COUNT, LIMIT, binary};

const PORT: u16 = 4260;

fn send(netns: &Netns, count: u16) {
    let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    netns.run(|| traffic::udp(at(30_000), at(PORT), b"nobody home", count)).expect("traffic");
}

/// Runs `observe` with these flags until it is done or has shown `lines` lines, then interrupts it.
fn printed(flags: &[&str], lines: usize) -> Ended {
    ended_by(libc::SIGINT, true, flags, lines)
}

/// The same by another signal; one that it does not hear is sent first, and makes no difference.
fn ended_by(signal: libc::c_int, heard: bool, flags: &[&str], lines: usize) -> Ended {
    let netns = Netns::anonymous("printed").expect("a namespace");
    let own = format!("--netns={}", netns.inode());
    let mut command = Command::new(binary());
    command.arg("observe").args(flags).arg(own);
    hears(&mut command, signal, heard);
    let mut observer = Observer::run(&mut command).expect("netdrop captures");
    if !heard {
        observer.signal(signal).expect("a signal is sent");
    }
    let signal = if heard { signal } else { libc::SIGINT };
    send(&netns, COUNT);
    let deadline = expect::deadline(LIMIT);
    let first: Vec<String> =
        (0..lines).map(|_| observer.line(deadline).expect("a line").expect("it comes in time")).collect();
    if heard {
        // Who sends a Ctrl-C on to its child sends it twice, at once: that is one.
        observer.signal(signal).expect("a signal is sent");
    }
    let mut ended = observer.end_by(signal).expect("netdrop ends when interrupted");
    ended.rest.splice(0..0, first);
    assert!(ended.status.success(), "netdrop ended with {}:\n{}", ended.status, ended.talk);
    ended
}

/// By Ctrl-C, by SIGTERM, when its terminal goes; but not where `nohup` started it.
#[test]
fn interrupt_ends_with_a_tally_and_zero() {
    for (signal, heard) in
        [(libc::SIGINT, true), (libc::SIGTERM, true), (libc::SIGHUP, true), (libc::SIGHUP, false)]
    {
        let ended = ended_by(signal, heard, &["-f", "-o", "compact"], COUNT.into());
        assert_eq!(ended.rest.len(), usize::from(COUNT), "{signal}: {:?}", ended.rest);
        let tally = Tally::of(&ended.talk);
        assert_eq!((tally.shown, tally.own_lost()), (u64::from(COUNT), 0), "{signal}: {}", ended.talk);
    }
}

/// What comes after the end that was asked for was not hidden by a filter, and the sum says so.
#[test]
fn what_comes_after_the_end_is_told_apart() {
    let netns = Netns::anonymous("count").expect("a namespace");
    let args = ["-o", "compact", "--count", "3", "--netns", &netns.inode().to_string()].map(str::to_owned);
    let observer = Observer::start(&binary(), args).expect("netdrop captures");
    send(&netns, COUNT);
    let ended = observer.wait().expect("--count ends it");
    assert_eq!(ended.rest.len(), 3, "{:?}", ended.rest);
    let tally = Tally::of(&ended.talk);
    let after =
        ended.talk.trim_end().rsplit(", ").next().and_then(|last| last.strip_suffix(" after the end"));
    // The hook may be off before all of them are sent; those that it saw add up.
    let after: u64 = after.map_or(0, |n| n.parse().expect("a number"));
    assert_eq!(tally.drops, tally.shown + tally.hidden + tally.lost + after, "{}", ended.talk);
    assert_eq!((tally.shown, tally.own_lost()), (3, 0), "{}", ended.talk);
}

#[test]
fn compact() {
    for line in printed(&["-o", "compact"], COUNT.into()).rest {
        assert!(line.contains("127.0.0.1:30000 (host) <> 127.0.0.1:4260 (host) "), "{line}");
        assert!(line.contains(" DROPPED (UDP; NO_SOCKET at "), "{line}");
    }
}

#[test]
fn dict() {
    let lines = printed(&["-o", "dict"], usize::from(COUNT) * 6).rest;
    for field in ["     SOURCE: 127.0.0.1:30000", "DESTINATION: 127.0.0.1:4260", "    VERDICT: DROPPED"] {
        assert_eq!(
            lines.iter().filter(|line| *line == field).count(),
            usize::from(COUNT),
            "{field}: {lines:?}"
        );
    }
}

/// A table is aligned when all of it is known: at the end.
#[test]
fn table() {
    let count = COUNT.to_string();
    let netns = Netns::anonymous("table").expect("a namespace");
    let args = ["-o", "table", "--count", &count, "--netns", &netns.inode().to_string()].map(str::to_owned);
    let observer = Observer::start(&binary(), &args).expect("netdrop captures");
    send(&netns, COUNT);
    let ended = observer.wait().expect("--count ends it");
    assert!(ended.status.success(), "netdrop ended with {}:\n{}", ended.status, ended.talk);
    assert_eq!(ended.rest.len(), usize::from(COUNT) + 1, "{:?}", ended.rest);
    let columns = ["TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"];
    assert_eq!(ended.rest[0].split_whitespace().collect::<Vec<_>>(), columns);
    let at = ended.rest[0].find("VERDICT").expect("a column");
    assert!(ended.rest[1..].iter().all(|line| line[at..].starts_with("DROPPED ")), "{:?}", ended.rest);
}

/// `netdrop observe | head -1` ends with the line, whether or not another one comes: no error, no panic.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    let netns = Netns::anonymous("pipe").expect("a namespace");
    let mut netdrop = Command::new(binary())
        .args(["observe", "-f", &format!("--netns={}", netns.inode())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("netdrop runs");
    let mut stderr = BufReader::new(netdrop.stderr.take().expect("a pipe"));
    let mut talk = String::new();
    while !talk.contains("capturing") {
        assert!(stderr.read_line(&mut talk).expect("stderr") > 0, "netdrop ended: {talk}");
    }
    let mut stdout = BufReader::new(netdrop.stdout.take().expect("a pipe"));
    send(&netns, 1);
    stdout.read_line(&mut String::new()).expect("a line");
    drop(stdout);
    let mut status = None;
    let ends = || {
        status = netdrop.try_wait()?;
        Ok(status.is_some())
    };
    expect::until("the end", LIMIT, ends).expect("a closed pipe ends netdrop");
    stderr.read_to_string(&mut talk).expect("stderr");
    assert_eq!(status.and_then(|s| s.code()), Some(0), "{talk}");
    for word in ["panic", "roken pipe", "error", "Error"] {
        assert!(!talk.contains(word), "{talk}");
    }
}

/// The tracepoint's own text format knows the names of the core's reasons without BTF.
#[test]
fn reasons_have_the_kernels_names() {
    let known = kernel::tracepoint_reasons().expect("the tracepoint prints reasons by name");
    assert!(known.len() > 50, "{known:?}");

    let listed = Command::new(binary()).arg("reasons").output().expect("netdrop runs");
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout).expect("text");
    let listed: Vec<(String, String)> = listed
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    for reason in known {
        assert!(listed.contains(&reason), "{reason:?} is not in `netdrop reasons`");
    }
}
