//! Where cgroups lie: from their id, as sockets have it, to the path.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::home::Home;

/// An unknown id makes the hierarchy be read again, but not more often than this.
const REFRESH: Duration = Duration::from_secs(1);
/// Nor for more than one part in so many of the time.
const SHARE: u32 = 50;
/// What is gone is remembered for at least this long: its packets may still die.
const TOMBSTONE: Duration = Duration::from_mins(1);
/// Most cgroups that are remembered.
const MOST: usize = 65_536;
/// Folders within each other that are followed.
const DEEP: usize = 32;

/// What is known of one.
#[derive(Clone, Debug)]
struct Known {
    home: Arc<Home>,
    /// When it was last there.
    seen: Instant,
}

/// The cgroups of a version 2 hierarchy, by id: the inode of a cgroup's folder (kernfs, Linux 5.5).
#[derive(Debug)]
pub struct Cgroups {
    mount: Option<PathBuf>,
    known: HashMap<u64, Known>,
    /// When it may be read again.
    due: Option<Instant>,
}

impl Cgroups {
    /// Those of this machine; without a mounted hierarchy of version 2 nothing is known.
    pub fn of_machine() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self::at(mount_point(&mounts))
    }

    pub(super) fn at(mount: Option<PathBuf>) -> Self {
        Self { mount, known: HashMap::new(), due: None }
    }

    /// Whether ids lead anywhere.
    pub fn are_known(&self) -> bool {
        self.mount.is_some()
    }

    /// What the cgroup of this id belongs to, also for a while after it is gone. `None`: nobody knows.
    pub fn home(&mut self, id: u64) -> Option<Arc<Home>> {
        self.home_at(id, Instant::now())
    }

    fn home_at(&mut self, id: u64, now: Instant) -> Option<Arc<Home>> {
        let is_due = self.due.is_none_or(|due| now >= due);
        if is_due && !self.known.contains_key(&id) {
            let begin = Instant::now();
            self.read(now);
            self.due = Some(now + REFRESH.max(begin.elapsed() * SHARE));
        }
        // No id is given twice, so what is known of one stays true.
        Some(Arc::clone(&self.known.get(&id)?.home))
    }

    fn read(&mut self, now: Instant) {
        let Some(mount) = self.mount.clone() else { return };
        self.known.retain(|_, known| now.duration_since(known.seen) <= TOMBSTONE);
        // What can't be read is not known; what else there is, is.
        drop(self.walk(&mount, &mut String::new(), DEEP, now));
    }

    fn walk(&mut self, folder: &Path, path: &mut String, deep: usize, now: Instant) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() || self.known.len() >= MOST || deep == 0 {
                continue;
            }
            let before = path.len();
            path.push('/');
            path.push_str(&entry.file_name().to_string_lossy());
            let known = self.known.entry(entry.ino());
            let home = known.or_insert_with(|| Known { home: Arc::new(Home::of_path(path)), seen: now });
            home.seen = now;
            // One that goes while it is read has nothing in it.
            drop(self.walk(&entry.path(), path, deep - 1, now));
            path.truncate(before);
        }
        Ok(())
    }
}

/// Where version 2 is mounted, of lines as in `/proc/self/mounts`: the whole of it, where there is also a container's part.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    let points = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (point, kind) = (words.nth(1)?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(unescaped(point)))
    });
    // Of a whole hierarchy the first folder is the first inode.
    let number = |point: &PathBuf| fs::metadata(point).map_or(u64::MAX, |of| of.ino());
    points.min_by_key(number)
}

/// Blanks and backslashes stand as `\040` (proc_pid_mounts(5)).
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b7c8a9e-1f2d-4c3b-9a8e-7d6c5b4a3f2e";

    fn inode(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn a_cgroup_is_known_by_its_id_and_remembered_when_it_is_gone() {
        let mount = tempfile::tempdir().unwrap();
        let pod = mount.path().join(format!("kubepods/burstable/pod{UID}"));
        fs::create_dir_all(&pod).unwrap();
        let mut cgroups = Cgroups::at(Some(mount.path().to_owned()));
        let begin = Instant::now();
        let id = inode(&pod);
        let home = cgroups.home_at(id, begin).unwrap();
        assert_eq!(home.pod.as_ref().map(|pod| &*pod.uid), Some(UID));

        // Made before the other is gone: here, unlike in a hierarchy of cgroups, inodes are used again.
        let (elsewhere, service) = (tempfile::tempdir().unwrap(), mount.path().join("ssh.service"));
        fs::create_dir(elsewhere.path().join("made")).unwrap();
        fs::remove_dir(&pod).unwrap();
        fs::rename(elsewhere.path().join("made"), &service).unwrap();
        // Not looked for again at once.
        assert_eq!(cgroups.home_at(inode(&service), begin), None);
        // Late enough also where reading took its time.
        let later = begin + TOMBSTONE / 2;
        assert_eq!(cgroups.home_at(inode(&service), later).unwrap().unit.as_deref(), Some("ssh.service"));
        assert_eq!(cgroups.home_at(id, later), Some(Arc::clone(&home)), "gone, and not forgotten");
        assert_eq!(cgroups.home_at(u64::MAX, later + TOMBSTONE), None);
        assert_eq!(cgroups.home_at(id, later + TOMBSTONE), None);
        assert!(cgroups.home_at(inode(&service), later + TOMBSTONE).is_some(), "still there");
    }

    #[test]
    fn without_a_hierarchy_nothing_is_known() {
        let mut cgroups = Cgroups::at(None);
        assert!(!cgroups.are_known());
        assert_eq!(cgroups.home(1), None);
    }

    #[test]
    fn where_version_2_is_mounted() {
        let mounts = "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
            cgroup2 /a\\040b\\134c cgroup2 rw,nsdelegate 0 0\n";
        assert_eq!(mount_point(mounts), Some("/a b\\c".into()));
        assert_eq!(mount_point("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n"), None);
        assert_eq!(mount_point("x"), None);
    }
}
