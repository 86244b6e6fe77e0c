//! Drop reasons: number to name, from the enums in the running kernel's BTF. Nothing is typed in.
//!
//! `enum skb_drop_reason` holds the core's; the upper 16 bits of a reason are its subsystem (include/net/dropreason.h, since
//! 6.4), whose own enum may live in a module's BTF.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::RwLock;

use super::btf::{Btf, Enum};
use crate::flow::DropReason;

const PREFIX: &str = "SKB_DROP_REASON_";
const SUBSYSTEM_PREFIX: &str = "SKB_DROP_REASON_SUBSYS_";
/// Most reasons without a name that are remembered.
const MOST_UNKNOWN: usize = 4096;

/// All reasons of this kernel.
#[derive(Debug, Default)]
pub struct Reasons {
    known: BTreeMap<u32, DropReason>,
    codes: HashMap<String, u32>,
    subsystems: BTreeMap<u32, Arc<str>>,
    unknown: RwLock<HashMap<u32, DropReason>>,
}

impl Reasons {
    /// From the kernel's BTF and its modules'.
    pub fn from_btf<'a>(blobs: impl IntoIterator<Item = &'a Btf<'a>>) -> Self {
        let enums: Vec<Enum<'a>> = blobs.into_iter().flat_map(Btf::enums).collect();
        let mut reasons = Self::default();
        for e in enums.iter().filter(|e| e.name == "skb_drop_reason_subsys") {
            for (name, value) in &e.values {
                if let (Some(name), Ok(number)) = (name.strip_prefix(SUBSYSTEM_PREFIX), u32::try_from(*value))
                    && name != "NUM"
                {
                    reasons.subsystems.insert(number, name.into());
                }
            }
        }
        if reasons.subsystems.is_empty() {
            reasons.subsystems.insert(0, "CORE".into());
        }
        for e in &enums {
            if e.name == "skb_drop_reason" {
                reasons.add(e, |code| code >> 16 == 0);
            } else if e.name.contains("drop_reason") {
                let own: Vec<u32> = reasons.subsystems.keys().copied().filter(|s| *s != 0).collect();
                reasons.add(e, |code| own.contains(&(code >> 16)));
            }
        }
        reasons
    }

    fn add(&mut self, e: &Enum<'_>, belongs: impl Fn(u32) -> bool) {
        for (full, value) in &e.values {
            // Values beyond 32 bits and the bounds of the enum are no reasons.
            let Ok(code) = u32::try_from(*value) else { continue };
            if !belongs(code) || full.ends_with("_MAX") || full.ends_with("_MASK") || full.starts_with("__") {
                continue;
            }
            let name: Arc<str> = short(full).into();
            let subsystem = self.subsystem(code);
            self.codes.insert(name.to_ascii_uppercase(), code);
            self.known.entry(code).or_insert(DropReason { code, subsystem, name });
        }
    }

    fn subsystem(&self, code: u32) -> Arc<str> {
        let number = code >> 16;
        self.subsystems.get(&number).cloned().unwrap_or_else(|| number.to_string().into())
    }

    /// The reason of a number; one this kernel does not name is `SUBSYS:NUMBER`.
    pub fn name(&self, code: u32) -> DropReason {
        if let Some(known) = self.known.get(&code) {
            return known.clone();
        }
        if let Some(seen) = self.unknown.read().ok().and_then(|u| u.get(&code).cloned()) {
            return seen;
        }
        let subsystem = self.subsystem(code);
        let name = format!("{subsystem}:{}", code & 0xffff).into();
        let reason = DropReason { code, subsystem, name };
        if let Ok(mut unknown) = self.unknown.write()
            && unknown.len() < MOST_UNKNOWN
        {
            unknown.insert(code, reason.clone());
        }
        reason
    }

    /// The number of a name: any case, with or without `SKB_DROP_REASON_`, or `SUBSYS:NUMBER`.
    pub fn code(&self, name: &str) -> Option<u32> {
        let upper = name.to_ascii_uppercase();
        if let Some(code) = self.codes.get(short(&upper)) {
            return Some(*code);
        }
        let (subsystem, number) = upper.split_once(':')?;
        let number: u16 = number.parse().ok()?;
        let high = self
            .subsystems
            .iter()
            .find(|(_, n)| ***n == *subsystem)
            .map(|(k, _)| *k)
            .or_else(|| subsystem.parse::<u16>().ok().map(u32::from))?;
        Some(high << 16 | u32::from(number))
    }

    /// The numbers of all names that a `*` pattern matches (a plain name matches itself).
    pub fn codes(&self, pattern: &str) -> Vec<u32> {
        if !pattern.contains('*') {
            return self.code(pattern).into_iter().collect();
        }
        let upper = pattern.to_ascii_uppercase();
        let pattern = short(&upper);
        self.codes.iter().filter(|(name, _)| glob(pattern, name)).map(|(_, code)| *code).collect()
    }

    /// All, in number order.
    pub fn iter(&self) -> impl Iterator<Item = &DropReason> {
        self.known.values()
    }

    /// How many reasons this kernel names.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether this kernel names none (before 5.17).
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// A reason's name as netdrop shows it.
pub fn short(full: &str) -> &str {
    full.strip_prefix(PREFIX).unwrap_or(full)
}

/// Whether `text` matches a pattern in which `*` stands for any run of characters.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
