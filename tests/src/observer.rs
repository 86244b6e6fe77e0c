//! A running `netdrop observe`: what it prints, line by line, and how it ends.

#![expect(unsafe_code, reason = "signals, now and at a parent's death, have no safe interface in std")]

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::expect::{self, Line, Lines};

/// How long it may take to attach: kernel BTF is read and programs are verified, on a machine that does other things too.
const ATTACH_LIMIT: Duration = Duration::from_mins(1);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_mins(1);

/// `netdrop observe`, capturing. It is killed when this value, or the thread that made it, goes away.
#[derive(Debug)]
pub struct Observer {
    child: Child,
    stdout: Lines<ChildStdout>,
    stderr: Lines<ChildStderr>,
    talk: String,
}

/// What is left when it has ended.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Lines of stdout that nobody had read.
    pub rest: Vec<String>,
    /// All of stderr.
    pub talk: String,
}

impl Observer {
    /// Starts the program at `binary` with `observe` and these arguments, and waits until it captures.
    pub fn start<S: AsRef<OsStr>>(binary: &Path, args: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::run(Command::new(binary).arg("observe").args(args))
    }

    /// Starts a command that ends up as `netdrop observe`, and waits until that captures.
    pub fn run(command: &mut Command) -> Result<Self> {
        Self::run_with(command, Stdio::null())
    }

    /// Like [`Self::run`], with a stdin.
    pub fn run_with(command: &mut Command, stdin: Stdio) -> Result<Self> {
        let mut observer = Self::spawn(command.stdin(stdin))?;
        observer.wait_until_capturing()?;
        Ok(observer)
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        die_with_parent(command);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't run {}", command.get_program().display()))?;
        let stdout = Lines::new(child.stdout.take().context("the child has no stdout")?);
        let stderr = Lines::new(child.stderr.take().context("the child has no stderr")?);
        Ok(Self { child, stdout, stderr, talk: String::new() })
    }

    fn wait_until_capturing(&mut self) -> Result<()> {
        let deadline = expect::deadline(ATTACH_LIMIT);
        loop {
            match self.stderr.next(deadline)? {
                Line::Text(line) => {
                    self.note(&line);
                    if line.contains("capturing") {
                        return Ok(());
                    }
                }
                Line::End => {
                    let status = self.child.wait().context("can't wait for netdrop")?;
                    bail!("netdrop ended ({status}) before it captured:\n{}", self.talk);
                }
                Line::Late => bail!("netdrop does not capture after {ATTACH_LIMIT:?}:\n{}", self.talk),
            }
        }
    }

    /// Waits until it says this on stderr.
    pub fn says(&mut self, what: &str) -> Result<()> {
        let deadline = expect::deadline(ATTACH_LIMIT);
        loop {
            match self.stderr.next(deadline)? {
                Line::Text(line) => {
                    self.note(&line);
                    if line.contains(what) {
                        return Ok(());
                    }
                }
                Line::End | Line::Late => bail!("netdrop did not say {what:?}:\n{}", self.talk),
            }
        }
    }

    fn note(&mut self, line: &str) {
        self.talk.push_str(line);
        self.talk.push('\n');
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far, as far as it was read.
    pub fn talk(&self) -> &str {
        &self.talk
    }

    /// The next line of stdout; `None`: none came before the deadline, or it ended.
    pub fn line(&mut self, deadline: Instant) -> Result<Option<String>> {
        Ok(match self.stdout.next(deadline)? {
            Line::Text(line) => Some(line),
            Line::End | Line::Late => None,
        })
    }

    /// The next flow of `-o json`; lines that are no flows (lost events, node status) are errors.
    pub fn flow(&mut self, deadline: Instant) -> Result<Option<Value>> {
        self.line(deadline)?.map(|line| flow(&line)).transpose()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: libc::c_int) -> Result<()> {
        let pid = libc::pid_t::try_from(self.child.id()).context("a process id is positive")?;
        // SAFETY: a system call without pointers; the child was not waited for, so the id is still its own.
        if unsafe { libc::kill(pid, signal) } < 0 {
            return Err(io::Error::last_os_error()).context("can't signal netdrop");
        }
        Ok(())
    }

    /// Interrupts it as Ctrl-C does, and reads what it still has to say.
    pub fn interrupt(self) -> Result<Ended> {
        self.end_by(libc::SIGINT)
    }

    /// The same by another signal.
    pub fn end_by(self, signal: libc::c_int) -> Result<Ended> {
        self.signal(signal)?;
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Result<Ended> {
        let deadline = expect::deadline(END_LIMIT);
        let mut rest = Vec::new();
        loop {
            match self.stdout.next(deadline)? {
                Line::Text(line) => rest.push(line),
                Line::End => break,
                Line::Late => bail!("netdrop did not end within {END_LIMIT:?}:\n{}", self.talk),
            }
        }
        while let Line::Text(line) = self.stderr.next(deadline)? {
            self.note(&line);
        }
        let status = self.child.wait().context("can't wait for netdrop")?;
        Ok(Ended { status, rest, talk: std::mem::take(&mut self.talk) })
    }
}

/// Starts a program as a shell does that leaves a signal to it, or as `nohup` does, which has it ignored.
pub fn hears(command: &mut Command, signal: libc::c_int, hears: bool) {
    let action = if hears { libc::SIG_DFL } else { libc::SIG_IGN };
    let set = move || {
        // SAFETY: a system call that takes no code of ours.
        match unsafe { libc::signal(signal, action) } {
            libc::SIG_ERR => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: a system call, which is allowed between fork and exec.
    unsafe { command.pre_exec(set) };
}

/// Has a program killed when the thread that started it is gone: also a killed test or demo leaves nothing behind.
pub fn die_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: a system call without pointers.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: a system call without pointers, which is allowed between fork and exec.
    unsafe { command.pre_exec(ask) };
}

impl Drop for Observer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The flow in a line of `-o json`.
pub fn flow(line: &str) -> Result<Value> {
    let mut value: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
    match value["flow"].take() {
        Value::Null => bail!("not a flow: {line}"),
        flow => Ok(flow),
    }
}
