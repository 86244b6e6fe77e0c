//! The server's unix socket: found, taken over from the dead, removed.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, bail};
use tokio::net::UnixListener;

/// Where an agent listens, and where `observe` looks for one.
pub const DEFAULT_SOCKET: &str = "/run/netdrop/netdrop.sock";

/// Listens, after clearing away what a killed agent left.
pub(super) fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let shown = path.display();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder of the socket {shown}"))?;
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another netdrop agent serves {shown}; stop it or choose another --socket-path"),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path)
                .with_context(|| format!("cannot remove the socket {shown} of a dead agent"))?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("{shown} is in the way of the socket")),
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {shown}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))
        .with_context(|| format!("cannot set the mode of {shown}"))?;
    Ok(listener)
}

/// Removes the socket at the end; the next start clears away what stays.
pub(super) fn remove(path: &Path) {
    drop(fs::remove_file(path));
}
