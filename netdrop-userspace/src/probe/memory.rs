//! How much kernel memory the buffers get: from a budget that fits the machine, or as asked.

use std::fs;
use std::path::Path;

use netdrop_common::counter::{Counters, SLOTS};
use netdrop_common::flow::{BUCKETS, Bucket, FlowEntry, FlowKey, REST_MAX, RestEntry, RestKey};
use netdrop_common::stack::{Frames, StackKey};
use thiserror::Error;

/// Smallest ring buffer: a page would hold 15 records.
const MIN_RING: u32 = 64 * 1024;
/// Largest one that a budget gives; more can be asked for.
const MOST_RING: u64 = 64 * 1024 * 1024;
/// Fewest entries of a flow map.
const MIN_FLOWS: u32 = 64;
/// Most, in each of the two.
const MOST_FLOWS: u64 = 4 * 1024 * 1024;
/// What the kernel adds to each entry of a preallocated hash: list, key alignment and a place in the table (kernel/bpf/hashtab.c,
/// 6.18).
const HASH_OVERHEAD: u64 = 64;
/// Share of the machine's memory that a budget takes by default, and its bounds.
const DEFAULT_SHARE: u64 = 512;
const DEFAULT_LEAST: u64 = 16 * MIB;
const DEFAULT_MOST: u64 = 48 * MIB;
/// Share of a cgroup's limit: the rest of netdrop must live there too.
const CGROUP_SHARE: u64 = 4;
const MIB: u64 = 1024 * 1024;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryAsked {
    /// Bytes of kernel memory for all buffers.
    pub budget: Option<u64>,
    /// Bytes of the ring buffer.
    pub ring_size: Option<u64>,
    /// Entries of the flow map.
    pub flows: Option<u64>,
    /// Whether there are call stacks to be kept.
    pub stacks: bool,
}

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Bytes of the ring buffer; a power of two, whole pages.
    pub ring_size: u32,
    /// Entries of each of the two flow maps.
    pub flows: u32,
    /// Call stacks that are kept beside them; 0: none were asked for.
    pub stacks: u32,
    /// Kernel memory of all maps, about, in bytes.
    pub total: u64,
}

/// Why what was asked for can't be.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// The ring buffer's size.
    #[error("ring buffer of {size} bytes: {why}")]
    Ring {
        /// As asked.
        size: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The flow map's.
    #[error("flow map of {0} entries: want {MIN_FLOWS} to {MOST_FLOWS}")]
    Flows(u64),
    /// All together.
    #[error(
        "a memory budget of {budget} bytes is too small: {what} need {need}; give more with --memory-budget or ask for less"
    )]
    Budget {
        /// As asked.
        budget: u64,
        /// What takes the room.
        what: &'static str,
        /// Bytes.
        need: u64,
    },
}

impl Default for MemoryPlan {
    /// For this machine.
    fn default() -> Self {
        let ring_size = 8 * 1024 * 1024;
        let flows = 16_384;
        MemoryAsked::default().plan().unwrap_or(Self {
            ring_size,
            flows,
            stacks: 0,
            total: total(ring_size.into(), flows.into(), false),
        })
    }
}

impl MemoryAsked {
    /// Fits it to this machine.
    pub fn plan(self) -> Result<MemoryPlan, PlanError> {
        self.plan_within(default_budget(Path::new("/")))
    }

    /// All that is wrong with it. What each asks by itself comes first: only where that is right, it can be too much together.
    pub fn problems(self) -> Vec<PlanError> {
        let nothing = Self { stacks: self.stacks, ..Self::default() };
        let alone = [
            Self { ring_size: self.ring_size, ..nothing },
            Self { flows: self.flows, ..nothing },
            Self { budget: self.budget, ..nothing },
        ];
        let mut wrong: Vec<_> = alone.into_iter().filter_map(|one| one.plan().err()).collect();
        if wrong.is_empty() {
            wrong.extend(self.plan().err());
        }
        wrong
    }

    fn plan_within(self, default: u64) -> Result<MemoryPlan, PlanError> {
        let budget = self.budget.unwrap_or(default);
        let ring_size = match self.ring_size {
            Some(size) => check_ring(size)?,
            None => ring_of(budget),
        };
        let total = |flows: u64| total(ring_size.into(), flows, self.stacks);
        let without_flows = total(0);
        let flows = match self.flows {
            Some(n) if (u64::from(MIN_FLOWS)..=MOST_FLOWS).contains(&n) => n,
            Some(n) => return Err(PlanError::Flows(n)),
            None => (budget.saturating_sub(without_flows) / flow_bytes(self.stacks)).min(MOST_FLOWS),
        };
        let flows = match (u32::try_from(flows), self.budget) {
            (Ok(n), _) if n >= MIN_FLOWS => n,
            // Nobody asked for a budget, only for a large ring: then that is what it is.
            (_, None) => MIN_FLOWS,
            (_, Some(budget)) => {
                let need = total(MIN_FLOWS.into());
                return Err(PlanError::Budget {
                    budget,
                    what: "the ring buffer and the smallest maps",
                    need,
                });
            }
        };
        let total = total(flows.into());
        match self.budget {
            Some(budget) if total > budget && (self.flows.is_some() || self.ring_size.is_some()) => {
                Err(PlanError::Budget {
                    budget,
                    what: "the ring buffer and the flow maps asked for",
                    need: total,
                })
            }
            _ => Ok(MemoryPlan { ring_size, flows, stacks: if self.stacks { flows } else { 0 }, total }),
        }
    }
}

/// A quarter of the budget, as a power of two.
fn ring_of(budget: u64) -> u32 {
    let quarter = (budget / 4).clamp(u64::from(MIN_RING), MOST_RING);
    u32::try_from(1_u64 << quarter.ilog2()).unwrap_or(MIN_RING)
}

fn check_ring(size: u64) -> Result<u32, PlanError> {
    let page = rustix::param::page_size() as u64;
    let wrong = |why| Err(PlanError::Ring { size, why });
    if !size.is_power_of_two() || !size.is_multiple_of(page) {
        return wrong("the kernel wants a power of two and whole pages, as 8Mi or 16Mi");
    }
    match u32::try_from(size) {
        Ok(small) if small < MIN_RING => wrong("less than 64Ki holds too few records"),
        Ok(size) => Ok(size),
        Err(_) => wrong("the kernel's limit is 2Gi"),
    }
}

/// Bytes of one entry in both flow maps, and of the call stack of its first packet.
fn flow_bytes(stacks: bool) -> u64 {
    let stack = size_of::<StackKey>() as u64 + size_of::<Frames>() as u64 + HASH_OVERHEAD;
    2 * (size_of::<FlowKey>() as u64 + size_of::<FlowEntry>() as u64 + HASH_OVERHEAD)
        + if stacks { stack } else { 0 }
}

/// Kernel memory of all maps, about.
fn total(ring: u64, flows: u64, stacks: bool) -> u64 {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let rests =
        u64::from(REST_MAX) * (size_of::<RestKey>() as u64 + size_of::<RestEntry>() as u64 + HASH_OVERHEAD);
    let scratch = size_of::<FlowEntry>() as u64 + size_of::<Frames>() as u64;
    let counters = cpus * (u64::from(SLOTS) * size_of::<Counters>() as u64 + scratch);
    let buckets = u64::from(BUCKETS) * size_of::<Bucket>() as u64;
    ring + flows * flow_bytes(stacks) + rests + counters + buckets
}

/// A share of the machine's memory, and of what the cgroup may have.
fn default_budget(root: &Path) -> u64 {
    let machine = machine_memory(root).map_or(DEFAULT_LEAST, |all| all / DEFAULT_SHARE);
    let budget = machine.clamp(DEFAULT_LEAST, DEFAULT_MOST);
    cgroup_limit(root).map_or(budget, |limit| budget.min(limit / CGROUP_SHARE))
}

fn machine_memory(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The tightest limit from this process's cgroup up, of cgroup v2 or of v1's memory controller.
fn cgroup_limit(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    // HIERARCHY:CONTROLLERS:PATH
    let limits = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if controllers.is_empty() {
            return tightest(&root.join("sys/fs/cgroup"), path, "memory.max");
        }
        let is_memory = controllers.split(',').any(|c| c == "memory");
        is_memory.then(|| tightest(&root.join("sys/fs/cgroup/memory"), path, "memory.limit_in_bytes"))?
    });
    limits.min()
}

fn tightest(top: &Path, path: &str, file: &str) -> Option<u64> {
    let mut at = top.join(path.trim_start_matches('/'));
    let mut least: Option<u64> = None;
    while at.starts_with(top) {
        let limit = fs::read_to_string(at.join(file)).ok().and_then(|t| t.trim().parse().ok());
        least = least.into_iter().chain(limit).min();
        if !at.pop() {
            break;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(
        budget: Option<u64>,
        ring_size: Option<u64>,
        flows: Option<u64>,
    ) -> Result<MemoryPlan, PlanError> {
        MemoryAsked { budget, ring_size, flows, stacks: false }.plan_within(48 * MIB)
    }

    #[test]
    fn a_budget_is_kept() {
        for mib in [2, 4, 16, 32, 48, 256, 1024] {
            let plan = asked(Some(mib * MIB), None, None).unwrap();
            assert!(plan.total <= mib * MIB, "{mib} MiB: {plan:?}");
            assert!(plan.total > mib * MIB / 2, "{mib} MiB: {plan:?}");
            assert!(plan.ring_size.is_power_of_two());
        }
        let default = asked(None, None, None).unwrap();
        assert_eq!(default.ring_size, 8 * 1024 * 1024);
        assert!((16_384..65_536).contains(&default.flows), "{default:?}");
    }

    #[test]
    fn call_stacks_are_in_the_budget() {
        for mib in [2, 16, 256] {
            let ask = |stacks| MemoryAsked { budget: Some(mib * MIB), stacks, ..MemoryAsked::default() };
            let (plain, stacks) = (ask(false).plan().unwrap(), ask(true).plan().unwrap());
            assert!(stacks.total <= mib * MIB && stacks.flows < plain.flows, "{plain:?} {stacks:?}");
            assert_eq!((plain.stacks, stacks.stacks), (0, stacks.flows), "one for each flow");
        }
    }

    #[test]
    fn what_cannot_be_says_why() {
        let text = |r: Result<MemoryPlan, PlanError>| r.unwrap_err().to_string();
        assert!(text(asked(None, Some(1000), None)).contains("power of two"));
        assert!(text(asked(None, Some(4096), None)).contains("64Ki"));
        assert!(text(asked(None, Some(1 << 40), None)).contains("2Gi"));
        assert!(text(asked(None, None, Some(1))).contains("64 to"));
        assert!(text(asked(Some(1000), None, None)).contains("--memory-budget"));
        assert!(text(asked(Some(16 * MIB), Some(64 * MIB), None)).contains("--memory-budget"));
        assert!(text(asked(Some(16 * MIB), None, Some(1_000_000))).contains("flow maps asked for"));
        assert_eq!(asked(None, Some(64 * MIB), None).unwrap().flows, MIN_FLOWS);
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let wrong = |budget, ring_size, flows| {
            let asked = MemoryAsked { budget, ring_size, flows, stacks: false };
            asked.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let all = wrong(Some(1000), Some(1000), Some(1));
        for part in ["ring buffer of 1000", "flow map of 1 entries", "budget of 1000 bytes"] {
            assert_eq!(all.matches(part).count(), 1, "{part}: {all}");
        }
        assert!(wrong(Some(16 * MIB), Some(64 * MIB), None).contains("too small"), "together");
        assert_eq!(wrong(Some(16 * MIB), Some(MIB), Some(1024)), "");
    }

    #[test]
    fn the_tightest_cgroup_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:       24576000 kB\nMemFree: 1 kB\n");
        write("proc/self/cgroup", "0::/kubepods/pod1/agent\n");
        assert_eq!(default_budget(root.path()), 48_000 * 1024);
        write("sys/fs/cgroup/kubepods/pod1/memory.max", "134217728\n");
        write("sys/fs/cgroup/kubepods/pod1/agent/memory.max", "max\n");
        assert_eq!(default_budget(root.path()), 32 * MIB);
        // v1: no limit is a huge one.
        write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/pod1\n0::/elsewhere\n");
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(default_budget(root.path()), 48_000 * 1024);
        write("sys/fs/cgroup/memory/pod1/memory.limit_in_bytes", "67108864\n");
        assert_eq!(default_budget(root.path()), 16 * MIB);
    }
}
