//! To what a process belongs, by its id.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::home::Home;

/// How long an answer holds: ids are used again, but not at once.
const TRUST: Duration = Duration::from_secs(1);
/// One that has ended is remembered for so long, unless another has its id by then.
const TOMBSTONE: Duration = Duration::from_mins(1);
/// Most that are remembered.
const MOST: usize = 4096;

/// Processes by the machine's own ids.
#[derive(Debug)]
pub struct Processes {
    /// `None`: the ids that are seen here are not the machine's.
    proc: Option<PathBuf>,
    known: HashMap<u32, (Arc<Home>, Instant)>,
}

impl Processes {
    /// Those of this machine, if they can be seen: in a container without the host's processes, ids mean others.
    pub fn of_machine() -> Self {
        let proc = PathBuf::from("/proc");
        // The kernel's own second process has no other name, and no other place.
        let is_machines = fs::read_to_string(proc.join("2/comm")).is_ok_and(|name| name == "kthreadd\n");
        Self::at(is_machines.then_some(proc))
    }

    pub(super) fn at(proc: Option<PathBuf>) -> Self {
        Self { proc, known: HashMap::new() }
    }

    /// Whether ids lead anywhere.
    pub fn are_known(&self) -> bool {
        self.proc.is_some()
    }

    /// What a process belongs to, also for a while after its end. `None`: nobody knows.
    pub fn home(&mut self, pid: u32) -> Option<Arc<Home>> {
        self.home_at(pid, Instant::now())
    }

    fn home_at(&mut self, pid: u32, now: Instant) -> Option<Arc<Home>> {
        let proc = self.proc.as_ref()?;
        if let Some((home, at)) = self.known.get(&pid)
            && now.duration_since(*at) <= TRUST
        {
            return Some(Arc::clone(home));
        }
        if let Ok(lines) = fs::read_to_string(proc.join(pid.to_string()).join("cgroup")) {
            if self.known.len() >= MOST {
                self.known.clear();
            }
            let home = Arc::new(Home::of_process(&lines));
            self.known.insert(pid, (Arc::clone(&home), now));
            return Some(home);
        }
        let (home, at) = self.known.get(&pid)?;
        (now.duration_since(*at) <= TOMBSTONE).then(|| Arc::clone(home))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_where_its_cgroup_is_also_after_its_end() {
        let proc = tempfile::tempdir().unwrap();
        let folder = proc.path().join("7");
        let start = |unit: &str| {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("cgroup"), format!("0::/system.slice/{unit}\n")).unwrap();
        };
        let mut processes = Processes::at(Some(proc.path().to_owned()));
        let begin = Instant::now();
        let unit = |processes: &mut Processes, seconds| {
            processes.home_at(7, begin + Duration::from_secs(seconds)).and_then(|home| home.unit.clone())
        };
        assert_eq!(unit(&mut processes, 0), None);
        start("a.service");
        assert_eq!(unit(&mut processes, 0).as_deref(), Some("a.service"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(unit(&mut processes, 50).as_deref(), Some("a.service"), "remembered");
        assert_eq!(unit(&mut processes, 62), None, "for a while");
        start("b.service");
        assert_eq!(unit(&mut processes, 63).as_deref(), Some("b.service"), "another has its id");
    }

    #[test]
    fn this_process_is_somewhere_if_ids_are_the_machines() {
        let mut processes = Processes::of_machine();
        assert_eq!(processes.home(std::process::id()).is_some(), processes.are_known());
        assert_eq!(Processes::at(None).home(1), None);
    }
}
