//! This machine's own kernel, as it runs.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use netdrop_tests::expect::Lines;
use netdrop_tests::observer::die_with_parent;

use super::report::Report;
use super::{Binaries, HOST, VmArgs, folder, listen};
use crate::shell::{command, say};

/// How long the suite may take.
const LIMIT: Duration = Duration::from_mins(20);

/// Runs the suite here and reads the report.
pub(super) fn run(binaries: &Binaries, args: &VmArgs) -> anyhow::Result<Report> {
    say("...", "this machine's own kernel");
    let mut report = command("sh", ["-c", include_str!("report.sh")]);
    report.env("NETDROP_BIN", &binaries.netdrop).env("SUITE", &binaries.suite);
    report.env("FILTER", args.filter.as_deref().unwrap_or_default()).env("LATE_MODULES", "");
    die_with_parent(&mut report);
    let mut child = report
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("can't run sh")?;
    let pipe = child.stdout.take().context("sh has no stdout")?;
    let heard = listen::to(Lines::new(pipe), HOST, LIMIT, &folder(HOST)?.join("report.txt"));
    if heard.is_err() {
        // It may have ended already.
        let _ = child.kill();
    }
    let status = child.wait().context("can't wait for sh")?;
    let heard = heard?;
    ensure!(status.success(), "sh ended with {status}");
    Report::read(&heard)
}
