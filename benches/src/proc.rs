//! What procfs tells of a process: its memory, and what its BPF programs took.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};

/// Resident memory of a process, KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most it ever was.
    pub peak: u64,
}

/// Reads `/proc/PID/status`.
pub fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    let field = |name| value(&text, name).with_context(|| format!("{path} has no {name}"));
    Ok(Memory { now: field("VmRSS:")?, peak: field("VmHWM:")? })
}

/// What the kernel measured of BPF programs while its statistics were on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BpfTime {
    /// In all, ns.
    pub ns: u64,
    /// Runs.
    pub runs: u64,
}

impl BpfTime {
    /// What came after `before`.
    pub fn since(self, before: Self) -> Self {
        Self { ns: self.ns.saturating_sub(before.ns), runs: self.runs.saturating_sub(before.runs) }
    }

    /// For one run, ns; `None` where there was none.
    pub fn per_run(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        (self.runs > 0).then(|| self.ns as f64 / self.runs as f64)
    }
}

/// The program, of those that a process holds, that ran most: `/proc/PID/fdinfo` tells of each.
pub fn bpf_time(pid: u32) -> Result<BpfTime> {
    let path = format!("/proc/{pid}/fdinfo");
    let mut programs = BTreeMap::new();
    for entry in fs::read_dir(&path).with_context(|| format!("can't read {path}"))? {
        // A file may be closed in between.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let fields = (value(&text, "prog_id:"), value(&text, "run_time_ns:"), value(&text, "run_cnt:"));
        if let (Some(id), Some(ns), Some(runs)) = fields {
            programs.insert(id, BpfTime { ns, runs });
        }
    }
    Ok(programs.into_values().max_by_key(|program| program.runs).unwrap_or_default())
}

fn value(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_no_programs() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.now > 100 && memory.peak >= memory.now, "{memory:?}");
        assert_eq!(bpf_time(std::process::id()).unwrap(), BpfTime::default());
    }

    #[test]
    fn a_program_is_read_from_its_fdinfo() {
        let text = "pos:\t0\nprog_type:\t26\nprog_id:\t57\nrun_time_ns:\t1200\nrun_cnt:\t10\n";
        assert_eq!((value(text, "prog_id:"), value(text, "run_cnt:")), (Some(57), Some(10)));
        assert_eq!(BpfTime { ns: 1200, runs: 10 }.per_run(), Some(120.0));
    }
}
