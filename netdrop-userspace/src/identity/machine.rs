//! A machine of files, for tests: processes, cgroups and kubelet's folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// Of the one pod. Paths have `UID` in its place.
pub(super) const UID: &str = "0b7c8a9e-1f2d-4c3b-9a8e-7d6c5b4a3f2e";

pub(super) struct Machine(tempfile::TempDir);

impl Machine {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder of it, which is made.
    pub(super) fn folder(&self, path: &str) -> PathBuf {
        let folder = self.0.path().join(path.replace("UID", UID));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A process in a namespace and a cgroup of version 2.
    pub(super) fn start(&self, pid: u32, inode: u32, cgroup: &str) {
        let process = self.folder(&format!("proc/{pid}"));
        fs::create_dir_all(process.join("ns")).unwrap();
        symlink(format!("net:[{inode}]"), process.join("ns/net")).unwrap();
        fs::write(process.join("cgroup"), format!("0::{}\n", cgroup.replace("UID", UID))).unwrap();
    }

    pub(super) fn end(&self, pid: u32) {
        fs::remove_dir_all(self.folder(&format!("proc/{pid}"))).unwrap();
    }
}
