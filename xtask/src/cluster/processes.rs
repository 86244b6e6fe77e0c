//! Background processes: started with a log and an id on file, ended by that id.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::STATE;
use crate::shell::works;

/// Starts a command that outlives this process.
pub fn start(name: &str, mut command: Command) -> anyhow::Result<()> {
    let log = File::options().create(true).append(true).open(format!("{STATE}/log/{name}"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    fs::write(format!("{STATE}/pid/{name}"), child.id().to_string())?;
    Ok(())
}

/// Ends the process whose id stands in a file.
pub fn kill(file: &Path) {
    if let Ok(pid) = fs::read_to_string(file) {
        kill_id(pid.trim());
        drop(fs::remove_file(file));
    }
}

fn kill_id(pid: &str) {
    if works(Command::new("kill").args(["-9", pid])) {
        // Gone, or a zombie that its parent has not seen yet.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while std::time::Instant::now() < end && alive(pid) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

/// Ends all processes whose ids are on file.
pub fn kill_all(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        kill(&entry.path());
    }
}

/// Ends the containers' shims of our containerds: known by the socket of ours on their command line.
pub fn kill_shims(state: &str) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if pid.bytes().all(|b| b.is_ascii_digit()) && line.contains("containerd-shim") && line.contains(state)
        {
            kill_id(&pid);
        }
    }
}

/// Unmounts everything below a folder, the deepest first.
pub fn unmount_below(folder: &str) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut points: Vec<&str> =
        mounts.lines().filter_map(|l| l.split(' ').nth(1)).filter(|p| p.starts_with(folder)).collect();
    points.sort_unstable();
    for point in points.into_iter().rev() {
        works(Command::new("umount").args(["-l", point]));
    }
}
