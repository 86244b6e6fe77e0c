//! A Debian kernel in a machine of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::initramfs::Tree;
use super::kernel::Kernel;
use super::machine::Machine;
use super::report::Report;
use super::{Binaries, VmArgs, folder};
use crate::shell::say;

/// Where the guest has the binaries under test.
const NETDROP: &str = "usr/local/bin/netdrop";
const SUITE: &str = "usr/local/bin/netdrop-suite";
/// Modules that nothing asks for by itself, in time.
const MODULES: &str = "br_netfilter nf_conntrack";
/// Modules that name reasons. The suite runs without them: openvswitch tracks connections in every namespace.
const LATE_MODULES: &str = "openvswitch";
/// How many times longer than usual the tests wait: the machine is emulated.
const PATIENCE: u32 = 4;

/// Boots it and reads its report.
pub(super) fn run(kernel: &Kernel, binaries: &Binaries, args: &VmArgs) -> anyhow::Result<Report> {
    say("...", format_args!("kernel {} boots", kernel.release));
    let folder = folder(&kernel.series)?;
    let initramfs = initramfs(&folder);
    let filter = args.filter.as_deref().unwrap_or_default();
    tree(kernel, binaries, &format!("FILTER={filter}"))?.write(&initramfs)?;
    let machine = Machine { kernel, initramfs: &initramfs, console: folder.join("console.txt") };
    let reported = machine.run(&folder.join("report.txt"));
    if !args.keep {
        fs::remove_file(&initramfs).with_context(|| format!("can't remove {}", initramfs.display()))?;
    }
    let context = || format!("kernel {}, whose last words were:\n{}", kernel.release, machine.last_words());
    reported.and_then(|text| Report::read(&text)).with_context(context)
}

/// Boots it to a shell on this terminal, with all that the tests have.
pub(super) fn shell(kernel: &Kernel, binaries: &Binaries) -> anyhow::Result<()> {
    say("...", format_args!("kernel {} boots; `exit` powers it off", kernel.release));
    let folder = folder(&kernel.series)?;
    let initramfs = initramfs(&folder);
    tree(kernel, binaries, "SHELL_ONLY=1")?.write(&initramfs)?;
    Machine { kernel, initramfs: &initramfs, console: folder.join("console.txt") }.shell()
}

fn initramfs(folder: &Path) -> PathBuf {
    folder.join("initramfs.cpio")
}

fn tree(kernel: &Kernel, binaries: &Binaries, setting: &str) -> anyhow::Result<Tree> {
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
    tree.text("etc/netdrop/report", include_str!("report.sh"));
    let settings = format!(
        "MODULES='{MODULES}'\nLATE_MODULES='{LATE_MODULES}'\nSUITE=/{SUITE}\n{setting}\n\
         export NETDROP_BIN=/{NETDROP} NETDROP_TEST_PATIENCE={PATIENCE} NETDROP_TEST_GUEST=1\n"
    );
    tree.text("etc/netdrop/settings", settings);
    Ok(tree)
}
