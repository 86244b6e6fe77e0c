//! Waiting for something with a deadline, never for a time.

#![expect(unsafe_code, reason = "poll has no safe interface in std")]

use std::env;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How many times longer everything may take: NETDROP_TEST_PATIENCE, where it is set to a number, as on an emulated machine; else 1.
pub fn patience() -> u32 {
    let patience = env::var("NETDROP_TEST_PATIENCE").ok().and_then(|factor| factor.parse().ok());
    patience.filter(|factor| *factor > 0).unwrap_or(1)
}

/// The end of a time limit that begins now, made longer by [`patience`].
pub fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit * patience()
}

/// Waits until a file descriptor is readable (or its other end closed). False: the deadline passed.
pub fn readable(fd: &impl AsFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd that lives until the call returns.
        match unsafe { libc::poll(&raw mut poll, 1, millis) } {
            0 => return Ok(false),
            n if n > 0 => return Ok(true),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Asks again and again until the answer is yes; an error names `what` if it is not within `limit`. For what the kernel does
/// by itself in a moment, but tells nobody: counting packets that are still in a queue. Others have the CPU between two looks.
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = deadline(limit);
    while !holds()? {
        if Instant::now() > deadline {
            bail!("{what} did not come true within {limit:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Like [`until`], with a pause before each look: where looking takes from what it waits for, or asks for it.
pub fn until_looked(
    what: &str,
    pause: Duration,
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    until(what, limit, || {
        thread::sleep(pause);
        holds()
    })
}

/// Lines of a pipe, each waited for with a deadline.
#[derive(Debug)]
pub struct Lines<R> {
    pipe: R,
    pending: Vec<u8>,
    closed: bool,
}

/// What came of waiting for a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line, without its end.
    Text(String),
    /// The other end closed the pipe.
    End,
    /// The deadline passed.
    Late,
}

impl<R: Read + AsFd> Lines<R> {
    /// Reads lines from a pipe.
    pub fn new(pipe: R) -> Self {
        Self { pipe, pending: Vec::new(), closed: false }
    }

    /// The next line, if it comes before the deadline.
    pub fn next(&mut self, deadline: Instant) -> Result<Line> {
        loop {
            if let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
                let line = self.pending.drain(..=end).take(end).collect();
                return Ok(Line::Text(String::from_utf8(line).context("a line is not UTF-8")?));
            }
            if self.closed {
                return Ok(Line::End);
            }
            if !readable(&self.pipe, deadline).context("can't wait for a pipe")? {
                return Ok(Line::Late);
            }
            let mut chunk = [0; 8192];
            let read = self.pipe.read(&mut chunk).context("can't read a pipe")?;
            self.closed = read == 0;
            self.pending.extend_from_slice(&chunk[..read]);
        }
    }

    /// The first line that fits; an error that quotes the others if none comes within `limit`.
    pub fn find(&mut self, what: &str, limit: Duration, fits: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = deadline(limit);
        let mut others = Vec::new();
        loop {
            match self.next(deadline)? {
                Line::Text(line) if fits(&line) => return Ok(line),
                Line::Text(line) => others.push(line),
                Line::End => bail!("{what} did not come before the end; instead:\n{}", others.join("\n")),
                Line::Late => bail!("{what} did not come within {limit:?}; instead:\n{}", others.join("\n")),
            }
        }
    }
}
