//! Network namespaces of one's own.

#![expect(unsafe_code, reason = "unshare, setns, mount and umount have no safe interface in std")]

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::panic;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::command;

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// The calling thread's namespace. (`/proc/self` is the whole process's: its first thread's.)
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace that goes away with this value.
///
/// An anonymous one is held by a file descriptor only: nothing is left of it, however the process ends. A named one shows
/// in `ip netns list`.
#[derive(Debug)]
pub struct Netns {
    file: File,
    inode: u32,
    mounted: Option<PathBuf>,
    label: String,
}

impl Netns {
    /// A new namespace without a name; `label` is for messages. Its loopback is up.
    pub fn anonymous(label: &str) -> Result<Self> {
        Self::create(label.to_owned(), None)
    }

    /// A new namespace that `ip netns` knows as `prefix-PID-COUNTER`.
    pub fn unique(prefix: &str) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("{prefix}-{}-{n}", process::id()))
    }

    /// A new namespace that `ip netns` knows as `name`. Its loopback is up.
    pub fn named(name: &str) -> Result<Self> {
        fs::create_dir_all(NAMES).with_context(|| format!("can't make {NAMES}"))?;
        let path = Path::new(NAMES).join(name);
        if path.exists() {
            bail!("network namespace {name} exists already; `ip netns delete {name}` removes it");
        }
        Self::create(name.to_owned(), Some(path))
    }

    fn create(label: String, mount: Option<PathBuf>) -> Result<Self> {
        // The thread ends with the closure; the open file (or the mount) keeps the namespace.
        let made = thread::scope(|scope| {
            scope
                .spawn(|| -> Result<File> {
                    // SAFETY: a system call without pointers; it changes this new thread only.
                    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
                        .context("can't make a network namespace (are you root?)")?;
                    prepare()?;
                    if let Some(path) = &mount {
                        bind(path)
                            .with_context(|| format!("can't name a namespace by {}", path.display()))?;
                    }
                    File::open(OWN).with_context(|| format!("can't open {OWN}"))
                })
                .join()
        });
        let file = made.unwrap_or_else(|payload| panic::resume_unwind(payload))?;
        let inode = file.metadata().context("can't read the namespace's inode")?.ino();
        let inode = u32::try_from(inode).context("a namespace's inode has 32 bits")?;
        Ok(Self { file, inode, mounted: mount, label })
    }

    /// Its name, or its label if it is anonymous.
    pub fn name(&self) -> &str {
        &self.label
    }

    /// The inode that tells it from all others, as `readlink /proc/PID/ns/net` shows it.
    pub fn inode(&self) -> u32 {
        self.inode
    }

    /// A path that `ip link set ... netns PATH` takes; good while this process lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd())
    }

    /// Runs a closure in this namespace, on a thread of its own; child processes that it starts are in it too.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let result = thread::scope(|scope| {
            let enter_and_run = || {
                enter(self.file.as_fd()).with_context(|| format!("can't enter namespace {}", self.label))?;
                f()
            };
            scope.spawn(enter_and_run).join()
        });
        result
            .unwrap_or_else(|payload| panic::resume_unwind(payload))
            .with_context(|| format!("in namespace {}", self.label))
    }

    /// Runs a program in this namespace.
    pub fn command(&self, program: &str, args: &[&str]) -> Result<String> {
        self.run(|| command::run(program, args))
    }

    /// Runs `ip -batch` on lines of commands, each without the leading `ip`.
    pub fn ip(&self, batch: &str) -> Result<()> {
        self.run(|| command::feed("ip", &["-batch", "-"], batch)).map(drop)
    }

    /// Sets values under `/proc/sys`, given as `net.ipv4.ip_forward`; `/` stands for a dot inside of a device's name.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            for (key, value) in settings {
                let path = sysctl_path(key);
                fs::write(&path, value).with_context(|| format!("can't write {value} to {path}"))?;
            }
            Ok(())
        })
    }

    /// Reads a value under `/proc/sys`.
    pub fn sysctl_value(&self, key: &str) -> Result<String> {
        let path = sysctl_path(key);
        self.run(|| fs::read_to_string(&path).with_context(|| format!("can't read {path}")))
            .map(|text| text.trim().to_owned())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Some(path) = &self.mounted {
            unmount(path);
        }
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Moves the calling thread into a namespace. Only that thread: the rest of the process stays where it is.
pub fn enter(netns: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: a valid file descriptor and a flag; the call changes the calling thread only.
    check(unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// Removes the named namespaces that `left_behind` says a killed run left. Gives their names.
pub fn remove(left_behind: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let entries = match fs::read_dir(NAMES) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("can't read {NAMES}")),
    };
    let mut removed = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("can't read {NAMES}"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if left_behind(&name) {
            unmount(&entry.path());
            removed.push(name);
        }
    }
    removed.sort();
    Ok(removed)
}

/// Brings the loopback up and keeps new devices from making themselves link-local addresses, so that nothing is sent unasked.
fn prepare() -> Result<()> {
    let path = sysctl_path("net.ipv6.conf.default.addr_gen_mode");
    // IN6_ADDR_GEN_MODE_NONE (include/uapi/linux/if_link.h, since 3.17).
    fs::write(&path, "1").with_context(|| format!("can't write {path} (is IPv6 switched off?)"))?;
    command::run("ip", &["link", "set", "lo", "up"]).map(drop)
}

fn sysctl_path(key: &str) -> String {
    let path: String = key
        .chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect();
    format!("/proc/sys/{path}")
}

fn bind(path: &Path) -> io::Result<()> {
    File::create_new(path)?;
    let target = CString::new(path.as_os_str().as_encoded_bytes())?;
    let source = CString::new(OWN)?;
    // SAFETY: two C strings that live until the call returns; no file system type and no options.
    let made = check(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null())
    });
    if made.is_err() {
        let _ = fs::remove_file(path);
    }
    made
}

/// What is gone already needs no removal, so errors are of no interest.
fn unmount(path: &Path) {
    if let Ok(target) = CString::new(path.as_os_str().as_encoded_bytes()) {
        // SAFETY: a C string that lives until the call returns.
        unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    }
    let _ = fs::remove_file(path);
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctl_keys_become_paths() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(sysctl_path("net.ipv4.conf.vx/1.rp_filter"), "/proc/sys/net/ipv4/conf/vx.1/rp_filter");
    }
}
