//! The stock Hubble client, by which netdrop's output is judged.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// What a client printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Printed {
    /// Exit code; none for a signal.
    pub code: Option<i32>,
    /// Its data.
    pub stdout: Vec<u8>,
    /// Its talk.
    pub stderr: Vec<u8>,
}

/// The stock client: `NETDROP_HUBBLE`, or where `cargo xtask test` builds it. `None`: it is not there, and one line has said so;
/// an error where `NETDROP_REQUIRE_HUBBLE` asks for it.
pub fn client(what: &str) -> Result<Option<PathBuf>> {
    found(what, "client", env::var_os("NETDROP_HUBBLE").map_or_else(|| built("hubble"), PathBuf::from))
}

/// Hubble's own relay: beside its client.
pub fn relay(what: &str) -> Result<Option<PathBuf>> {
    let client = env::var_os("NETDROP_HUBBLE").map_or_else(|| built("hubble"), PathBuf::from);
    found(what, "relay", client.with_file_name("hubble-relay"))
}

fn built(program: &str) -> PathBuf {
    let home = || env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from).join(".cache/netdrop/cluster");
    env::var_os("NETDROP_CLUSTER_BIN").map_or_else(home, PathBuf::from).join(program)
}

#[expect(clippy::print_stderr, reason = "what did not run is said")]
fn found(what: &str, kind: &str, path: PathBuf) -> Result<Option<PathBuf>> {
    if path.is_file() {
        return Ok(Some(path));
    }
    let missing = format!("{what}: there is no stock {kind} of Hubble at {}", path.display());
    if env::var_os("NETDROP_REQUIRE_HUBBLE").is_some() {
        bail!("{missing}");
    }
    eprintln!("SKIPPED {missing} (`cargo xtask test` builds it where Go is)");
    Ok(None)
}

/// Runs a client, without a config of the machine's.
pub fn run(client: &Path, args: &[String], env: &[(&str, &str)]) -> Result<Printed> {
    let output = Command::new(client)
        .args(args)
        .env_remove("HUBBLE_SERVER")
        .env_remove("HUBBLE_COMPAT")
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run {}", client.display()))?;
    Ok(Printed { code: output.status.code(), stdout: output.stdout, stderr: output.stderr })
}

/// Takes out what the API learned after the stock client was made.
pub fn for_stock(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("chunk_type");
            fields.remove("chunkType");
            fields.values_mut().for_each(for_stock);
        }
        Value::Array(list) => list.iter_mut().for_each(for_stock),
        Value::String(text) if text == "DROP_FRAG_NOT_FOUND_WORLD" => "POLICY_DENIED".clone_into(text),
        _ => {}
    }
}

/// The first line in which two outputs differ, for a person.
pub fn difference(expected: &[u8], found: &[u8]) -> String {
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes).split_inclusive('\n').map(|l| format!("{l:?}")).collect()
    };
    let (expected, found) = (lines(expected), lines(found));
    let at = expected.iter().zip(&found).take_while(|(e, f)| e == f).count();
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(nothing)".to_owned());
    format!(
        "{} lines expected, {} found; the first that differs is line {}\n expected {}\n    found {}",
        expected.len(),
        found.len(),
        at + 1,
        line(&expected),
        line(&found)
    )
}
