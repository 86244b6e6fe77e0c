//! One agent a folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use rustix::fs::{FlockOperation, flock, major, minor};
use rustix::io::Errno;

/// Takes a folder, which is made if it is not there, for as long as the file is open. An error is one that a person must mend.
pub(crate) fn take(folder: &Path) -> anyhow::Result<File> {
    let shown = folder.display();
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {shown}; choose another --history-dir"))?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("lock"))
        .with_context(|| format!("cannot write to {shown}; choose another --history-dir"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => {
            let who = holder(&lock).map_or_else(String::new, |who| format!(" ({who})"));
            Err(anyhow!(
                "another netdrop agent{who} keeps its history in {shown}; end that one, or choose another --history-dir"
            ))
        }
        Err(e) => Err(io::Error::from(e)).with_context(|| {
            format!(
                "cannot lock {shown}, as a disk of this machine lets one do; choose another --history-dir"
            )
        }),
    }
}

/// Who has the lock, as far as the kernel tells: not of a process in another container.
fn holder(lock: &File) -> Option<String> {
    let about = lock.metadata().ok()?;
    let device = format!("{:02x}:{:02x}:{}", major(about.dev()), minor(about.dev()), about.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| pid_of(line, &device))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} {}", crate::sink::escape(name.trim())).trim_end().to_owned())
}

/// `1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`; one that waits has an arrow behind its number.
fn pid_of(line: &str, file: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let held = words.next() == Some("FLOCK");
    let mut words = words.skip(2);
    let pid = words.next()?.parse().ok().filter(|pid| *pid > 0)?;
    (held && words.next() == Some(file)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_for_one_who_is_named_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let _held = take(folder.path()).unwrap();
        let e = format!("{:#}", take(folder.path()).unwrap_err());
        let shown = folder.path().display();
        assert!(e.starts_with("another netdrop agent") && !e.contains("os error"), "{e}");
        assert!(
            e.ends_with(&format!(
                " keeps its history in {shown}; end that one, or choose another --history-dir"
            )),
            "{e}"
        );
        // Some file systems have a device of their own in /proc/locks.
        if e.contains('(') {
            assert!(e.contains(&format!("(process {} ", std::process::id())), "{e}");
        }
    }

    #[test]
    fn a_line_of_the_kernel_names_a_process() {
        let line = "12: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF";
        assert_eq!(pid_of(line, "fe:01:5678"), Some(1234));
        assert_eq!(pid_of(line, "fe:01:567"), None);
        assert_eq!(pid_of("12: -> FLOCK  ADVISORY  WRITE 9 fe:01:5678 0 EOF", "fe:01:5678"), None);
        assert_eq!(pid_of("12: FLOCK  ADVISORY  WRITE 0 fe:01:5678 0 EOF", "fe:01:5678"), None);
        assert_eq!(pid_of("", "fe:01:5678"), None);
    }
}
