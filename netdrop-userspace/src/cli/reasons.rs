//! `netdrop reasons`: the drop reasons of the running kernel.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;
use tabwriter::TabWriter;

use crate::explain;
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

/// What was typed after `netdrop reasons`.
#[derive(Clone, Debug, Default, Args)]
pub struct ReasonsArgs {
    /// How to print the list.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ListOutput,
}

/// Reads this kernel's reasons and prints them.
pub fn run(args: &ReasonsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    write(&load()?, args.output, out)
}

/// The running kernel's reasons.
pub(super) fn load() -> anyhow::Result<Reasons> {
    let root = Path::new("/");
    Ok(Reasons::load(root, &Arc::new(Btf::vmlinux(root)?)))
}

/// Prints reasons, by code.
pub fn write(reasons: &Reasons, output: ListOutput, out: &mut impl Write) -> anyhow::Result<()> {
    anyhow::ensure!(
        !reasons.is_empty(),
        "this kernel gives no drop reasons (they came with Linux 5.17); netdrop observe still shows where packets die"
    );
    match output {
        ListOutput::Table => write_table(reasons, out),
        ListOutput::Json => write_json(reasons, out),
    }
}

fn meaning(name: &str) -> Option<&'static str> {
    explain::find(name).map(|e| e.means)
}

fn write_table(reasons: &Reasons, out: &mut impl Write) -> anyhow::Result<()> {
    let mut table = TabWriter::new(out).padding(2);
    writeln!(table, "CODE\tNAME\tSUBSYSTEM\tMEANING")?;
    for r in reasons.iter() {
        writeln!(table, "{}\t{}\t{}\t{}", r.code, r.name, r.subsystem, meaning(&r.name).unwrap_or("-"))?;
    }
    table.flush()?;
    Ok(())
}

fn write_json(reasons: &Reasons, out: &mut impl Write) -> anyhow::Result<()> {
    let rows: Vec<_> = reasons
        .iter()
        .map(|r| json!({ "code": r.code, "name": &*r.name, "subsystem": &*r.subsystem, "meaning": meaning(&r.name) }))
        .collect();
    serde_json::to_writer_pretty(&mut *out, &rows)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: ListOutput) -> String {
        let mut out = Vec::new();
        run(&ReasonsArgs { output }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_has_a_line_for_each_reason_and_columns_that_line_up() {
        let text = printed(ListOutput::Table);
        let column = text.lines().next().unwrap().find("SUBSYSTEM").unwrap();
        assert_eq!(text.lines().count(), load().unwrap().len() + 1);
        let row = text.lines().find(|l| l.contains(" NO_SOCKET ")).unwrap();
        assert!(row[column..].starts_with("CORE") && row.contains("no socket listens"), "{row}");
        assert!(text.lines().all(|l| l.trim_end() == l), "no spaces at line ends");
    }

    #[test]
    fn json_holds_the_same() {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&printed(ListOutput::Json)).unwrap();
        let row = rows.iter().find(|r| r["name"] == "NETFILTER_DROP").unwrap();
        assert_eq!(
            row["code"].as_u64().map(|c| u32::try_from(c).unwrap()),
            load().unwrap().code("NETFILTER_DROP")
        );
        assert_eq!(row["subsystem"], "CORE");
    }

    #[test]
    fn a_kernel_without_reasons_says_so() {
        let error = write(&Reasons::default(), ListOutput::Table, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("5.17"), "{error}");
    }
}
