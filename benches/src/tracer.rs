//! A tracer of drops, as a child process: started, waited for until it captures, left alone, stopped, read.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use netdrop_tests::expect::{Line, Lines};
use rustix::process::{Pid, Signal, kill_process};

use crate::{child, cpu};

/// How long it may take to attach.
const ATTACH: Duration = Duration::from_secs(30);
/// How long it may take to end, with all that it still has to write.
const END: Duration = Duration::from_mins(1);
/// How long it may be busy after a flood.
const BUSY: Duration = Duration::from_mins(1);
/// Quiet is less CPU time than `QUIET_NS` in this time: a tenth, since others on the machine may drop packets all the time.
const LOOK: Duration = Duration::from_millis(200);
const QUIET_NS: u64 = 20_000_000;

/// Where its output goes.
#[derive(Clone, Debug)]
pub enum Out {
    /// Nowhere.
    Null,
    /// To a file.
    File(PathBuf),
    /// To whoever takes [`Tracer::stdout`].
    Pipe,
}

/// How to start it.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What tables call it.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its output.
    pub out: Out,
    /// What it says on stderr once it captures.
    pub ready: &'static str,
}

impl Spec {
    /// A tracer that says that it is "capturing", and writes nowhere.
    pub fn new(name: &'static str, program: &Path, args: &[&str]) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        Self { name, program: program.to_owned(), args, out: Out::Null, ready: "capturing" }
    }

    /// The same, with one more argument.
    pub fn with(mut self, arg: String) -> Self {
        self.args.push(arg);
        self
    }

    /// The same, with its output elsewhere.
    pub fn to(self, out: Out) -> Self {
        Self { out, ..self }
    }
}

/// A running one. It is killed when this value, or the thread that made it, goes away.
pub struct Tracer {
    child: Child,
    stderr: Lines<ChildStderr>,
    talk: String,
}

impl Tracer {
    /// Starts it on the calling thread's CPU and waits until it captures.
    pub fn start(spec: &Spec) -> Result<Self> {
        let mut command = Command::new(&spec.program);
        command.args(&spec.args).stdin(Stdio::null()).stderr(Stdio::piped());
        command.stdout(match &spec.out {
            Out::Null => Stdio::null(),
            Out::Pipe => Stdio::piped(),
            Out::File(path) => {
                File::create(path).with_context(|| format!("can't create {}", path.display()))?.into()
            }
        });
        child::dies_with_parent(&mut command);
        let mut child = command.spawn().with_context(|| format!("can't run {}", spec.program.display()))?;
        let stderr = Lines::new(child.stderr.take().context("the child has no stderr")?);
        let mut tracer = Self { child, stderr, talk: String::new() };
        tracer.wait_for(spec.ready).with_context(|| format!("{} does not start", spec.name))?;
        tracer.settle()?;
        Ok(tracer)
    }

    fn wait_for(&mut self, ready: &str) -> Result<()> {
        let deadline = Instant::now() + ATTACH;
        loop {
            match self.stderr.next(deadline)? {
                Line::Text(line) => {
                    self.note(&line);
                    if line.contains(ready) {
                        return Ok(());
                    }
                }
                Line::End => bail!("it ended:\n{}", self.talk),
                Line::Late => bail!("it does not say {ready:?} within {ATTACH:?}:\n{}", self.talk),
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

    /// CPU time it has taken so far, ns.
    pub fn cpu_ns(&self) -> Result<u64> {
        cpu::of_process(self.id())
    }

    /// Its output, if that is a pipe; `None` the second time.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until it has nothing to do.
    pub fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + BUSY;
        let mut before = self.cpu_ns()?;
        loop {
            thread::sleep(LOOK);
            let now = self.cpu_ns()?;
            if now.saturating_sub(before) < QUIET_NS {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "still busy after {BUSY:?}: something else on this machine drops many packets; measure when it is quiet"
                );
            }
            before = now;
        }
    }

    /// Interrupts it; gives all that it has said.
    pub fn stop(mut self) -> Result<String> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        // The child was not waited for, so the id is still its own.
        kill_process(pid, Signal::INT).context("can't interrupt a tracer")?;
        let deadline = Instant::now() + END;
        loop {
            match self.stderr.next(deadline)? {
                Line::Text(line) => self.note(&line),
                Line::End => break,
                Line::Late => bail!("it does not end within {END:?}:\n{}", self.talk),
            }
        }
        let status = self.child.wait().context("can't wait for a tracer")?;
        // perf ends itself by the signal it was sent.
        if !status.success() && status.signal() != Some(libc::SIGINT) {
            bail!("it ended with {status}:\n{}", self.talk);
        }
        Ok(std::mem::take(&mut self.talk))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It may have ended already.
        let _: io::Result<()> = self.child.kill();
        let _ = self.child.wait();
    }
}
