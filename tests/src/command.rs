//! Running `ip`, `nft` and `iptables`, with errors that say what failed.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a program in the calling thread's network namespace and gives what it printed on stdout.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run {program} (is its package installed?)"))?;
    text(program, args, output)
}

/// Like [`run`], with a text on the program's stdin.
pub fn feed(program: &str, args: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't run {program} (is its package installed?)"))?;
    let mut stdin = child.stdin.take().context("the child has no stdin")?;
    let written = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().with_context(|| format!("can't wait for {program}"))?;
    let text = text(program, args, output).with_context(|| format!("its input was:\n{input}"))?;
    written.with_context(|| format!("{program} did not read its input"))?;
    Ok(text)
}

fn text(program: &str, args: &[&str], output: Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed ({}): {}", args.join(" "), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed what is not UTF-8"))
}
