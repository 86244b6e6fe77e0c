//! What works on which kernel, as a table of Markdown.

use std::fmt;

use super::report::Report;

/// The symbol test: places are named with the capabilities BPF and PERFMON alone.
const SYMBOLS: &str = "rights::two_capabilities_are_enough";

/// Rows of cells; the first row and the first two columns are titles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    /// A column for each report.
    pub(super) fn of(reports: &[Report]) -> Self {
        let row = |title: &str, since: &str, cell: &dyn Fn(&Report) -> String| {
            let mut cells = vec![title.to_owned(), since.to_owned()];
            cells.extend(reports.iter().map(cell));
            cells
        };
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        Self(vec![
            row("Linux", "since", &Report::series),
            row("tested", "", &|r| format!("`{}`", r.release)),
            row("drops, with place, headers and namespace", "5.15", &|r| yes(r.has("tp_btf"))),
            row("places by name with BPF and PERFMON alone", "5.13", &|r| yes(r.passed.contains(SYMBOLS))),
            row("reasons of the core, by name", "5.17", &|r| r.reasons_of("CORE").to_string()),
            row("reasons of modules, by name", "6.4", &Report::module_reasons),
            row("the receiving socket of a packet without one (`rx_sk`)", "6.11", &|r| {
                yes(r.detail("kfree_skb arguments").contains("rx_sk: yes"))
            }),
            row("tc programs attach by", "TCX: 6.6", &|r| {
                let by = ["TCX", "clsact"].into_iter().find(|way| r.has(way));
                by.unwrap_or("nothing").to_owned()
            }),
            row("tests of real drops that pass", "", &Report::suite),
        ])
    }

    /// Reads what [`fmt::Display`] writes.
    pub(super) fn parse(text: &str) -> Self {
        let is_line = |row: &Vec<String>| row.iter().all(|cell| cell.chars().all(|c| c == '-'));
        let cells = |line: &str| {
            let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
            Some(inner.split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        };
        let mut rows: Vec<Vec<String>> = text.lines().filter_map(cells).collect();
        rows.retain(|row| row.iter().all(String::is_empty) || !is_line(row));
        Self(rows)
    }

    /// The series it has columns for.
    pub(super) fn series(&self) -> impl Iterator<Item = &str> {
        self.0.iter().take(1).flat_map(|row| row.iter().skip(2)).map(String::as_str)
    }

    /// The kernel that a series was tested with.
    pub(super) fn tested(&self, series: &str) -> Option<&str> {
        Some(self.column(series)?.get(1)?.1)
    }

    /// Titles and cells of a series.
    pub(super) fn column(&self, series: &str) -> Option<Vec<(&str, &str)>> {
        let at = self.0.first()?.iter().skip(2).position(|s| s == series)? + 2;
        self.0.iter().map(|row| Some((row.first()?.as_str(), row.get(at)?.as_str()))).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, row) in self.0.iter().enumerate() {
            writeln!(f, "| {} |", row.join(" | "))?;
            if n == 0 {
                writeln!(f, "|{}", "---|".repeat(row.len()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let text = "| Linux | since | 6.1 |\n|---|---|---|\n| tested |  | `6.1.0-56` |\n| a | 5.8 | yes |\n";
        let table = Table::parse(text);
        assert_eq!(table.to_string(), text);
        assert_eq!(table.series().collect::<Vec<_>>(), ["6.1"]);
        assert_eq!(table.tested("6.1"), Some("`6.1.0-56`"));
        assert_eq!(table.column("6.1").unwrap()[2], ("a", "yes"));
        assert_eq!(table.column("6.12"), None);
    }
}
