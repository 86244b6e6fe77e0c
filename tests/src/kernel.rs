//! What the running kernel has: older ones drop the same packets, but name fewer reasons.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::command;

/// The reason of drops that a kernel does not name.
pub const UNNAMED: &str = "NOT_SPECIFIED";

/// A kernel, by its version and by the reasons in its BTF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    version: (u32, u32),
    reasons: BTreeSet<String>,
}

impl Kernel {
    /// The running one; the netdrop at `binary` reads its BTF.
    pub fn running(binary: &Path) -> Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("can't read the release")?;
        let binary = binary.to_str().context("netdrop's path is not UTF-8")?;
        let listed = command::run(binary, &["reasons", "--output", "json"])?;
        Self::read(&release, &listed)
    }

    fn read(release: &str, listed: &str) -> Result<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let version = match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        };
        let version = version.with_context(|| format!("no version in {release:?}"))?;
        let reasons: serde_json::Value =
            serde_json::from_str(listed).context("`netdrop reasons` printed no JSON")?;
        let names = reasons.as_array().into_iter().flatten();
        let reasons = names.filter_map(|reason| Some(reason["name"].as_str()?.to_owned())).collect();
        Ok(Self { version, reasons })
    }

    /// Whether it is Linux `major.minor` or later.
    pub fn is_since(&self, major: u32, minor: u32) -> bool {
        self.version >= (major, minor)
    }

    /// Major and minor number.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Whether it has a name for this reason.
    pub fn has_reason(&self, name: &str) -> bool {
        self.reasons.contains(name)
    }

    /// What it calls this reason.
    pub fn reason<'a>(&self, name: &'a str) -> &'a str {
        if self.has_reason(name) { name } else { UNNAMED }
    }
}

/// The text format of a tracepoint. tracefs may not be mounted: it is, for a moment, in a mount namespace of its own.
pub fn tracepoint(group: &str, name: &str) -> Result<String> {
    let script = format!(
        "test -e /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing; \
         cat /sys/kernel/tracing/events/{group}/{name}/format"
    );
    command::run("unshare", &["--mount", "sh", "-c", &script])
}

/// Code and name of each reason that the tracepoint itself can print: the core's, without BTF.
pub fn tracepoint_reasons() -> Result<Vec<(String, String)>> {
    let format = tracepoint("skb", "kfree_skb")?;
    let symbols =
        format.split("__print_symbolic").nth(1).context("the tracepoint prints no reasons by name")?;
    let pairs = symbols.split('{').skip(1).filter_map(|pair| pair.split('}').next()?.split_once(','));
    let named = pairs.map(|(code, name)| (code.trim().to_owned(), name.trim().trim_matches('"').to_owned()));
    Ok(named.filter(|(_, name)| name != "MAX").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_without_a_name_is_not_specified() {
        let listed = r#"[{"code": 2, "name": "NOT_SPECIFIED"}, {"code": 3, "name": "NO_SOCKET"}]"#;
        let kernel = Kernel::read("6.1.0-56-cloud-amd64\n", listed).unwrap();
        assert_eq!(kernel.reason("NO_SOCKET"), "NO_SOCKET");
        assert_eq!(kernel.reason("VXLAN_VNI_NOT_FOUND"), UNNAMED);
        assert!(kernel.is_since(6, 1) && kernel.is_since(5, 17) && !kernel.is_since(6, 12));
        assert!(Kernel::read("unknown", listed).is_err());
    }
}
