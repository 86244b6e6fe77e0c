//! The table of kernels in README.md: generated, and checked by every run.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use super::table::Table;
use crate::shell::{root, say};

const BEGIN: &str = "<!-- kernels: written by `cargo xtask vm --write-readme` -->\n";
const END: &str = "<!-- end of kernels -->\n";

fn path() -> PathBuf {
    root().join("README.md")
}

fn read() -> anyhow::Result<String> {
    fs::read_to_string(path()).with_context(|| format!("can't read {}", path().display()))
}

/// Puts a table between the marks.
pub(super) fn write(table: &Table) -> anyhow::Result<()> {
    let text = read()?;
    let (before, _, after) = parts(&text)?;
    fs::write(path(), format!("{before}{BEGIN}{table}{END}{after}"))
        .with_context(|| format!("can't write {}", path().display()))?;
    say("ok", "README.md has the table");
    Ok(())
}

/// Whether what the README says of the kernels that ran is what came out.
pub(super) fn check(ran: &Table) -> anyhow::Result<()> {
    let text = read()?;
    let written = Table::parse(parts(&text)?.1);
    let (wrong, notes) = compare(&written, ran);
    for note in notes {
        say("", note);
    }
    ensure!(
        wrong.is_empty(),
        "the table of kernels in README.md is out of date; `cargo xtask vm --write-readme` writes it anew:\n  {}",
        wrong.join("\n  ")
    );
    say("ok", "the table of kernels in README.md is up to date");
    Ok(())
}

/// What precedes the table, the table, what follows.
fn parts(text: &str) -> anyhow::Result<(&str, &str, &str)> {
    let marks = || format!("README.md lacks the marks of the table: {} and {}", BEGIN.trim(), END.trim());
    let (before, rest) = text.split_once(BEGIN).with_context(marks)?;
    let (table, after) = rest.split_once(END).with_context(marks)?;
    Ok((before, table, after))
}

/// Cells that differ, and what can't be compared: another release may well differ.
fn compare(written: &Table, ran: &Table) -> (Vec<String>, Vec<String>) {
    let (mut wrong, mut notes) = (Vec::new(), Vec::new());
    for series in ran.series() {
        let (tested, here) = (written.tested(series), ran.tested(series));
        if tested != here {
            let (tested, here) = (tested.unwrap_or("none"), here.unwrap_or_default());
            notes.push(format!("README.md tells of {tested} for Linux {series}, this was {here}"));
            continue;
        }
        let pairs = written.column(series).into_iter().zip(ran.column(series));
        for (old, new) in pairs.flat_map(|(old, new)| old.into_iter().zip(new)) {
            if old != new {
                wrong.push(format!("{series}: {}: {}, README.md says {}", new.0, new.1, old.1));
            }
        }
    }
    (wrong, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(release: &str, cell: &str) -> Table {
        Table::parse(&format!(
            "| Linux | since | 6.1 |\n| tested |  | {release} |\n| reasons | 5.17 | {cell} |\n"
        ))
    }

    #[test]
    fn the_readme_has_a_table() {
        let text = read().unwrap();
        let table = Table::parse(parts(&text).unwrap().1);
        assert!(table.series().count() >= 2, "{table}");
        assert!(table.series().all(|series| table.tested(series).is_some()), "{table}");
    }

    #[test]
    fn the_same_kernel_has_to_say_the_same() {
        assert_eq!(compare(&table("a", "66"), &table("a", "66")), (vec![], vec![]));
        let (wrong, notes) = compare(&table("a", "66"), &table("a", "67"));
        assert_eq!((wrong, notes), (vec!["6.1: reasons: 67, README.md says 66".to_owned()], vec![]));
    }

    #[test]
    fn another_kernel_of_the_series_is_only_a_note() {
        let (wrong, notes) = compare(&table("a", "66"), &table("b", "67"));
        assert_eq!((wrong.len(), notes.len()), (0, 1));
        let (wrong, notes) = compare(&Table::parse(""), &table("b", "67"));
        assert_eq!((wrong.len(), notes.len()), (0, 1));
    }
}
