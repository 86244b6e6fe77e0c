//! What this machine lets netdrop do, each thing with what is lost without it.

mod attempts;
mod host;
#[cfg(test)]
mod tests;
mod tracing;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

pub use attempts::Attempts;

use super::Btf;

/// How well a feature is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There.
    Ok,
    /// There in part, or something else does most of it.
    Degraded,
    /// Not there.
    Missing,
}

impl State {
    /// As the table prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

/// One thing that netdrop can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// What it is.
    pub name: &'static str,
    /// Whether it is there.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What is lost without it.
    pub without: &'static str,
}

impl Feature {
    fn ok(name: &'static str, detail: impl Into<String>, without: &'static str) -> Self {
        Self { name, state: State::Ok, detail: detail.into(), without }
    }

    fn degraded(name: &'static str, detail: impl Into<String>, without: &'static str) -> Self {
        Self { name, state: State::Degraded, detail: detail.into(), without }
    }

    fn missing(name: &'static str, detail: impl Into<String>, without: &'static str) -> Self {
        Self { name, state: State::Missing, detail: detail.into(), without }
    }
}

/// The features of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Features {
    /// `uname -r`; empty where procfs does not tell.
    pub release: String,
    /// All, in the order they matter.
    pub features: Vec<Feature>,
}

/// Which of the two capabilities that capture needs (`BPF`, `PERFMON`) this process lacks.
pub fn lacking_capabilities() -> Vec<&'static str> {
    host::lacking(Path::new("/"))
}

impl Features {
    /// Probes the machine this runs on. Leaves nothing behind in the kernel.
    ///
    /// `tp_btf` is what loading the capture gave, where that was tried.
    pub fn probe(tp_btf: Option<Result<(), String>>) -> Self {
        Self::read(Path::new("/"), &Attempts { tp_btf, ..Attempts::make() })
    }

    /// Reads what lies below `root`; never fails, what can't be read is missing.
    pub fn read(root: &Path, attempts: &Attempts) -> Self {
        let btf = Btf::vmlinux(root).map(Arc::new);
        let mut features = tracing::features(root, btf.as_ref(), attempts);
        features.extend(host::features(root, btf.as_deref().ok()));
        Self { release: super::release(root).unwrap_or_default(), features }
    }

    /// The feature of this name.
    pub fn get(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|f| f.name == name)
    }
}
