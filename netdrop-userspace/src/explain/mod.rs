//! What drop reasons mean in plain words: the usual causes in a Kubernetes cluster and the next command to run.
//!
//! Keyed by the kernel's name, never by its number. The sentences follow include/net/dropreason-core.h and the places that use
//! each reason, Linux 6.18. In commands, words in capitals are to be replaced.

mod devices;
mod headers;
mod neighbour;
mod policy;
mod queues;
mod routing;
mod sockets;
mod tcp;
#[cfg(test)]
mod tests;

use serde::Serialize;

/// Whether a drop of this kind is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Something is set wrong, blocked or overloaded, and someone can mend it.
    Actionable,
    /// Normal operation; no packet that matters was lost.
    Benign,
    /// Says what happened, not whether it is a fault: it depends on how often and to whom.
    Informational,
}

impl Class {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Actionable => "actionable",
            Self::Benign => "benign",
            Self::Informational => "informational",
        }
    }

    /// What the class tells the reader to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Actionable => "something blocks, lacks or overflows, and it can be mended",
            Self::Benign => "normal operation; nothing that matters was lost",
            Self::Informational => "a fault only if it is frequent or someone complains",
        }
    }
}

/// A command to run next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The command line.
    pub command: &'static str,
    /// What it shows.
    pub shows: &'static str,
}

/// What one drop reason means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The kernel's name, without `SKB_DROP_REASON_`.
    pub name: &'static str,
    /// Names that other kernel versions give the same thing.
    pub also: &'static [&'static str],
    /// Whether it is a fault.
    pub class: Class,
    /// One sentence.
    pub means: &'static str,
    /// Usual causes in a cluster, the likeliest first.
    pub causes: &'static [&'static str],
    /// What to run next.
    pub next: &'static [Step],
}

const TABLES: [&[Explanation]; 8] = [
    policy::TABLE,
    routing::TABLE,
    neighbour::TABLE,
    sockets::TABLE,
    tcp::TABLE,
    queues::TABLE,
    devices::TABLE,
    headers::TABLE,
];

/// All explanations, by subject.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The explanation of a reason, by its name in upper case without a prefix.
pub fn find(name: &str) -> Option<&'static Explanation> {
    all().find(|e| e.name == name || e.also.contains(&name))
}

/// Makes a table's rows as short as a readable page.
macro_rules! explanations {
    ($($name:ident $(($($also:ident),+))? : $class:ident, $means:literal,
        causes [$($cause:literal),+ $(,)?], next [$($command:literal => $shows:literal),+ $(,)?];)+) => {
        &[$($crate::explain::Explanation {
            name: stringify!($name),
            also: &[$($(stringify!($also)),+)?],
            class: $crate::explain::Class::$class,
            means: $means,
            causes: &[$($cause),+],
            next: &[$($crate::explain::Step { command: $command, shows: $shows }),+],
        }),+]
    };
}
use explanations;
