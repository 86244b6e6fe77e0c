//! What drop reasons mean in plain words: the usual causes in a Kubernetes cluster and the next command to run.
//!
//! Keyed by the kernel's name, never by its number. The sentences follow include/net/dropreason-core.h and the places that use
//! each reason, Linux 6.18; [`kernels`] says which releases have a name, [`sites`] what a vague one means at a place. In commands,
//! words in capitals are to be replaced.
//!
//! Benign is only what can't be a real loss, whoever looks: `observe` hides it unless it is asked for.

mod devices;
mod document;
mod headers;
mod judge;
pub mod kernels;
mod neighbour;
mod openvswitch;
mod policy;
mod queues;
mod routing;
pub mod sites;
mod sockets;
mod tcp;
#[cfg(test)]
mod tests;
mod wifi;

use serde::Serialize;

pub use document::markdown;
pub use judge::{Judgement, benign_codes, compile_asking, is_asked_for, judge};

/// Whether a drop of this kind is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Something is set wrong, blocked or overloaded, and someone can mend it.
    Actionable,
    /// Normal operation; no packet that matters was lost, in no case.
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

/// A heading and the explanations under it.
type Subject = (&'static str, &'static [Explanation]);

const SUBJECTS: [Subject; 10] = [
    ("Dropped on purpose: netfilter, BPF, tc, XDP, security, IPsec", policy::TABLE),
    ("Routes, addresses, forwarding, size", routing::TABLE),
    ("The last hop: ARP, neighbour discovery, bridges, MAC addresses", neighbour::TABLE),
    ("Ports, buffers, memory of the receiver", sockets::TABLE),
    ("TCP's own rules", tcp::TABLE),
    ("Queues that are full", queues::TABLE),
    ("Devices, drivers, and no reason given", devices::TABLE),
    ("Headers, lengths, fragments", headers::TABLE),
    ("Open vSwitch", openvswitch::TABLE),
    ("Wi-Fi", wifi::TABLE),
];

/// All explanations, by subject.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    SUBJECTS.iter().flat_map(|(_, table)| table.iter())
}

/// Every name that is explained, also those of other kernels.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().flat_map(|e| std::iter::once(e.name).chain(e.also.iter().copied()))
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
