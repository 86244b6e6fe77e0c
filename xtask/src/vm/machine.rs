//! A machine that boots a kernel, does its work and powers off, emulated by qemu.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use netdrop_tests::expect::Lines;
use netdrop_tests::observer::die_with_parent;

use super::kernel::Kernel;
use super::listen;
use crate::shell::run;

/// How long a machine may take from power on to power off.
const LIMIT: Duration = Duration::from_mins(30);

/// What to boot.
pub(super) struct Machine<'a> {
    /// The kernel.
    pub(super) kernel: &'a Kernel,
    /// Its root file system.
    pub(super) initramfs: &'a Path,
    /// Where the kernel's console is written.
    pub(super) console: PathBuf,
}

impl Machine<'_> {
    fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        // No KVM: in clouds it is absent or half there, and the tests have to mean the same everywhere.
        // One thread for both processors: with one each, qemu 7.2 runs a breakpoint that the kernel took out of its own code a moment
        // ago on the other, as it does when a tracepoint gets its first reader. The guest then panics, once in some runs.
        qemu.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "3G"]);
        qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        qemu.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(self.initramfs);
        qemu.args(["-append", "console=ttyS0 panic=-1 quiet"]);
        qemu
    }

    /// Boots it with a shell on this terminal, until the shell ends.
    pub(super) fn shell(&self) -> anyhow::Result<()> {
        run(self.command().args(["-serial", "mon:stdio"]))
    }

    /// Boots it and gives what it reported, which is kept in a file too.
    pub(super) fn run(&self, keep: &Path) -> anyhow::Result<String> {
        let mut qemu = self.command();
        qemu.arg("-serial").arg(format!("file:{}", self.console.display())).args(["-serial", "stdio"]);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        die_with_parent(&mut qemu);
        let mut child = Running(qemu.spawn().context("can't run qemu-system-x86_64")?);
        let pipe = child.0.stdout.take().context("qemu has no stdout")?;
        let heard = listen::to(Lines::new(pipe), &self.kernel.series, LIMIT, keep)?;
        let status = child.0.wait().context("can't wait for qemu")?;
        ensure!(status.success(), "qemu ended with {status}");
        Ok(heard)
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
