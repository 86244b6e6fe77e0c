//! CPU time, by the scheduler's own clock, and who runs where.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Where the flood runs, and with it the kernel's whole way from sending to the drop.
pub const FLOOD: usize = 0;
/// Where tracers and this runner run.
pub const TRACER: usize = 1;

/// Keeps the calling thread, and whatever it starts, on one CPU.
pub fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("can't run on CPU {cpu}: two are needed"))
}

/// Nanoseconds of a clock.
pub fn now(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    // None of the clocks used here is before 1970.
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// CPU time that all threads of a process have taken so far, ns (`/proc/PID/task/TID/schedstat`).
pub fn of_process(pid: u32) -> Result<u64> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("can't read {tasks}"))? {
        // A thread may end in between.
        if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
            sum += first_number(&text);
        }
    }
    Ok(sum)
}

/// The kernel thread that goes on with a CPU's network work when there is too much for its interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Ksoftirqd(Option<Pid>);

impl Ksoftirqd {
    /// That of a CPU.
    pub fn of(cpu: usize) -> Self {
        let wanted = format!("ksoftirqd/{cpu}");
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut found = numbers.filter(|pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == wanted)
        });
        Self(found.next().and_then(Pid::from_raw))
    }

    /// CPU time it has taken so far, ns.
    pub fn ns(self) -> u64 {
        let Some(pid) = self.0 else { return 0 };
        fs::read_to_string(format!("/proc/{}/schedstat", pid.as_raw_nonzero()))
            .map_or(0, |text| first_number(&text))
    }
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_time() {
        let before = of_process(std::process::id()).unwrap();
        let end = now(ClockId::ThreadCPUTime) + 20_000_000;
        while now(ClockId::ThreadCPUTime) < end {}
        assert!(of_process(std::process::id()).unwrap() - before >= 10_000_000);
        assert!(Ksoftirqd::of(0).0.is_some());
    }
}
