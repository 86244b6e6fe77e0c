//! BENCHMARKS.md, its chart and the history, in the workspace.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Machine, Report, chart, history, tables};

const BEGIN: &str = "<!-- measured: cargo xtask bench --write -->";
const END: &str = "<!-- end of measured -->";
const CHART: &str = "benches/results/added.svg";

/// Writes all three; what is around the tables in BENCHMARKS.md stays as it is.
pub fn write(root: &Path, machine: &Machine, report: &Report) -> Result<()> {
    let page = root.join("BENCHMARKS.md");
    let text = fs::read_to_string(&page).with_context(|| format!("can't read {}", page.display()))?;
    let page_text = replaced(&text, &measured(machine, report))
        .with_context(|| format!("{} has no line `{BEGIN}` followed by a line `{END}`", page.display()))?;
    let results = root.join("benches/results");
    fs::create_dir_all(&results).with_context(|| format!("can't make {}", results.display()))?;
    if let Some(svg) = drawing(report) {
        save(&root.join(CHART), &svg)?;
    }
    history::append(&results.join("history.jsonl"), machine, report)?;
    save(&page, &page_text)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

fn drawing(report: &Report) -> Option<String> {
    let grid = report.grids.iter().find(|grid| grid.key == "added")?;
    let column = grid.columns.iter().position(|(key, _)| *key == "bpf_ns")?;
    let floor = grid.rows.iter().find(|row| row.name == "floor: a record, no wakeup")?;
    let goal = floor.cells.get(column)?.summary()?.median * 1.3;
    Some(chart::svg(
        grid,
        "bpf_ns",
        "Added to each drop by BPF programs, ns (kernel's own clock)",
        Some(goal),
    ))
}

fn measured(machine: &Machine, report: &Report) -> String {
    let Machine { date, commit, kernel, cpu, cpus, load } = machine;
    format!(
        "Measured {date} at commit {commit}: Linux {kernel}, {cpus} x {cpu}, load before {load}.\n\n\
         ![What a tracer adds to each drop]({CHART})\n\n{}",
        tables(report)
    )
}

fn replaced(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{new}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_measured_is_replaced() {
        let text = format!("by hand\n{BEGIN}\nold\n{END}\nalso by hand\n");
        let wanted = format!("by hand\n{BEGIN}\n\nnew\n\n{END}\nalso by hand\n");
        assert_eq!(replaced(&text, "new\n"), Some(wanted));
        assert_eq!(replaced("no marks", "new"), None);
    }
}
