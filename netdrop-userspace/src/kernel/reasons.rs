//! Names of drop reasons, from the enums in the running kernel's BTF and in that of its modules.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Btf;
use crate::flow::DropReason;

/// `SKB_DROP_REASON_SUBSYS_SHIFT` (include/net/dropreason.h, 6.4): the subsystem lies above.
const SUBSYS_SHIFT: u32 = 16;
/// What the kernel's own names begin with and netdrop's don't.
const PREFIX: &str = "SKB_DROP_REASON_";
/// Most reasons kept; a kernel with all its modules has some hundreds.
const KNOWN_MAX: usize = 4096;
/// Most names of unknown codes kept; a kernel has a handful at most.
const UNKNOWN_MAX: usize = 1024;

/// The drop reasons of one kernel.
#[derive(Debug, Default)]
pub struct Reasons {
    known: BTreeMap<u32, DropReason>,
    by_name: HashMap<Box<str>, u32>,
    subsystems: BTreeMap<u32, Arc<str>>,
    /// Names made for codes that BTF does not name, so that each is made once.
    unknown: Mutex<HashMap<u32, DropReason>>,
}

impl Reasons {
    /// Reads the enums of the kernel and of the modules' BTF; empty where the kernel has no reasons (before 5.17).
    pub fn from_btf(kernel: &Btf, modules: &[Btf]) -> Self {
        let mut reasons = Self { subsystems: subsystems(kernel), ..Self::default() };
        for t in kernel.named("skb_drop_reason").filter(super::btf::Type::is_enum) {
            for e in kernel.enumerators(t).filter(|e| !is_marker(e.name)) {
                reasons.add(e.code(), core_name(e.name));
            }
        }
        for btf in std::iter::once(kernel).chain(modules) {
            for t in btf.enums().filter(|t| btf.name(t).contains("drop_reason")) {
                reasons.add_subsystem_enum(btf, t);
            }
        }
        // As `code` looks for them: a name of small letters must be found, too.
        let keys = reasons.known.iter().map(|(code, r)| (bare_name(&r.name).into(), *code));
        reasons.by_name = keys.collect();
        reasons
    }

    /// Reads the BTF of loaded modules below `root`, then all enums. A module whose BTF can't be read is left out, and one that is
    /// loaded later too: its reasons are `SUBSYS:NUMBER`.
    pub fn load(root: &Path, kernel: &Arc<Btf>) -> Self {
        Self::from_btf(kernel, &module_btf(root, kernel))
    }

    /// The enums of mac80211, openvswitch and others start at their subsystem's number in the upper half.
    fn add_subsystem_enum(&mut self, btf: &Btf, t: super::btf::Type<'_>) {
        let of_subsystem =
            |code: u32| code >> SUBSYS_SHIFT != 0 && self.subsystems.contains_key(&(code >> SUBSYS_SHIFT));
        let found: Vec<(u32, &str)> = btf
            .enumerators(t)
            .map(|e| (e.code(), e.name))
            .filter(|(code, name)| of_subsystem(*code) && !is_marker(name) && !is_base(*code, name))
            .collect();
        // A twin enum has the same names with underscores before them (mac80211): the bare ones win.
        for (code, name) in found {
            if !name.starts_with('_') || !self.known.contains_key(&code) {
                self.add(code, name.trim_start_matches('_'));
            }
        }
    }

    fn add(&mut self, code: u32, name: &str) {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&code) {
            return;
        }
        let subsystem = self.subsystem(code >> SUBSYS_SHIFT);
        self.known.insert(code, DropReason { code, subsystem, name: Arc::from(name) });
    }

    fn subsystem(&self, number: u32) -> Arc<str> {
        match self.subsystems.get(&number) {
            Some(name) => Arc::clone(name),
            None if number == 0 => Arc::from("CORE"),
            None => Arc::from(number.to_string()),
        }
    }

    /// What a code is called; one that BTF does not name becomes `SUBSYS:NUMBER`. Does not allocate for a code seen before.
    pub fn name(&self, code: u32) -> DropReason {
        if let Some(reason) = self.known.get(&code) {
            return reason.clone();
        }
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = unknown.get(&code) {
            return reason.clone();
        }
        let subsystem = self.subsystem(code >> SUBSYS_SHIFT);
        let name = Arc::from(format!("{subsystem}:{}", code & 0xffff));
        let reason = DropReason { code, subsystem, name };
        if unknown.len() < UNKNOWN_MAX {
            unknown.insert(code, reason.clone());
        }
        reason
    }

    /// The code of a name in any case, with or without `SKB_DROP_REASON_`; also of a `SUBSYS:NUMBER`.
    pub fn code(&self, name: &str) -> Option<u32> {
        let wanted = bare_name(name);
        let of_name = |name: &str| self.by_name.get(name).copied();
        if let Some(code) = of_name(&wanted).or_else(|| of_name(wanted.strip_prefix("SKB_")?)) {
            return Some(code);
        }
        let (subsystem, number) = wanted.split_once(':')?;
        let number = number.parse::<u16>().ok()?;
        let by_name = self.subsystems.iter().find(|(_, s)| ***s == *subsystem).map(|(n, _)| *n);
        let subsystem = by_name.or_else(|| (subsystem == "CORE").then_some(0)).or_else(|| {
            let number = subsystem.parse::<u16>().ok()?;
            Some(u32::from(number))
        })?;
        Some(subsystem << SUBSYS_SHIFT | u32::from(number))
    }

    /// All known reasons, by code.
    pub fn iter(&self) -> impl Iterator<Item = &DropReason> {
        self.known.values()
    }

    /// The known subsystems, by number.
    pub fn subsystems(&self) -> impl Iterator<Item = (u32, &str)> {
        self.subsystems.iter().map(|(number, name)| (*number, &**name))
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether this kernel has none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The known name nearest to a mistyped one, if any is near.
    pub fn closest(&self, name: &str) -> Option<&str> {
        closest(&bare_name(name), self.known.values().map(|r| &*r.name))
    }
}

/// A reason's name as netdrop shows it: upper case, without `SKB_DROP_REASON_`.
pub fn bare_name(name: &str) -> String {
    let name = name.trim().to_ascii_uppercase();
    name.strip_prefix(PREFIX).unwrap_or(&name).to_owned()
}

/// The candidate with the fewest edits from `wanted`; `None` where even that needs more than a third of the letters.
pub fn closest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: String = wanted.chars().take(64).collect();
    let near = candidates.map(|c| (edits(&wanted, c), c)).min()?;
    let contained = !wanted.is_empty() && near.1.contains(wanted.as_str());
    (contained || near.0 <= wanted.len().max(3) / 3).then_some(near.1)
}

/// Levenshtein's distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// `SKB_DROP_REASON_NO_SOCKET` to `NO_SOCKET`, `SKB_CONSUMED` to `CONSUMED`.
fn core_name(name: &str) -> &str {
    name.strip_prefix(PREFIX).or_else(|| name.strip_prefix("SKB_")).unwrap_or(name)
}

/// Enumerators that end or mask the list and are never a reason.
fn is_marker(name: &str) -> bool {
    name.ends_with("_MAX") || name.ends_with("_SUBSYS_MASK")
}

/// `__OVS_DROP_REASON` and the like: where a subsystem's list begins, not a reason.
fn is_base(code: u32, name: &str) -> bool {
    code.trailing_zeros() >= SUBSYS_SHIFT && name.starts_with('_')
}

fn subsystems(kernel: &Btf) -> BTreeMap<u32, Arc<str>> {
    let enums = kernel.named("skb_drop_reason_subsys").filter(super::btf::Type::is_enum);
    let names = enums.flat_map(|t| kernel.enumerators(t)).filter_map(|e| {
        let name = e.name.strip_prefix("SKB_DROP_REASON_SUBSYS_").filter(|n| *n != "NUM")?;
        Some((e.code(), Arc::from(name)))
    });
    names.take(KNOWN_MAX).collect()
}

fn module_btf(root: &Path, kernel: &Arc<Btf>) -> Vec<Btf> {
    let Ok(entries) = std::fs::read_dir(root.join("sys/kernel/btf")) else { return Vec::new() };
    let modules = entries.flatten().filter(|e| e.file_name() != "vmlinux");
    modules
        .filter_map(|entry| {
            let bytes = std::fs::read(entry.path()).ok()?;
            // Most modules have no such enum: looking for the word costs less than parsing.
            let word = b"drop_reason";
            bytes.windows(word.len()).any(|w| w == word).then_some(())?;
            Btf::parse_split(bytes, Arc::clone(kernel)).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests;
