//! One line of JSON a run, for whoever compares runs.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{Machine, Report};
use crate::sample::Summary;

/// One figure.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    unit: &'a str,
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    machine: &'a Machine,
    figures: BTreeMap<String, Entry<'a>>,
}

/// Appends a run.
pub fn append(file: &Path, machine: &Machine, report: &Report) -> Result<()> {
    let mut line = serde_json::to_string(&Line { machine, figures: entries(report) })?;
    line.push('\n');
    let mut history = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .with_context(|| format!("can't open {}", file.display()))?;
    history.write_all(line.as_bytes()).with_context(|| format!("can't write {}", file.display()))
}

fn entries(report: &Report) -> BTreeMap<String, Entry<'_>> {
    let mut entries = BTreeMap::new();
    for figure in &report.figures {
        if let Some(summary) = figure.sample.summary() {
            let met = figure.goal.met(summary.median);
            entries.insert(figure.key.clone(), Entry { unit: figure.unit, summary, met });
        }
    }
    for grid in &report.grids {
        for row in &grid.rows {
            for ((key, heading), sample) in grid.columns.iter().zip(&row.cells) {
                if let Some(summary) = sample.summary() {
                    let name = format!("{}/{}/{key}", grid.key, row.name);
                    entries.insert(name, Entry { unit: heading, summary, met: None });
                }
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Figure, Goal};
    use crate::sample::Sample;

    #[test]
    fn a_line_has_every_figure() {
        let figure = Figure::new("a/b", "", "ns", Goal::AtMost(2.0), Sample::from_iter([1.0, 2.0, 4.0]));
        let report = Report { figures: vec![figure], grids: Vec::new() };
        let text = serde_json::to_string(&entries(&report)).unwrap();
        assert_eq!(text, r#"{"a/b":{"unit":"ns","median":2.0,"min":1.0,"max":4.0,"n":3,"met":true}}"#);
    }
}
