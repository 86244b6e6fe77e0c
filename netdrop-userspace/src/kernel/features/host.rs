//! Features of the machine around the capture: rights, mounts, limits.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::Feature;
use crate::kernel::Btf;

/// Bits of a capability set (include/uapi/linux/capability.h, which is ABI).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYSLOG: u32 = 34;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

pub(super) fn features(root: &Path, btf: Option<&Btf>) -> Vec<Feature> {
    let mut features = vec![lockdown(root)];
    features.extend(capabilities(root));
    features.extend([kallsyms(root), cgroup(root), tracefs(root), memlock(root, btf)]);
    features
}

fn lockdown(root: &Path) -> Feature {
    const NAME: &str = "lockdown";
    const WITHOUT: &str = "in confidentiality mode BPF may not read kernel memory: no capture";
    let Ok(text) = std::fs::read_to_string(root.join("sys/kernel/security/lockdown")) else {
        return Feature::ok(NAME, "not active (or securityfs is not mounted)", WITHOUT);
    };
    // `[none] integrity confidentiality`: the mode in force stands in brackets.
    let mode =
        text.split_whitespace().find_map(|w| w.strip_prefix('[')?.strip_suffix(']')).unwrap_or("unknown");
    match mode {
        "none" => Feature::ok(NAME, "none", WITHOUT),
        "integrity" => Feature::ok(NAME, "integrity: kprobes are refused, tp_btf and tc are not", WITHOUT),
        "confidentiality" => Feature::missing(NAME, "confidentiality", WITHOUT),
        other => Feature::degraded(NAME, format!("{other:?}"), WITHOUT),
    }
}

/// The effective set of this process.
fn capability_set(root: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(root.join("proc/self/status")).ok()?;
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

/// Which of the two capabilities that capture needs this process lacks.
pub(super) fn lacking(root: &Path) -> Vec<&'static str> {
    let Some(set) = capability_set(root) else { return Vec::new() };
    let held = |bit: u32| set >> bit & 1 == 1;
    // CAP_SYS_ADMIN includes both.
    let all = [(CAP_BPF, "BPF"), (CAP_PERFMON, "PERFMON")];
    all.into_iter().filter(|(bit, _)| !held(*bit) && !held(CAP_SYS_ADMIN)).map(|(_, name)| name).collect()
}

fn capabilities(root: &Path) -> Vec<Feature> {
    let set = capability_set(root);
    let held = |bit: u32| set.is_some_and(|s| s >> bit & 1 == 1);
    let admin = held(CAP_SYS_ADMIN);
    let row =
        |name, bit, by_admin, missing: fn(&'static str, &'static str, &'static str) -> Feature, without| {
            if held(bit) {
                Feature::ok(name, "held", without)
            } else if by_admin && admin {
                Feature::ok(name, "not held, but CAP_SYS_ADMIN is, which includes it", without)
            } else {
                missing(name, "not held", without)
            }
        };
    let capture = "no capture: run as root, or grant CAP_BPF and CAP_PERFMON";
    let is_missing = |name, detail, without| Feature::missing(name, detail, without);
    let is_degraded = |name, detail, without| Feature::degraded(name, detail, without);
    let mut rows = vec![
        row("CAP_BPF", CAP_BPF, true, is_missing, capture),
        row("CAP_PERFMON", CAP_PERFMON, true, is_missing, capture),
        row(
            "CAP_NET_ADMIN",
            CAP_NET_ADMIN,
            false,
            is_missing,
            "no tc or TCX programs; drops are captured without it",
        ),
        row(
            "CAP_SYSLOG",
            CAP_SYSLOG,
            false,
            is_degraded,
            "kallsyms hides addresses; the capture asks the kernel for names instead",
        ),
    ];
    let enough = held(CAP_BPF) && held(CAP_PERFMON);
    rows.push(match (admin, enough) {
        (true, _) => Feature::ok("CAP_SYS_ADMIN", "held", "nothing, where CAP_BPF and CAP_PERFMON are held"),
        (false, true) => Feature::ok(
            "CAP_SYS_ADMIN",
            "not held, not needed",
            "nothing, where CAP_BPF and CAP_PERFMON are held",
        ),
        (false, false) => Feature::degraded(
            "CAP_SYS_ADMIN",
            "not held",
            "kernels before 5.8, without CAP_BPF and CAP_PERFMON, need it to load programs",
        ),
    });
    rows
}

fn kallsyms(root: &Path) -> Feature {
    const NAME: &str = "kernel symbols";
    const WITHOUT: &str = "places in the kernel that the capture did not name are bare addresses; \
                           run as root, grant CAP_SYSLOG, or set sysctl kernel.kptr_restrict=0";
    let Ok(file) = std::fs::File::open(root.join("proc/kallsyms")) else {
        return Feature::degraded(NAME, "/proc/kallsyms can't be read", WITHOUT);
    };
    let mut symbols = BufReader::new(file).lines().take(16).map_while(Result::ok).peekable();
    if symbols.peek().is_none() {
        return Feature::degraded(NAME, "/proc/kallsyms is empty", WITHOUT);
    }
    // The first symbols may be per-CPU ones, whose address is 0 by right; text is never there.
    let shown =
        symbols.any(|l| l.split(' ').next().is_some_and(|address| address.bytes().any(|b| b != b'0')));
    if shown {
        Feature::ok(NAME, "addresses are shown", WITHOUT)
    } else {
        Feature::degraded(NAME, "addresses are hidden", WITHOUT)
    }
}

/// Where the first file system of this type is mounted.
fn mounted(root: &Path, kind: &str) -> Option<String> {
    let mounts = std::fs::read_to_string(root.join("proc/self/mounts")).ok()?;
    mounts.lines().find_map(|line| {
        let mut parts = line.split(' ');
        let place = parts.nth(1)?;
        (parts.next()? == kind).then(|| place.to_owned())
    })
}

fn cgroup(root: &Path) -> Feature {
    const WITHOUT: &str = "a socket's cgroup id does not lead to its pod; addresses still do";
    match mounted(root, "cgroup2") {
        Some(place) => Feature::ok("cgroup v2", format!("mounted at {place}"), WITHOUT),
        None => Feature::degraded("cgroup v2", "not mounted", WITHOUT),
    }
}

fn tracefs(root: &Path) -> Feature {
    const WITHOUT: &str = "nothing of netdrop; perf and trace-cmd need it";
    match mounted(root, "tracefs") {
        Some(place) => Feature::ok("tracefs", format!("mounted at {place}"), WITHOUT),
        None => Feature::ok("tracefs", "not mounted, not needed", WITHOUT),
    }
}

fn memlock(root: &Path, btf: Option<&Btf>) -> Feature {
    const NAME: &str = "RLIMIT_MEMLOCK";
    const WITHOUT: &str = "maps may be refused for lack of locked memory: raise it (ulimit -l unlimited) or grant CAP_SYS_RESOURCE";
    let limit = std::fs::read_to_string(root.join("proc/self/limits"));
    let limit = limit.ok().and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("Max locked memory"))?;
        line.split_whitespace().next().map(str::to_owned)
    });
    let limit = limit.unwrap_or_else(|| "unknown".to_owned());
    // Up to 5.10 a map has its own account of locked memory; since 5.11 memory is charged to the cgroup.
    let counts = btf.is_none_or(|b| b.member("bpf_map", "memory").is_some());
    match (counts, limit.as_str()) {
        (false, _) => Feature::ok(NAME, format!("{limit}; this kernel does not hold BPF to it"), WITHOUT),
        (true, "unlimited") => Feature::ok(NAME, "unlimited", WITHOUT),
        (true, _) => Feature::degraded(NAME, limit, WITHOUT),
    }
}
