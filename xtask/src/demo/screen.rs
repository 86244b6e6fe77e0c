//! What the demo prints: short, aligned, without colour of its own.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::cases::Case;
use super::stage::{PODS, Stage};

/// The outcome of a case.
pub(super) struct Row {
    pub(super) title: &'static str,
    /// By which its drops are known.
    pub(super) port: u16,
    /// Packets sent.
    pub(super) sent: u16,
    /// Packets dropped by a counter of the kernel's own, where it has one.
    pub(super) counted: Option<u64>,
    /// Drops that netdrop printed.
    pub(super) seen: u64,
    /// The kernel's reason, as netdrop printed it.
    pub(super) reason: String,
}

impl Row {
    /// Whether netdrop saw what the kernel dropped.
    pub(super) fn is_right(&self) -> bool {
        self.seen == self.counted.unwrap_or_else(|| self.sent.into())
    }
}

/// The terminal, or whatever stdout is.
pub(super) struct Screen(io::Stdout);

impl Screen {
    pub(super) fn new() -> Self {
        Self(io::stdout())
    }

    fn say(&mut self, line: fmt::Arguments<'_>) -> Result<()> {
        writeln!(self.0, "{line}").context("can't write to stdout")
    }

    /// A line about what goes on.
    pub(super) fn note(&mut self, text: &str) -> Result<()> {
        self.say(format_args!("{text}"))
    }

    /// Who is where.
    pub(super) fn network(&mut self, stage: &Stage) -> Result<()> {
        self.note("\nTwo nodes with two pods each; a bridge on each node, VXLAN between them.\n")?;
        for ((n, node), names) in (1..).zip(&stage.cluster.nodes).zip(PODS) {
            self.say(format_args!("  worker-{n}  {}", node.address))?;
            for (pod, name) in node.pods.iter().zip(names) {
                self.say(format_args!("    {name:<24} {}", pod.v4))?;
            }
        }
        Ok(())
    }

    /// The command whose output follows.
    pub(super) fn command(&mut self, line: &str) -> Result<()> {
        self.say(format_args!("\n$ {line}"))
    }

    /// A case, and what is done in it.
    pub(super) fn title(&mut self, n: usize, case: &Case) -> Result<()> {
        self.say(format_args!("\n{n:>2}  {}\n    done   {}", case.title, case.done))
    }

    /// What netdrop printed, and what it means.
    pub(super) fn outcome(&mut self, line: &str, case: &Case) -> Result<()> {
        self.say(format_args!("    shown  {line}\n    means  {}", case.means))
    }

    /// A case that this machine can't show.
    pub(super) fn skipped(&mut self, n: usize, case: &Case, why: &str) -> Result<()> {
        self.say(format_args!("\n{n:>2}  {}\n    skipped: {why}", case.title))
    }

    /// The closing table.
    pub(super) fn table(&mut self, rows: &[Row], took: Duration) -> Result<()> {
        let width = rows.iter().map(|row| row.title.len()).max().unwrap_or(0);
        self.say(format_args!("\n    {:<width$}  sent  dropped  seen  reason", "case"))?;
        for (n, row) in (1..).zip(rows) {
            let counted = row.counted.map_or_else(|| "-".to_owned(), |count| count.to_string());
            let wrong = if row.is_right() { "" } else { "  <- not what the kernel dropped" };
            self.say(format_args!(
                "{n:>2}  {:<width$}  {:>4}  {counted:>7}  {:>4}  {}{wrong}",
                row.title, row.sent, row.seen, row.reason
            ))?;
        }
        self.say(format_args!(
            "\ndropped: by the kernel's own counter (- where it has none). All of it took {:.0} s.",
            took.as_secs_f64()
        ))
    }
}
