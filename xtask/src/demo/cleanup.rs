//! Leaving nothing behind, however the demo ends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs, process, thread};

use anyhow::{Context as _, Result};
use netdrop_tests::netns::{self, Netns};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Names of the demo's namespaces begin so; then come the process id and the node's or pod's name.
const PREFIX: &str = "netdrop-demo-";

/// What has to go: named namespaces, child processes, the names file. Errors and panics unwind; a signal does not, so a
/// thread waits for one.
#[derive(Debug)]
pub(super) struct Cleanup {
    children: Arc<Mutex<Vec<u32>>>,
    names_file: PathBuf,
}

impl Cleanup {
    /// From now on, Ctrl-C, SIGTERM and SIGHUP clean up before they end the demo.
    pub(super) fn new() -> Result<Self> {
        let children = Arc::new(Mutex::new(Vec::new()));
        let names_file = env::temp_dir().join(format!("{PREFIX}{}-names", process::id()));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("can't listen for signals")?;
        let (doomed, file) = (Arc::clone(&children), names_file.clone());
        thread::spawn(move || {
            for signal in signals.forever() {
                end_children(&doomed);
                remove_own(&file);
                // Ends the process as the signal would have.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
        Ok(Self { children, names_file })
    }

    /// Where the names file may be written.
    pub(super) fn names_file(&self) -> &Path {
        &self.names_file
    }

    /// A child process to end.
    pub(super) fn child(&self, id: u32) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        remove_own(&self.names_file);
    }
}

/// A namespace that is removed at the end.
pub(super) fn netns(name: &str) -> Result<Netns> {
    Netns::named(&format!("{}{name}", own_prefix()))
}

/// Removes what killed demos left: namespaces and names files whose process is gone. Gives how many namespaces.
pub(super) fn remove_leftovers() -> Result<usize> {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_left_behind) {
            // Somebody else may have been quicker.
            let _ = fs::remove_file(entry.path());
        }
    }
    netns::remove(is_left_behind).map(|removed| removed.len())
}

/// Whether it has a name that the demo gives, and the demo's process is gone.
fn is_left_behind(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    // A zombie has a directory in /proc, but no program.
    owner.is_some_and(|pid| fs::read_link(Path::new("/proc").join(pid).join("exe")).is_err())
}

fn own_prefix() -> String {
    format!("{PREFIX}{}-", process::id())
}

/// The demo ends either way, so errors are of no interest.
fn remove_own(names_file: &Path) {
    let prefix = own_prefix();
    let _ = netns::remove(|name| name.starts_with(&prefix));
    let _ = fs::remove_file(names_file);
}

#[expect(unsafe_code, reason = "sending a signal has no safe interface in std")]
fn end_children(children: &Mutex<Vec<u32>>) {
    for id in children.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        if let Ok(pid) = libc::pid_t::try_from(id) {
            // SAFETY: a system call without pointers; nobody has waited for the child, so the id is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}
