//! Tables as Markdown, aligned so that a terminal shows them as well.

use std::fmt::Write as _;

use super::{Figure, Grid, Report, Shown};

/// All tables of a report.
pub fn tables(report: &Report) -> String {
    let mut out = String::new();
    if !report.figures.is_empty() {
        out.push_str(&table(&["figure", "goal", "measured", "n", ""], report.figures.iter().map(figure)));
    }
    for grid in &report.grids {
        // Writing to a String does not fail.
        let _ = write!(out, "\n{}\n\n{}", grid.title, of_grid(grid));
    }
    out
}

fn figure(figure: &Figure) -> Vec<String> {
    let summary = figure.sample.summary();
    let verdict = match summary.and_then(|s| figure.goal.met(s.median)) {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    let what = if figure.unit.is_empty() {
        figure.what.clone()
    } else {
        format!("{}, {}", figure.what, figure.unit)
    };
    vec![
        what,
        figure.goal.to_string(),
        Shown(summary).to_string(),
        figure.sample.values().len().to_string(),
        verdict.to_owned(),
    ]
}

fn of_grid(grid: &Grid) -> String {
    let mut head = vec![grid.of];
    head.extend(grid.columns.iter().map(|(_, heading)| heading));
    let rows = grid.rows.iter().map(|row| {
        let mut cells = vec![row.name.clone()];
        cells.extend(row.cells.iter().map(|sample| Shown(sample.summary()).to_string()));
        cells
    });
    table(&head, rows)
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    let width =
        |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> =
        head.iter().enumerate().map(|(n, h)| width(n).max(h.chars().count()).max(3)).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut out = line(&head.iter().map(ToString::to_string).collect::<Vec<_>>());
    out.push_str(&line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>()));
    for row in &rows {
        out.push_str(&line(row));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Goal, Row};
    use crate::sample::Sample;

    #[test]
    fn tables_line_up() {
        let report = Report {
            figures: vec![Figure::new(
                "a/b",
                "lost",
                "",
                Goal::AtMost(0.0),
                Sample::from_iter([0.0, 4.0, 7.0]),
            )],
            grids: vec![Grid {
                key: "g",
                of: "tracer",
                title: "A grid".to_owned(),
                columns: vec![("x", "x, ns")],
                rows: vec![Row { name: "none".to_owned(), cells: vec![Sample::default()] }],
            }],
        };
        let wanted = "\
| figure | goal | measured | n   |        |
| ------ | ---- | -------- | --- | ------ |
| lost   | 0    | 4 (0..7) | 3   | MISSED |

A grid

| tracer | x, ns |
| ------ | ----- |
| none   | -     |
";
        assert_eq!(tables(&report), wanted);
    }
}
