//! `netdrop status`: flags; and with `--local` what this machine lets netdrop do.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use tabwriter::TabWriter;

use super::reasons::ListOutput;
use super::server_flags::ServerFlags;
use crate::kernel::features::{Features, State};

/// What was typed after `netdrop status`.
#[derive(Clone, Debug, Default, Args)]
pub struct StatusArgs {
    /// Probe this machine instead of asking a server
    #[arg(long, conflicts_with = "server")]
    pub local: bool,
    /// compact, dict, json or table; with --local: table or json
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
    /// The server
    #[command(flatten)]
    pub server: ServerFlags,
}

impl StatusArgs {
    /// How to print the status of this machine.
    pub fn local_output(&self) -> anyhow::Result<ListOutput> {
        match self.output.as_deref() {
            None | Some("table") => Ok(ListOutput::Table),
            Some("json") => Ok(ListOutput::Json),
            Some(other) => bail!("invalid output format: {other}; with --local want table or json"),
        }
    }
}

/// Prints the features of a machine.
pub fn write(features: &Features, output: ListOutput, out: &mut impl Write) -> anyhow::Result<()> {
    match output {
        ListOutput::Table => write_table(features, out),
        ListOutput::Json => {
            serde_json::to_writer_pretty(&mut *out, features)?;
            writeln!(out)?;
            Ok(())
        }
    }
}

fn write_table(features: &Features, out: &mut impl Write) -> anyhow::Result<()> {
    let release = if features.release.is_empty() { "unknown" } else { &features.release };
    writeln!(out, "Kernel {release}\n")?;
    let mut table = TabWriter::new(&mut *out).padding(2);
    writeln!(table, "STATE\tWHAT\tDETAIL")?;
    for f in &features.features {
        writeln!(table, "{}\t{}\t{}", f.state.name(), f.name, f.detail)?;
        if f.state != State::Ok {
            writeln!(table, "\t\twithout it: {}", f.without)?;
        }
    }
    table.flush()?;
    let lacking = |state| features.features.iter().filter(|f| f.state == state).count();
    writeln!(out, "\n{} missing, {} degraded", lacking(State::Missing), lacking(State::Degraded))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::features::Attempts;

    #[test]
    fn what_is_missing_says_what_is_lost_in_aligned_columns() {
        let root = tempfile::tempdir().unwrap();
        let features = Features::read(root.path(), &Attempts::default());
        let mut out = Vec::new();
        write(&features, ListOutput::Table, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let column = text.lines().find_map(|l| l.find("DETAIL")).unwrap();
        let lost: Vec<_> = text.lines().filter_map(|l| l.find("without it: ")).collect();
        let not_ok = features.features.iter().filter(|f| f.state != State::Ok).count();
        assert_eq!(lost, vec![column; not_ok]);
        assert!(text.starts_with("Kernel unknown\n"), "{text}");
    }

    #[test]
    fn json_holds_every_feature_with_its_loss() {
        let features = Features::probe(None);
        let mut out = Vec::new();
        write(&features, ListOutput::Json, &mut out).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["release"], features.release.as_str());
        let all = json["features"].as_array().unwrap();
        assert_eq!(all.len(), features.features.len());
        assert!(all.iter().all(|f| f["without"].is_string() && f["state"].is_string()));
    }
}
