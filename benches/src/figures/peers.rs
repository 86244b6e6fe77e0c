//! Other tracers of drops, where they are installed.

use std::path::Path;

use super::Bench;
use crate::tracer::Spec;

/// perf needs tracefs, which not every machine has mounted: it gets one in a mount namespace of its own. `--delay` makes it
/// say when it begins.
const PERF: &str =
    "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || test -e /sys/kernel/tracing/events || exit 1
exec perf record --all-cpus --delay=100 --no-buildid-cache --output=\"$0\" --event=skb:kfree_skb";

/// A raw tracepoint: a program at the classic one would hide drops from every perf on the machine.
const BPFTRACE: &str =
    "exec bpftrace -e 'rawtracepoint:kfree_skb { @ = count(); } END { printf(\"end: \"); }' >&2";

/// `perf record`, which keeps an event for each drop.
pub fn perf(bench: &Bench) -> Option<Spec> {
    let file = bench.dir.path().join("perf.data");
    let spec =
        Spec::new("perf record -e skb:kfree_skb", Path::new("unshare"), &["--mount", "sh", "-c", PERF]);
    installed("perf").then(|| Spec { ready: "Events enabled", ..spec.with(file.display().to_string()) })
}

/// `bpftrace`, which only counts.
pub fn bpftrace() -> Option<Spec> {
    let spec = Spec::new("bpftrace, counting", Path::new("sh"), &["-c", BPFTRACE]);
    installed("bpftrace").then_some(Spec { ready: "Attach", ..spec })
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
