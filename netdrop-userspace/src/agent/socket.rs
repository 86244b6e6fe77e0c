//! The server's unix socket: found, taken over from the dead, given to a group, removed.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::net::{UnixListener, UnixSocket};

use crate::connect::check_path;

/// Where an agent listens, and where `observe` looks for one.
pub const DEFAULT_SOCKET: &str = "/run/netdrop/netdrop.sock";
/// Owner and group read and write; nobody else.
const MODE: u32 = 0o660;
/// Connections that the kernel holds until they are accepted.
pub(super) const BACKLOG: u32 = 256;
/// Names and numbers of groups.
const GROUPS: &str = "/etc/group";

/// The socket's file; dropping it removes it. What a killed agent leaves, the next start clears away.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Listens, after clearing away what a killed agent left. Who may connect is settled before anybody can.
pub(super) fn bind(path: &Path, group: Option<u32>) -> anyhow::Result<(UnixListener, SocketFile)> {
    let shown = path.display();
    check_path(path).context("choose a shorter --socket-path")?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot create the folder of the socket {shown}; choose another --socket-path")
        })?;
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another netdrop agent serves {shown}; stop it or choose another --socket-path"),
        // A plain file refuses connections as well.
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => {
            fs::remove_file(path)
                .with_context(|| format!("cannot remove the socket {shown} of a dead agent"))?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => {
            return Err(e).with_context(|| {
                format!("{shown} is in the way of the socket; remove it or choose another --socket-path")
            });
        }
    }
    let cannot = || format!("cannot listen on {shown}; choose another --socket-path");
    let socket = UnixSocket::new_stream().with_context(cannot)?;
    socket.bind(path).with_context(cannot)?;
    let file = SocketFile(path.to_owned());
    if group.is_some() {
        std::os::unix::fs::chown(path, None, group)
            .with_context(|| format!("cannot give {shown} to the group of --socket-group; run as root"))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
        .with_context(|| format!("cannot set the mode of {shown}"))?;
    Ok((socket.listen(BACKLOG).with_context(cannot)?, file))
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
}

/// The number of a group.
pub(super) fn group(name: &str) -> anyhow::Result<u32> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let groups = fs::read_to_string(GROUPS)
        .with_context(|| format!("cannot read {GROUPS}; give --socket-group a number"))?;
    group_in(&groups, name).with_context(|| {
        format!(
            "there is no group {name:?} in {GROUPS}; add it (groupadd), or give --socket-group its number"
        )
    })
}

fn group_in(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_name_or_a_number() {
        let text = "root:x:0:\nadm:x:4:a,b\nbroken\n:::\n";
        assert_eq!(group_in(text, "adm"), Some(4));
        assert_eq!(group_in(text, "ad"), None);
        assert_eq!(group_in(text, "broken"), None);
        assert_eq!(group("17").unwrap(), 17);
        assert_eq!(group("root").unwrap(), 0);
        let e = group("no-such-group").unwrap_err().to_string();
        assert!(e.contains("no-such-group") && e.contains("--socket-group"), "{e}");
    }

    #[test]
    fn a_dead_agents_socket_is_taken_over_and_a_living_ones_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = bind(&path, Some(4)).unwrap();
        let data = fs::metadata(&path).unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o660);
        assert_eq!(std::os::unix::fs::MetadataExt::gid(&data), 4);
        let e = bind(&path, None).unwrap_err().to_string();
        assert!(e.contains("another netdrop agent") && e.contains("--socket-path"), "{e}");
        drop(listener);
        assert!(!path.exists(), "the socket is removed at the end");
        let e = bind(Path::new("/proc/x/y.sock"), None).unwrap_err().to_string();
        assert!(e.contains("/proc/x/y.sock") && e.contains("--socket-path"), "{e}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let e = bind(&file, None).unwrap_err().to_string();
        assert!(e.contains("in the way"), "{e}");
        assert!(file.exists());
    }
}
