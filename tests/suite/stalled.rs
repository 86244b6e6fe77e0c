//! A reader of the output that has stopped reading: the end that is asked for comes all the same.

#![expect(unsafe_code, reason = "how much waits in a pipe has no safe interface in std")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use netdrop_tests::observer::die_with_parent;
use netdrop_tests::{command, expect};

use crate::harness::{LIMIT, binary, json_args};
use crate::storm::Storm;

/// How long netdrop waits for such a reader, once it was asked to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks, and between two signals.
const PAUSE: Duration = Duration::from_millis(100);
/// Drops of as many flows; a line of each is some hundred bytes, and a pipe holds 64 KiB.
const DROPS: u32 = 1000;

/// `netdrop observe -o json`, stuck in a write.
struct Stuck {
    netdrop: Child,
    talk: BufReader<std::process::ChildStderr>,
    /// Its drops go with it.
    _storm: Storm,
}

impl Stuck {
    fn new() -> Self {
        let storm = Storm::new();
        let mut command = Command::new(binary());
        command.arg("observe").args(json_args(&[&storm.netns]));
        die_with_parent(&mut command);
        let mut netdrop =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("netdrop runs");
        let mut talk = BufReader::new(netdrop.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("capturing") {
            line.clear();
            assert!(talk.read_line(&mut line).expect("stderr") > 0, "netdrop ended");
        }
        storm.send(DROPS, DROPS);
        let mut stuck = Self { netdrop, talk, _storm: storm };
        // How much fits depends on how it is cut into pages; there is more, so when nothing is added any more, nothing fits.
        let (mut before, mut same) = (0, 0);
        let full = || {
            let now = stuck.waiting();
            same = if now == before { same + 1 } else { 0 };
            before = now;
            Ok(now > 16 << 10 && same >= 10 * expect::patience())
        };
        expect::until_looked("a full pipe", PAUSE, LIMIT, full).expect("more than a pipe holds");
        stuck
    }

    /// Bytes in the pipe.
    fn waiting(&mut self) -> usize {
        let pipe = self.netdrop.stdout.as_ref().expect("a pipe").as_raw_fd();
        let mut bytes: libc::c_int = 0;
        // SAFETY: the kernel writes one int, which lives until the call returns.
        assert_eq!(unsafe { libc::ioctl(pipe, libc::FIONREAD, &raw mut bytes) }, 0);
        usize::try_from(bytes).expect("a number of bytes")
    }

    fn signal(&self, name: &str) {
        // A process that was not waited for keeps its id.
        command::run("kill", &[&format!("-{name}"), &self.netdrop.id().to_string()]).expect("a signal");
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.netdrop.try_wait().expect("a child")
    }

    /// That it says why it ended without the rest, and fails.
    fn check(mut self, status: ExitStatus, why: &str) {
        let mut talk = String::new();
        self.talk.read_to_string(&mut talk).expect("stderr");
        assert_eq!(status.code(), Some(1), "{talk}");
        let said = format!("netdrop: ended before all was written: {why}\n");
        assert!(talk.ends_with(&said), "{talk}");
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.netdrop.kill();
        let _ = self.netdrop.wait();
    }
}

/// On a machine that stands still for seconds the time may pass before the second interrupt is heard: such a try is no proof of
/// anything. One that does not hear it lets the time pass in all.
#[test]
fn a_second_interrupt_ends_it_at_once() {
    let tries = 5;
    assert!((0..tries).any(|_| interrupted_again()), "it waited for the time to pass, {tries} times");
}

/// Interrupts it until it ends; whether that was before the time had passed.
fn interrupted_again() -> bool {
    let mut stuck = Stuck::new();
    let start = Instant::now();
    let mut status = None;
    let ends = || {
        stuck.signal("INT");
        status = stuck.ended();
        Ok(status.is_some())
    };
    expect::until_looked("the end", PAUSE, PATIENCE * 4, ends).expect("netdrop ends");
    let at_once = start.elapsed() < PATIENCE;
    if at_once {
        stuck.check(status.expect("it ended"), "it was interrupted again");
    }
    at_once
}

#[test]
fn one_signal_ends_it_after_a_time() {
    let mut stuck = Stuck::new();
    let start = Instant::now();
    stuck.signal("TERM");
    let mut status = None;
    let ends = || {
        status = stuck.ended();
        Ok(status.is_some())
    };
    expect::until_looked("the end", PAUSE, PATIENCE * 4, ends).expect("netdrop ends");
    assert!(start.elapsed() >= PATIENCE, "it did not wait for its reader");
    stuck.check(status.expect("it ended"), "the reader of the output takes no more");
}
