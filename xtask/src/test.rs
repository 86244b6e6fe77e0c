//! `cargo xtask test`: everything, from unit tests to a real cluster.

use std::process::Command;

use clap::Args;

use crate::shell::{cargo, run, say};
use crate::{cluster, tools};

/// Go that the cluster's parts build with.
const GO: (u32, u32) = (1, 25);

/// What was typed after `cargo xtask test`.
#[derive(Args)]
pub struct TestArgs {
    /// Fail where the cluster tests can't run
    #[arg(long, conflicts_with = "no_cluster")]
    require_cluster: bool,
    /// Leave the cluster tests out
    #[arg(long)]
    no_cluster: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Runs them.
pub fn test(args: &TestArgs) -> anyhow::Result<()> {
    tools::build()?;
    tools::tests()?;
    let go = tools::go_version().is_some_and(|v| v >= GO);
    if go {
        cluster::build_hubble()?;
        cluster::build_promlint()?;
    }
    let judged = |command: &mut Command| {
        command.env("NETDROP_PROMLINT", cluster::promlint());
        if args.require_cluster {
            command.env("NETDROP_REQUIRE_PROMLINT", "1");
        }
    };
    let filter: Vec<&str> = args.filter.as_deref().into_iter().collect();
    say("...", "building netdrop");
    run(&mut cargo(&["build", "--quiet", "--package", "netdrop-userspace"]))?;
    say("...", "unit tests");
    let units = ["netdrop-common", "netdrop-userspace", "netdrop-bench", "netdrop-fuzz", "xtask"];
    let units = units.iter().flat_map(|package| ["--package", package]);
    let mut unit_tests = cargo(&["test", "--quiet"]);
    judged(&mut unit_tests);
    run(unit_tests.args(units).arg("--").args(&filter))?;
    say("...", "real drops, in namespaces");
    let drops = ["test", "--quiet", "--package", "netdrop-tests", "--"];
    let mut tests = cargo(&drops);
    tests.args(["--skip", "cluster::", "--skip", "alone::"]).args(&filter);
    tests.env("NETDROP_HUBBLE", cluster::hubble());
    if args.require_cluster {
        tests.env("NETDROP_REQUIRE_HUBBLE", "1");
    }
    run(&mut tests)?;
    if filter.is_empty() || filter.iter().any(|f| f.contains("alone::")) {
        say("...", "real drops that disturb all others");
        let mut alone = cargo(&drops);
        judged(&mut alone);
        run(alone.args(["--test-threads=1", "alone::"]))?;
    }
    if args.no_cluster {
        return Ok(());
    }
    if !go {
        let what = format!("cluster tests did not run: they need Go {}.{} or later on the PATH", GO.0, GO.1);
        anyhow::ensure!(!args.require_cluster, what);
        say("!!", what);
        return Ok(());
    }
    cluster::test(&filter)
}
