//! The facts about the running kernel that loading the BPF programs needs, gathered once.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::{Btf, Reasons, fields};

/// What the loader and the decoder must know about the running kernel.
#[derive(Clone, Debug)]
pub struct KernelInfo {
    /// `uname -r`.
    pub release: String,
    /// Offset of every row of the table of kernel fields: (global, bytes or `ABSENT`).
    pub fields: Vec<(&'static str, u32)>,
    /// Names of drop reasons.
    pub reasons: Arc<Reasons>,
    /// Whether `kfree_skb` passes a reason (5.17 and later).
    pub have_reason: bool,
    /// Arguments of the `kfree_skb` tracepoint: 2 before 5.17, 3 before 6.11, then 4.
    pub kfree_skb_args: usize,
    /// `TCP_TIME_WAIT`.
    pub tcp_time_wait: u32,
    /// `TCP_NEW_SYN_RECV`.
    pub tcp_new_syn_recv: u32,
}

impl KernelInfo {
    /// Reads the running kernel.
    ///
    /// # Errors
    ///
    /// One clear error where BTF is missing or can't be read, or where a struct lacks a field that netdrop needs.
    pub fn load() -> anyhow::Result<Self> {
        Self::load_from(Path::new("/"))
    }

    /// Reads a kernel whose `/sys` and `/proc` lie below `root`.
    pub fn load_from(root: &Path) -> anyhow::Result<Self> {
        let btf = Arc::new(Btf::vmlinux(root)?);
        let release = release(root)?;
        let arguments = btf.tracepoint_arguments("kfree_skb").with_context(|| {
            format!("kernel {release} has no tracepoint kfree_skb in its BTF; it needs CONFIG_BPF_EVENTS=y")
        })?;
        Ok(Self {
            fields: fields::resolve(&btf).with_context(|| format!("kernel {release} does not fit"))?,
            reasons: Arc::new(Reasons::load(root, &btf)),
            have_reason: passes_reason(&btf, &arguments),
            kfree_skb_args: arguments.len(),
            tcp_time_wait: tcp_state(&btf, "TCP_TIME_WAIT")?,
            tcp_new_syn_recv: tcp_state(&btf, "TCP_NEW_SYN_RECV")?,
            release,
        })
    }
}

/// `uname -r` as procfs below `root` tells it.
pub fn release(root: &Path) -> anyhow::Result<String> {
    let path = root.join("proc/sys/kernel/osrelease");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// Whether the third argument of `kfree_skb` is the reason.
pub(super) fn passes_reason(btf: &Btf, arguments: &[u32]) -> bool {
    arguments.get(2).is_some_and(|id| btf.target_name(*id) == "skb_drop_reason")
}

fn tcp_state(btf: &Btf, name: &str) -> anyhow::Result<u32> {
    let value = btf.enum_value(name).with_context(|| format!("the kernel's BTF does not name {name}"))?;
    u32::try_from(value).with_context(|| format!("{name} is {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::writer::Writer;

    #[test]
    fn the_running_kernel_is_known() {
        let info = KernelInfo::load().unwrap();
        assert_eq!(info.release, std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
        assert_eq!(info.fields.len(), netdrop_common::fields::KERNEL_FIELDS.len());
        assert_eq!(info.have_reason, info.kfree_skb_args >= 3);
        assert_eq!(info.have_reason, !info.reasons.is_empty());
        // ABI: include/uapi/linux/bpf.h repeats them as BPF_TCP_*.
        assert_eq!((info.tcp_time_wait, info.tcp_new_syn_recv), (6, 12));
    }

    /// A kernel whose `kfree_skb` has these arguments after `__data`.
    fn with_arguments(reason: bool) -> Btf {
        let mut w = Writer::new();
        w.enumeration("skb_drop_reason", &[("SKB_DROP_REASON_NO_SOCKET", 3)]);
        w.head(0, 2, false, 0, 0);
        let arguments: &[u32] = if reason { &[2, 2, 2, 1] } else { &[2, 2, 2] };
        w.head(0, 13, false, u32::try_from(arguments.len()).unwrap(), 0);
        for id in arguments {
            w.words(&[0, *id]);
        }
        w.head(0, 2, false, 0, 3);
        let name = w.name("btf_trace_kfree_skb");
        w.head(name, 8, false, 0, 4);
        Btf::parse(w.finish()).unwrap()
    }

    #[test]
    fn a_kernel_before_reasons_is_told_by_its_prototype() {
        for reason in [true, false] {
            let btf = with_arguments(reason);
            let arguments = btf.tracepoint_arguments("kfree_skb").unwrap();
            assert_eq!((arguments.len(), passes_reason(&btf, &arguments)), (2 + usize::from(reason), reason));
        }
    }

    #[test]
    fn no_btf_is_one_clear_error() {
        let root = tempfile::tempdir().unwrap();
        let error = format!("{:#}", KernelInfo::load_from(root.path()).unwrap_err());
        assert!(error.contains("this kernel has no BTF"), "{error}");
    }
}
