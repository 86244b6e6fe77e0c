//! Sizes that can't be, and a machine that has no room for those that could.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{self, Command, Output};
use std::time::{Duration, Instant};

use netdrop_tests::expect;

use crate::harness::binary;

/// Runs `observe` for a second with more flags; it has to end by itself.
pub(crate) fn observe(flags: &[&str]) -> (Output, String) {
    run(Command::new(binary()).args(["observe", "--server=none", "--duration=1s"]).args(flags))
}

fn run(command: &mut Command) -> (Output, String) {
    let start = Instant::now();
    let output = command.output().expect("netdrop runs");
    let most = Duration::from_secs(30) * expect::patience();
    assert!(start.elapsed() < most, "it took {:?}", start.elapsed());
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!talk.contains("panicked"), "{talk}");
    (output, talk)
}

/// One line that names the thing, and exit code 1.
fn refused(flags: &[&str], parts: &[&str]) {
    let (output, talk) = observe(flags);
    assert_eq!(output.status.code(), Some(1), "{flags:?}: {talk}");
    assert_eq!(talk.lines().count(), 1, "{flags:?}: {talk}");
    for part in parts {
        assert!(talk.contains(part), "{flags:?}: {part:?} is not in {talk}");
    }
}

#[test]
fn ring_sizes_that_no_kernel_makes() {
    refused(&["--ring-size=1000000"], &["ring buffer of 1000000 bytes", "power of two", "8Mi"]);
    refused(&["--ring-size=4096"], &["ring buffer of 4096 bytes", "64Ki"]);
    refused(&["--ring-size=0"], &["ring buffer of 0 bytes"]);
    refused(&["--ring-size=4Gi"], &["ring buffer of 4294967296 bytes", "2Gi"]);
}

#[test]
fn flow_maps_that_no_kernel_makes() {
    refused(&["--flow-map-size=1"], &["flow map of 1 entries", "64 to"]);
    refused(&["--flow-map-size=99999999999"], &["flow map of 99999999999 entries"]);
}

#[test]
fn budgets_that_hold_nothing() {
    refused(&["--memory-budget=64Ki"], &["memory budget of 65536 bytes is too small", "--memory-budget"]);
    refused(
        &["--memory-budget=16Mi", "--ring-size=64Mi"],
        &["16777216 bytes is too small", "need 6", "--memory-budget"],
    );
}

#[test]
fn what_is_no_size_is_told_by_the_flag() {
    for flags in [["--ring-size=8MiB"], ["--ring-size=-1"], ["--memory-budget=lots"], ["--flow-map-size=1.5"]]
    {
        let (output, talk) = observe(&flags);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {talk}");
        assert!(talk.contains(flags[0].split('=').next().expect("a flag")), "{talk}");
    }
}

/// A cgroup with a limit of memory, of version 2 or 1; goes away with this value.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None`: this machine has no memory controller to make one in.
    fn new(name: &str, limit: u64) -> Option<Self> {
        let name = format!("netdrop-{name}-{}", process::id());
        for (top, file) in
            [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
        {
            // In version 2 the controller has to be handed down; where it is already, nothing changes.
            let _ = fs::write(format!("{top}/cgroup.subtree_control"), "+memory");
            let group = Self(PathBuf::from(top).join(&name));
            // The file is the kernel's, or this is no cgroup's folder.
            let made = fs::create_dir(&group.0).is_ok() && group.0.join(file).is_file();
            if made && fs::write(group.0.join(file), limit.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }

    /// netdrop in it.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0).arg(binary());
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A limit that netdrop itself lives in, but not the buffers asked for.
#[test]
fn a_cgroup_without_room() {
    let Some(group) = Cgroup::new("limit", 192 * 1024 * 1024) else {
        eprintln!("SKIPPED a_cgroup_without_room: no cgroup with a memory controller can be made here");
        return;
    };
    let (output, talk) =
        run(group.command().args(["observe", "--server=none", "--duration=1s", "--ring-size=512Mi"]));
    assert_ne!(output.status.signal(), Some(9), "the kernel killed netdrop for want of memory: {talk}");
    assert_eq!(output.status.code(), Some(1), "{talk}");
    for part in
        ["no memory for buffers", "ring buffer 536870912", "--memory-budget", "memory limit of this cgroup"]
    {
        assert!(talk.contains(part), "{part:?} is not in {talk}");
    }
    // With what it says there is room.
    let (output, talk) =
        run(group.command().args(["observe", "--server=none", "--duration=1s", "--memory-budget=16Mi"]));
    assert!(output.status.success(), "{talk}");
}
