//! `cargo xtask vm`: the tests of real drops on Debian's kernels, each booted in a machine of its own, and on this machine's.

mod cpio;
mod initramfs;
mod kernel;
mod machine;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::image::{self, STATIC, target_folder};
use crate::shell::{cargo, say};
use crate::tools;
use initramfs::Tree;
use kernel::Kernel;
use machine::Machine;
use report::Report;

/// Where the guest has the binaries under test.
const NETDROP: &str = "usr/local/bin/netdrop";
const SUITE: &str = "usr/local/bin/netdrop-suite";
/// Modules that nothing asks for by itself, in time.
const MODULES: &str = "br_netfilter nf_conntrack openvswitch";
/// How much longer than usual the tests of an emulated machine wait.
const PATIENCE: u32 = 10;

/// What was typed after `cargo xtask vm`.
#[derive(Args)]
pub struct VmArgs {
    /// Only this kernel, as 6.1; `host` is this machine's own
    #[arg(long, value_name = "SERIES")]
    kernel: Option<String>,
    /// Keep the guests' root file systems in target/vm
    #[arg(long)]
    keep: bool,
    /// Boot to a shell instead (needs --kernel)
    #[arg(long, requires = "kernel")]
    shell: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// What the guests run.
struct Binaries {
    netdrop: PathBuf,
    suite: PathBuf,
    packages: Vec<&'static str>,
}

/// Runs them; an error if a test failed.
pub fn vm(args: &VmArgs) -> anyhow::Result<()> {
    let packages = tools::vm()?;
    let kernels = kernel::find(args.kernel.as_deref())?;
    let binaries = Binaries { netdrop: image::netdrop()?, suite: suite()?, packages };
    let mut failed = Vec::new();
    for kernel in &kernels {
        let started = Instant::now();
        let report = boot(kernel, &binaries, args)?;
        let Some(report) = report else { continue };
        let (passed, applicable) = (report.passed, report.applicable());
        let seconds = started.elapsed().as_secs();
        say(
            if report.failed.is_empty() { "ok" } else { "!!" },
            format_args!("{}: {passed} of {applicable} tests passed ({seconds} s)", report.release),
        );
        failed.extend(report.failed.iter().map(|test| format!("{}: {test}", kernel.series)));
    }
    ensure!(failed.is_empty(), "failed:\n  {}", failed.join("\n  "));
    Ok(())
}

/// Builds the suite as one static binary and gives its path.
fn suite() -> anyhow::Result<PathBuf> {
    say("...", "building the tests, static");
    let build = ["test", "--quiet", "--no-run", "--target", STATIC, "--message-format", "json"];
    let output = cargo(&build)
        .args(["--package", "netdrop-tests", "--test", "suite"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "the tests do not build");
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(executable)
        .next_back()
        .context("cargo names no binary of the tests")
}

/// Boots a kernel and reads its report; none of a shell.
fn boot(kernel: &Kernel, binaries: &Binaries, args: &VmArgs) -> anyhow::Result<Option<Report>> {
    say("...", format_args!("kernel {} boots", kernel.release));
    let folder = target_folder().join("vm").join(&kernel.series);
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let initramfs = folder.join("initramfs.cpio");
    tree(kernel, binaries, args)?.write(&initramfs)?;
    let machine = Machine {
        kernel,
        initramfs: &initramfs,
        console: folder.join("console.txt"),
        report: folder.join("report.txt"),
    };
    if args.shell {
        machine.shell()?;
        return Ok(None);
    }
    let reported = machine.run();
    if !args.keep {
        fs::remove_file(&initramfs).with_context(|| format!("can't remove {}", initramfs.display()))?;
    }
    let context = || format!("kernel {}, whose last words were:\n{}", kernel.release, machine.last_words());
    let report = reported.and_then(|text| Report::read(&text)).with_context(context)?;
    fs::write(folder.join("result.json"), format!("{:#}\n", report.to_json()))?;
    Ok(Some(report))
}

fn tree(kernel: &Kernel, binaries: &Binaries, args: &VmArgs) -> anyhow::Result<Tree> {
    let mut tree = Tree::new();
    tree.packages(&binaries.packages)?;
    tree.modules(&kernel.modules, &kernel.release)?;
    tree.copy(NETDROP, &binaries.netdrop);
    tree.copy(SUITE, &binaries.suite);
    let protocols = Path::new("/etc/protocols");
    if protocols.is_file() {
        tree.copy("etc/protocols", protocols);
    }
    tree.text("init", include_str!("init.sh"));
    tree.text("etc/netdrop-report", include_str!("report.sh"));
    let shell = if args.shell { "1" } else { "" };
    let filter = args.filter.as_deref().unwrap_or_default();
    tree.text(
        "etc/netdrop-vm",
        format!(
            "MODULES='{MODULES}'\nSHELL_ONLY={shell}\nexport NETDROP_BIN=/{NETDROP}\nSUITE=/{SUITE}\n\
             FILTER='{filter}'\nexport NETDROP_TEST_PATIENCE={PATIENCE}\n"
        ),
    );
    Ok(tree)
}
