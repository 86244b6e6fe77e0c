//! Where and of what a run was.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde::Serialize;

/// The facts without which figures mean nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// When it was measured.
    pub date: String,
    /// What was measured; with a `+` where files were changed after it.
    pub commit: String,
    /// `uname -r`.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// How many.
    pub cpus: usize,
    /// How many tasks wanted to run in the minute before: more than this run's own two mean noise.
    pub load: String,
}

impl Machine {
    /// This one; `root` is the workspace's.
    pub fn this(root: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        // Not those this process may run on: it has pinned itself by now.
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| {
            line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned())
        });
        Self {
            date: Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            commit: commit(root).unwrap_or_else(|| "unknown".to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            load: read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown").to_owned(),
        }
    }
}

fn commit(root: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let mark = if changed.is_empty() { "" } else { "+" };
    Some(format!("{}{mark}", git(&["rev-parse", "--short", "HEAD"])?))
}
