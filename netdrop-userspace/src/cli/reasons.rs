//! `netdrop reasons`: the drop reasons of the running kernel, or of all that are known.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;
use tabwriter::TabWriter;

use crate::explain::{self, kernels};
use crate::flow::DropReason;
use crate::kernel::{Btf, Reasons};

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListOutput {
    /// Aligned columns.
    #[default]
    Table,
    /// One JSON document.
    Json,
}

/// How reasons are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReasonsOutput {
    /// Aligned columns.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// All that is known of all reasons, as a document to read (docs/reasons.md).
    Markdown,
}

/// What was typed after `netdrop reasons`.
#[derive(Clone, Debug, Default, Args)]
pub struct ReasonsArgs {
    /// Those of other kernels, too (5.17 to 6.18).
    #[arg(short, long)]
    pub all: bool,
    /// How to print the list.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ReasonsOutput,
}

/// Reads this kernel's reasons and prints them.
pub fn run(args: &ReasonsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let here = match load() {
        Err(_) if args.all || args.output == ReasonsOutput::Markdown => Reasons::default(),
        loaded => loaded?,
    };
    write(&here, args, out)
}

/// The running kernel's reasons.
pub(super) fn load() -> anyhow::Result<Reasons> {
    let root = Path::new("/");
    Ok(Reasons::load(root, &Arc::new(Btf::vmlinux(root)?)))
}

/// A reason, of this kernel or of others only.
struct Row<'a> {
    name: &'a str,
    here: Option<&'a DropReason>,
}

/// Prints reasons, by code; those of other kernels after them, by name.
pub fn write(reasons: &Reasons, args: &ReasonsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if args.output == ReasonsOutput::Markdown {
        return Ok(out.write_all(explain::markdown().as_bytes())?);
    }
    anyhow::ensure!(
        !reasons.is_empty() || args.all,
        "this kernel gives no drop reasons (they came with Linux 5.17); netdrop observe still shows where packets die"
    );
    let mut rows: Vec<Row<'_>> = reasons.iter().map(|r| Row { name: &r.name, here: Some(r) }).collect();
    if args.all {
        let mut others: Vec<&str> = explain::names().filter(|n| rows.iter().all(|r| r.name != *n)).collect();
        others.sort_unstable();
        rows.extend(others.into_iter().map(|name| Row { name, here: None }));
    }
    match args.output {
        ReasonsOutput::Json => write_json(&rows, out),
        ReasonsOutput::Table | ReasonsOutput::Markdown => write_table(&rows, out),
    }
}

fn write_table(rows: &[Row<'_>], out: &mut impl Write) -> anyhow::Result<()> {
    let mut table = TabWriter::new(out).padding(2);
    writeln!(table, "CODE\tNAME\tSUBSYSTEM\tCLASS\tLINUX\tMEANING")?;
    for Row { name, here } in rows {
        let explained = explain::find(name);
        let code = here.map_or_else(|| "-".to_owned(), |r| r.code.to_string());
        let subsystem = here.map_or("-", |r| &*r.subsystem);
        let class = explained.map_or("-", |e| e.class.name());
        let meaning = explained.map_or("-", |e| e.means);
        writeln!(table, "{code}\t{name}\t{subsystem}\t{class}\t{:#}\t{meaning}", kernels::of(name))?;
    }
    table.flush()?;
    Ok(())
}

fn write_json(rows: &[Row<'_>], out: &mut impl Write) -> anyhow::Result<()> {
    let rows: Vec<_> = rows
        .iter()
        .map(|Row { name, here }| {
            let explained = explain::find(name);
            json!({
                "code": here.map(|r| r.code),
                "name": name,
                "subsystem": here.map(|r| &*r.subsystem),
                "class": explained.map(|e| e.class),
                "kernels": kernels::of(name),
                "meaning": explained.map(|e| e.means),
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &rows)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: ReasonsOutput) -> String {
        let mut out = Vec::new();
        run(&ReasonsArgs { output, all: false }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_has_a_line_for_each_reason_and_columns_that_line_up() {
        let text = printed(ReasonsOutput::Table);
        let column = text.lines().next().unwrap().find("SUBSYSTEM").unwrap();
        assert_eq!(text.lines().count(), load().unwrap().len() + 1);
        let row = text.lines().find(|l| l.contains(" NO_SOCKET ")).unwrap();
        assert!(row[column..].starts_with("CORE ") && row.contains(" actionable     5.17+ "), "{row}");
        assert!(row.contains("no socket listens"), "{row}");
        assert!(text.lines().all(|l| l.trim_end() == l), "no spaces at line ends");
    }

    #[test]
    fn json_holds_the_same() {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&printed(ReasonsOutput::Json)).unwrap();
        let row = rows.iter().find(|r| r["name"] == "NETFILTER_DROP").unwrap();
        assert_eq!(
            row["code"].as_u64().map(|c| u32::try_from(c).unwrap()),
            load().unwrap().code("NETFILTER_DROP")
        );
        assert_eq!(row["subsystem"], "CORE");
    }

    #[test]
    fn a_kernel_without_reasons_says_so() {
        let error = write(&Reasons::default(), &ReasonsArgs::default(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("5.17"), "{error}");
        let mut all = Vec::new();
        let args = ReasonsArgs { all: true, output: ReasonsOutput::Json };
        write(&Reasons::default(), &args, &mut all).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&all).unwrap();
        let old = rows.iter().find(|r| r["name"] == "PTYPE_ABSENT").unwrap();
        assert_eq!((&old["code"], &old["kernels"]["last"]), (&json!(null), &json!("5.18")));
    }
}
