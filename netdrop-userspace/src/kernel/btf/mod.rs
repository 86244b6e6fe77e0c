//! What the kernel's own type information says: offsets, enums, prototypes.
//!
//! Reads `/sys/kernel/btf/vmlinux` and, on top of it, the split BTF of modules. Own code because the two crates that could do
//! it can't be used: aya-obj keeps members private, btf-rs is LGPL. Format: Documentation/bpf/btf.rst of the kernel.
//!
//! The bytes stay as they were read; names are borrowed from them. One pass finds where each type starts and indexes names by
//! hash. Bytes are not trusted: every access is checked, every walk is bounded.

#[cfg(test)]
mod corpus;
mod raw;
#[cfg(test)]
mod tests;
mod walk;
#[cfg(test)]
pub(super) mod writer;

use std::path::Path;
use std::sync::Arc;

use raw::Kind;
pub use raw::{Enumerator, Type};
pub use walk::Member;

/// Longest name, as the kernel holds BTF to it (KSYM_NAME_LEN, 512 since 6.1): what is longer is no name. So a look at a name
/// costs no more, also where thousands of types point into one string without an end.
const NAME_MAX: usize = 512;

/// Why bytes are not BTF that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// Shorter than a header, or a section lies outside.
    #[error("BTF is cut short: {0} lies outside its {1} bytes")]
    Truncated(&'static str, usize),
    /// The first two bytes are wrong.
    #[error("not BTF: it begins with {0:#06x}, BTF begins with 0xeb9f")]
    Magic(u16),
    /// BTF of another byte order.
    #[error("BTF is big-endian; netdrop's BPF object is for little-endian machines (x86-64, arm64)")]
    BigEndian,
    /// Unknown version.
    #[error("BTF version {0} is unknown; netdrop reads version 1")]
    Version(u8),
    /// A kind whose length is not known, so that what follows can't be found.
    #[error("BTF type {id} has kind {kind}, which this netdrop does not know; a newer netdrop may")]
    UnknownKind {
        /// The number in the type's header.
        kind: u32,
        /// The type's id.
        id: u32,
    },
    /// A type's body runs over the end of the section.
    #[error("BTF type {id} (kind {kind}) runs over the end of the type section")]
    Overrun {
        /// The number in the type's header.
        kind: u32,
        /// The type's id.
        id: u32,
    },
}

/// Parsed BTF of the kernel or of a module.
pub struct Btf {
    bytes: Vec<u8>,
    /// Where the strings lie in `bytes`.
    strings: std::ops::Range<usize>,
    /// Where each own type's header lies in `bytes`; the first has id `first_id`.
    positions: Vec<u32>,
    first_id: u32,
    /// Offset of the first own string; smaller ones are the base's.
    first_string: u32,
    /// (hash of the name, id) of named structs, unions, enums and typedefs, sorted.
    index: Vec<(u32, u32)>,
    base: Option<Arc<Self>>,
}

impl Btf {
    /// Parses BTF that stands alone (`/sys/kernel/btf/vmlinux`).
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        Self::build(bytes, None)
    }

    /// Parses a module's BTF, which continues the ids and strings of `base`.
    pub fn parse_split(bytes: Vec<u8>, base: Arc<Self>) -> Result<Self, BtfError> {
        Self::build(bytes, Some(base))
    }

    /// Reads the running kernel's BTF below `root`.
    pub fn vmlinux(root: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        let path = root.join("sys/kernel/btf/vmlinux");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => anyhow::bail!(
                "this kernel has no BTF: {} is missing. netdrop needs a kernel built with CONFIG_DEBUG_INFO_BTF=y; \
                 Debian 11+, Ubuntu 20.10+, Fedora 31+, RHEL 8.2+ and Amazon Linux 2023 ship one",
                path.display()
            ),
            Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
        };
        Self::parse(bytes).with_context(|| format!("parse {}", path.display()))
    }

    fn build(bytes: Vec<u8>, base: Option<Arc<Self>>) -> Result<Self, BtfError> {
        let header = raw::header(&bytes)?;
        let (first_id, first_string) = base.as_ref().map_or((1, 0), |b| (b.end_id(), b.end_string()));
        let positions = raw::positions(&bytes, header.types.clone(), first_id)?;
        let mut btf = Self {
            bytes,
            strings: header.strings,
            positions,
            first_id,
            first_string,
            index: Vec::new(),
            base,
        };
        btf.index = btf.make_index();
        Ok(btf)
    }

    fn make_index(&self) -> Vec<(u32, u32)> {
        let mut index = Vec::with_capacity(self.positions.len() / 3);
        for t in self.own_types() {
            let named =
                matches!(t.kind, Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Typedef);
            if named && t.name_off != 0 {
                index.push((hash(self.name_bytes(t.name_off)), t.id));
            }
        }
        index.sort_unstable();
        index
    }

    fn end_id(&self) -> u32 {
        self.first_id.saturating_add(u32::try_from(self.positions.len()).unwrap_or(u32::MAX))
    }

    fn end_string(&self) -> u32 {
        self.first_string.saturating_add(u32::try_from(self.strings.len()).unwrap_or(u32::MAX))
    }

    /// How many types it holds, those of its base not counted.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether it holds no type.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The type with this id; `None` for 0 (void) and for an id that does not exist.
    pub fn get(&self, id: u32) -> Option<Type<'_>> {
        if id < self.first_id {
            return self.base.as_ref()?.get(id);
        }
        let position = *self.positions.get((id - self.first_id) as usize)?;
        raw::type_at(&self.bytes, position as usize, id)
    }

    /// All own types, in id order.
    pub fn own_types(&self) -> impl Iterator<Item = Type<'_>> {
        (self.first_id..self.end_id()).filter_map(|id| self.get(id))
    }

    /// A type's name; empty for an anonymous one.
    pub fn name(&self, t: &Type<'_>) -> &str {
        self.string(t.name_off)
    }

    /// The string at an offset; empty where there is none, where it is longer than a name may be or where it is not UTF-8.
    pub fn string(&self, offset: u32) -> &str {
        std::str::from_utf8(self.name_bytes(offset)).unwrap_or_default()
    }

    fn name_bytes(&self, offset: u32) -> &[u8] {
        if offset < self.first_string {
            return self.base.as_ref().map_or(&[], |b| b.name_bytes(offset));
        }
        let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
        let rest = strings.get((offset - self.first_string) as usize..).unwrap_or_default();
        let end = rest.iter().take(NAME_MAX).position(|b| *b == 0).unwrap_or(0);
        &rest[..end]
    }

    /// All structs, unions, enums and typedefs of this name; the kernel's BTF holds more than one of some.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Type<'_>> {
        let wanted = hash(name.as_bytes());
        let start = self.index.partition_point(|(h, _)| *h < wanted);
        let own = self.index[start..].iter().take_while(move |(h, _)| *h == wanted).map(|(_, id)| *id);
        let base: Box<dyn Iterator<Item = u32>> = match &self.base {
            Some(base) => Box::new(base.named(name).map(|t| t.id).collect::<Vec<_>>().into_iter()),
            None => Box::new(std::iter::empty()),
        };
        let name = name.to_owned();
        base.chain(own).filter_map(|id| self.get(id)).filter(move |t| self.name(t) == name)
    }

    /// All own enums, 32 and 64 bits wide.
    pub fn enums(&self) -> impl Iterator<Item = Type<'_>> {
        self.own_types().filter(Type::is_enum)
    }

    /// An enum's enumerators, in order; none for another kind.
    pub fn enumerators<'a>(&'a self, t: Type<'a>) -> impl Iterator<Item = Enumerator<'a>> {
        t.enumerators().map(|(name_off, value)| Enumerator { name: self.string(name_off), value })
    }

    /// The value of an enumerator, in whichever enum it is (`TCP_TIME_WAIT`).
    pub fn enum_value(&self, enumerator: &str) -> Option<i64> {
        let here = self.enums().find_map(|t| self.enumerators(t).find(|e| e.name == enumerator));
        here.map(|e| e.value).or_else(|| self.base.as_ref()?.enum_value(enumerator))
    }
}

/// FNV-1a, 32 bits: short names, no attacker to fear (a clash costs one string comparison).
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}
