//! Children that don't outlive this process.

#![expect(unsafe_code, reason = "what a child does before it runs its program has no safe interface in std")]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// Has a child killed when the thread that starts it is gone, however that ends.
pub fn dies_with_parent(command: &mut Command) {
    let ask = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: one system call without pointers, which is allowed between fork and exec.
    unsafe { command.pre_exec(ask) };
}
