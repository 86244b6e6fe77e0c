//! `cargo xtask bench`: what netdrop costs, by a known flood of drops.

use clap::Args;

use crate::image::target_folder;
use crate::shell::{cargo, command, root, run, say};
use crate::tools;

/// What was typed after `cargo xtask bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Only groups of figures whose name contains one of these: added, fanout, json, exact, memory, latency, idle
    only: Vec<String>,
    /// One repetition, for development
    #[arg(long)]
    quick: bool,
    /// Write BENCHMARKS.md, its chart and benches/results/history.jsonl
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    write: bool,
}

/// Builds and measures.
pub fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    tools::build()?;
    tools::tests()?;
    say("...", "building netdrop and its benchmarks, optimized (some minutes when cold)");
    for package in ["netdrop-userspace", "netdrop-bench"] {
        run(&mut cargo(&["build", "--quiet", "--release", "--package", package]))?;
    }
    let mut bench = command(target_folder().join("release/netdrop-bench"), ["run"]);
    if args.quick {
        bench.arg("--quick");
    }
    if args.write {
        bench.arg("--write").arg(root());
    }
    run(bench.args(&args.only))
}
