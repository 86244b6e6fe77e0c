//! `cargo xtask man`: the man pages, from the definition of the command line.

use std::path::PathBuf;

use clap::Args;

use crate::image::target_folder;
use crate::shell::{cargo, run, say};

/// What was typed after `cargo xtask man`.
#[derive(Args)]
pub struct ManArgs {
    /// Where to [default: man in the folder of what is built]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes them.
pub fn man(args: ManArgs) -> anyhow::Result<()> {
    let out = args.out.unwrap_or_else(|| target_folder().join("man"));
    say("...", "building netdrop");
    let mut command = cargo(&["run", "--quiet", "--package", "netdrop-userspace", "--", "man"]);
    run(command.arg(&out))?;
    say("ok", format_args!("man pages in {0}; read one: man -l {0}/netdrop-observe.1", out.display()));
    Ok(())
}
