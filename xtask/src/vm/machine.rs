//! A machine that boots a kernel, does its work and powers off, emulated by qemu.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use netdrop_tests::expect::{Line, Lines};
use netdrop_tests::observer::die_with_parent;

use super::kernel::Kernel;
use crate::shell::{run, say};

/// How long a machine may take from power on to power off.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// What to boot.
pub(super) struct Machine<'a> {
    /// The kernel.
    pub(super) kernel: &'a Kernel,
    /// Its root file system.
    pub(super) initramfs: &'a Path,
    /// Where the kernel's console is written.
    pub(super) console: PathBuf,
    /// Where the guest's report is written.
    pub(super) report: PathBuf,
}

impl Machine<'_> {
    fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        // No KVM: in clouds it is absent or half there, and the tests have to mean the same everywhere.
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1G"]);
        qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        qemu.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(self.initramfs);
        qemu.args(["-append", "console=ttyS0 panic=-1 quiet"]);
        qemu
    }

    /// Boots it with a shell on this terminal, until the shell ends.
    pub(super) fn shell(&self) -> anyhow::Result<()> {
        run(self.command().args(["-serial", "mon:stdio"]))
    }

    /// Boots it and gives what it reported.
    pub(super) fn run(&self) -> anyhow::Result<String> {
        let mut qemu = self.command();
        qemu.arg("-serial").arg(format!("file:{}", self.console.display())).args(["-serial", "stdio"]);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        die_with_parent(&mut qemu);
        let mut child = Running(qemu.spawn().context("can't run qemu-system-x86_64")?);
        let pipe = child.0.stdout.take().context("qemu has no stdout")?;
        let reported = self.listen(Lines::new(pipe))?;
        let status = child.0.wait().context("can't wait for qemu")?;
        if !status.success() {
            bail!("qemu ended with {status}");
        }
        Ok(reported)
    }

    fn listen(&self, mut lines: Lines<std::process::ChildStdout>) -> anyhow::Result<String> {
        let mut file =
            File::create(&self.report).with_context(|| format!("can't make {}", self.report.display()))?;
        let deadline = Instant::now() + LIMIT;
        let mut reported = String::new();
        loop {
            match lines.next(deadline)? {
                Line::Text(line) => {
                    let line = line.trim_end_matches('\r');
                    writeln!(file, "{line}")?;
                    if line.starts_with("test ") && line.ends_with("FAILED") {
                        say("!!", format_args!("{}: {line}", self.kernel.series));
                    }
                    reported.push_str(line);
                    reported.push('\n');
                }
                Line::End => return Ok(reported),
                Line::Late => bail!(
                    "the machine is not done after {} minutes; {} and {} tell how far it came",
                    LIMIT.as_secs() / 60,
                    self.report.display(),
                    self.console.display()
                ),
            }
        }
    }

    /// The last that the kernel said.
    pub(super) fn last_words(&self) -> String {
        let bytes = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// A qemu of ours, ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
