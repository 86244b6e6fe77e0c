//! `cargo xtask docs`: the documents that are written from the code, so that they say what the program says.

use anyhow::Context as _;

use crate::shell::{cargo, quiet, root, say};

/// Writes docs/reasons.md.
pub fn docs() -> anyhow::Result<()> {
    let netdrop = ["run", "--quiet", "--package", "netdrop-userspace", "--bin", "netdrop", "--"];
    let text = quiet(cargo(&netdrop).args(["reasons", "--output", "markdown"]))?;
    let path = root().join("docs/reasons.md");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say("ok", format_args!("{}", path.display()));
    Ok(())
}
