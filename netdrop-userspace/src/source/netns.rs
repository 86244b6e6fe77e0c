//! Names of network namespaces: those that `ip netns` and container runtimes keep in /run/netns.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::Netns;

/// The folder is read again for an unknown inode, but not more often than this.
const REFRESH: Duration = Duration::from_secs(1);

/// Inode to name.
pub(super) struct NetnsNames {
    folder: PathBuf,
    names: HashMap<u32, Arc<str>>,
    own: Option<u32>,
    host: Arc<str>,
    read_at: Option<Instant>,
}

impl NetnsNames {
    /// The names in `/run/netns`; this process's own namespace is `host`, unless it has a name there.
    pub(super) fn new() -> Self {
        Self {
            folder: "/run/netns".into(),
            names: HashMap::new(),
            own: own_inode(),
            host: "host".into(),
            read_at: None,
        }
    }

    /// The namespace of an inode, named if it has a name.
    pub(super) fn get(&mut self, inode: u32) -> Netns {
        if !self.names.contains_key(&inode) && self.read_at.is_none_or(|at| at.elapsed() > REFRESH) {
            self.read();
        }
        let name = self
            .names
            .get(&inode)
            .cloned()
            .or_else(|| (self.own == Some(inode)).then(|| Arc::clone(&self.host)));
        Netns { inode, name }
    }

    fn read(&mut self) {
        self.read_at = Some(Instant::now());
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        self.names = entries
            .flatten()
            .filter_map(|e| {
                let inode = u32::try_from(std::fs::metadata(e.path()).ok()?.ino()).ok()?;
                Some((inode, e.file_name().to_str()?.into()))
            })
            .collect();
    }
}

/// Inode of the calling process's network namespace.
pub(super) fn own_inode() -> Option<u32> {
    u32::try_from(std::fs::metadata("/proc/self/ns/net").ok()?.ino()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_folder_names_its_inode() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("blue");
        std::fs::write(&file, "").unwrap();
        let inode = u32::try_from(std::fs::metadata(&file).unwrap().ino()).unwrap();
        let mut n = NetnsNames {
            folder: dir.path().into(),
            names: HashMap::new(),
            own: Some(7),
            host: "host".into(),
            read_at: None,
        };
        assert_eq!(n.get(inode).name.as_deref(), Some("blue"));
        assert_eq!(n.get(7).name.as_deref(), Some("host"));
        assert_eq!(n.get(8).name, None);
    }
}
