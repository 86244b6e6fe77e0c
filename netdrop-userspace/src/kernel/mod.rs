//! What this kernel has, and what things are called in it.

mod btf;
mod fields;
mod reasons;
mod symbols;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use thiserror::Error;

pub use btf::{Btf, BtfError, Enum, Member};
pub use fields::MissingFields;
pub use reasons::{Reasons, glob, short};
pub use symbols::{HOW_TO_SEE, Symbols};

/// Where the kernel shows its BTF and its modules'.
pub const BTF_FOLDER: &str = "/sys/kernel/btf";

/// There is no BTF.
#[derive(Debug, Error)]
#[error(
    "{} is missing: netdrop needs a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian 11, Ubuntu 20.10, Fedora 31, RHEL 8.2 \
     and later have it)",
    .0.display()
)]
pub struct NoBtf(pub PathBuf);

/// All that the programs and the decoding must know of the running kernel.
#[derive(Clone, Debug)]
pub struct KernelInfo {
    /// Global's name and offset, for every row of the field table.
    pub fields: Vec<(&'static str, u32)>,
    /// Names of drop reasons.
    pub reasons: Arc<Reasons>,
    /// Whether `kfree_skb` passes a reason (5.17 and later).
    pub have_reason: bool,
    /// Arguments of `kfree_skb`: 2, 3 (with the reason) or 4 (with the receiving socket).
    pub kfree_skb_args: usize,
    /// `TCP_TIME_WAIT`.
    pub tcp_time_wait: u32,
    /// `TCP_NEW_SYN_RECV`.
    pub tcp_new_syn_recv: u32,
    /// `uname -r`.
    pub release: String,
}

impl KernelInfo {
    /// Of the running kernel.
    pub fn load() -> anyhow::Result<Self> {
        Self::load_from(Path::new(BTF_FOLDER))
    }

    /// From a folder laid out as /sys/kernel/btf.
    pub fn load_from(folder: &Path) -> anyhow::Result<Self> {
        let blobs = BtfFiles::read(folder)?;
        blobs.with(|vmlinux, all| Self::from_btf(vmlinux, all))?
    }

    fn from_btf<'a>(vmlinux: &'a Btf<'a>, all: &[&'a Btf<'a>]) -> anyhow::Result<Self> {
        let hook = vmlinux
            .argument_count("btf_trace_kfree_skb")
            .context("this kernel's BTF has no tracepoint kfree_skb, netdrop's hook")?;
        // The first argument of the prototype is the hook's own data pointer.
        let kfree_skb_args = hook.saturating_sub(1);
        let number = |name: &str| {
            vmlinux
                .enumerator(name)
                .and_then(|v| u32::try_from(v).ok())
                .with_context(|| format!("BTF has no {name}"))
        };
        Ok(Self {
            fields: fields::offsets(vmlinux)?,
            reasons: Arc::new(Reasons::from_btf(all.iter().copied())),
            have_reason: kfree_skb_args >= 3,
            kfree_skb_args,
            tcp_time_wait: number("TCP_TIME_WAIT")?,
            tcp_new_syn_recv: number("TCP_NEW_SYN_RECV")?,
            release: release(),
        })
    }
}

/// `uname -r`.
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |r| r.trim().to_owned())
}

/// The BTF files, as bytes.
pub struct BtfFiles {
    vmlinux: Vec<u8>,
    modules: Vec<Vec<u8>>,
}

impl BtfFiles {
    /// Reads `vmlinux` and every module's.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("vmlinux");
        if !path.exists() {
            return Err(NoBtf(path).into());
        }
        let vmlinux = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let modules = entries
            .flatten()
            .filter(|e| e.file_name() != "vmlinux")
            .filter_map(|e| fs::read(e.path()).ok())
            .collect();
        Ok(Self { vmlinux, modules })
    }

    /// Calls `f` with the kernel's BTF and with all blobs. A module's that can't be read only lacks its names.
    pub fn with<R>(&self, f: impl FnOnce(&Btf<'_>, &[&Btf<'_>]) -> R) -> Result<R, BtfError> {
        let vmlinux = Btf::parse(&self.vmlinux, None)?;
        let modules: Vec<Btf<'_>> =
            self.modules.iter().filter_map(|bytes| Btf::parse(bytes, Some(&vmlinux)).ok()).collect();
        let all: Vec<&Btf<'_>> = std::iter::once(&vmlinux).chain(&modules).collect();
        Ok(f(&vmlinux, &all))
    }
}

#[cfg(test)]
mod tests;
