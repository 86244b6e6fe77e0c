//! A walker over BTF, the kernel's own description of its types.
//!
//! Format: Documentation/bpf/btf.rst, Linux 6.18. Only what netdrop asks for: members by path, enumerators, prototypes, sizes.

use std::collections::HashMap;

use thiserror::Error;

const MAGIC: u16 = 0xeb9f;
/// Longest chain of typedefs and qualifiers that is followed: hostile bytes may hold a loop.
const MAX_CHAIN: usize = 64;
/// Deepest nesting of anonymous structs.
const MAX_DEPTH: usize = 16;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Why BTF can't be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    /// Not BTF, or of the other byte order.
    #[error("not BTF: magic {0:#06x} is not {MAGIC:#06x}")]
    Magic(u16),
    /// The bytes end too early.
    #[error("BTF ends inside {0}")]
    Short(&'static str),
    /// A kind this build can't measure, so nothing behind it can be found.
    #[error("BTF type {id} has kind {kind}, which this netdrop does not know; a newer netdrop may")]
    Kind {
        /// Its id.
        id: u32,
        /// The kind.
        kind: u32,
    },
}

/// Where a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Bytes from the start of the outermost struct (of the byte a bitfield begins in).
    pub offset: u32,
    /// Size of its type in bytes; 0 for a bitfield.
    pub size: u32,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    vlen: u32,
    kind_flag: bool,
    /// Size, or the id of the type it refers to.
    size_or_type: u32,
    /// Where its members start in the type section.
    data: usize,
}

/// One BTF blob, on top of a base (a module's on the kernel's).
pub struct Btf<'a> {
    base: Option<&'a Btf<'a>>,
    first_id: u32,
    strings_before: u32,
    types: Vec<Type>,
    section: &'a [u8],
    strings: &'a [u8],
    by_name: HashMap<&'a [u8], Vec<u32>>,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

impl<'a> Btf<'a> {
    /// Reads a blob; `base` for a module's.
    pub fn parse(bytes: &'a [u8], base: Option<&'a Btf<'a>>) -> Result<Self, BtfError> {
        let magic = bytes.get(..2).ok_or(BtfError::Short("the header"))?;
        let magic = u16::from_le_bytes([magic[0], magic[1]]);
        if magic != MAGIC {
            return Err(BtfError::Magic(magic));
        }
        let word = |at| u32_at(bytes, at).map(|v| v as usize).ok_or(BtfError::Short("the header"));
        let (header, type_off, type_len, str_off, str_len) =
            (word(4)?, word(8)?, word(12)?, word(16)?, word(20)?);
        let part = |off: usize, len: usize, what| {
            let start = header.checked_add(off).ok_or(BtfError::Short(what))?;
            bytes
                .get(start..start.checked_add(len).ok_or(BtfError::Short(what))?)
                .ok_or(BtfError::Short(what))
        };
        let section = part(type_off, type_len, "the type section")?;
        let strings = part(str_off, str_len, "the string section")?;
        let (first_id, strings_before) = base.map_or((1, 0), |b| {
            (b.next_id(), b.strings_before + u32::try_from(b.strings.len()).unwrap_or(0))
        });
        let mut btf = Self {
            base,
            first_id,
            strings_before,
            types: Vec::new(),
            section,
            strings,
            by_name: HashMap::new(),
        };
        btf.index()?;
        Ok(btf)
    }

    fn next_id(&self) -> u32 {
        self.first_id + u32::try_from(self.types.len()).unwrap_or(u32::MAX - self.first_id)
    }

    fn index(&mut self) -> Result<(), BtfError> {
        let mut at = 0;
        while at < self.section.len() {
            let word = |i: usize| u32_at(self.section, at + 4 * i).ok_or(BtfError::Short("a type"));
            let (name, info, size_or_type) = (word(0)?, word(1)?, word(2)?);
            let (kind, vlen) = ((info >> 24) & 0x1f, info & 0xffff);
            let id = self.next_id();
            let extra = extra_bytes(kind, vlen).ok_or(BtfError::Kind { id, kind })?;
            let data = at + 12;
            if data + extra > self.section.len() {
                return Err(BtfError::Short("a type"));
            }
            self.types.push(Type { name, kind, vlen, kind_flag: info >> 31 == 1, size_or_type, data });
            if matches!(kind, KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 | KIND_TYPEDEF)
                && let Some(name) = self.string(name)
                && !name.is_empty()
            {
                self.by_name.entry(name).or_default().push(id);
            }
            at = data + extra;
        }
        Ok(())
    }

    fn string(&self, offset: u32) -> Option<&'a [u8]> {
        if offset < self.strings_before {
            return self.base?.string(offset);
        }
        let rest = self.strings.get((offset - self.strings_before) as usize..)?;
        Some(&rest[..rest.iter().position(|b| *b == 0)?])
    }

    fn get(&self, id: u32) -> Option<(&Btf<'a>, Type)> {
        if id < self.first_id {
            return self.base?.get(id);
        }
        self.types.get((id - self.first_id) as usize).map(|t| (self, *t))
    }

    /// Ids of all types of a name, this blob's first.
    fn ids(&self, name: &str) -> Vec<u32> {
        let mut ids = self.by_name.get(name.as_bytes()).cloned().unwrap_or_default();
        if let Some(base) = self.base {
            ids.extend(base.ids(name));
        }
        ids
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<(u32, &Btf<'a>, Type)> {
        for _ in 0..MAX_CHAIN {
            let (owner, t) = self.get(id)?;
            match t.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = t.size_or_type
                }
                _ => return Some((id, owner, t)),
            }
        }
        None
    }

    fn size_of(&self, id: u32, depth: usize) -> Option<u32> {
        let (_, owner, t) = self.resolve(id)?;
        match t.kind {
            KIND_PTR => Some(8),
            KIND_ARRAY if depth < MAX_DEPTH => {
                let element = u32_at(owner.section, t.data)?;
                let count = u32_at(owner.section, t.data + 8)?;
                owner.size_of(element, depth + 1)?.checked_mul(count)
            }
            KIND_INT | KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 => Some(t.size_or_type),
            _ => None,
        }
    }

    /// A member of one struct or union, anonymous ones inside it looked through: bit offset, type id, bitfield size.
    fn member(&self, id: u32, name: &str, depth: usize) -> Option<(u32, u32, u32)> {
        let (_, owner, t) = self.resolve(id)?;
        if !matches!(t.kind, KIND_STRUCT | KIND_UNION) || depth > MAX_DEPTH {
            return None;
        }
        for i in 0..t.vlen as usize {
            let at = t.data + 12 * i;
            let (m_name, m_type, raw) =
                (u32_at(owner.section, at)?, u32_at(owner.section, at + 4)?, u32_at(owner.section, at + 8)?);
            let (bits, bitfield) = if t.kind_flag { (raw & 0x00ff_ffff, raw >> 24) } else { (raw, 0) };
            if m_name == 0 {
                if let Some((inner, ty, field)) = owner.member(m_type, name, depth + 1) {
                    return Some((bits.checked_add(inner)?, ty, field));
                }
            } else if owner.string(m_name) == Some(name.as_bytes()) {
                return Some((bits, m_type, bitfield));
            }
        }
        None
    }

    /// Where `container.path` lies. Of several structs of that name, the one that has the path.
    pub fn field(&self, container: &str, path: &str) -> Option<Member> {
        self.ids(container).into_iter().find_map(|start| {
            let (mut id, mut bits, mut bitfield) = (start, 0u32, 0);
            for name in path.split('.') {
                let (more, ty, field) = self.member(id, name, 0)?;
                (id, bits, bitfield) = (ty, bits.checked_add(more)?, field);
            }
            let size = if bitfield == 0 { self.size_of(id, 0)? } else { 0 };
            Some(Member { offset: bits / 8, size })
        })
    }

    /// Size of a struct or union.
    pub fn struct_size(&self, name: &str) -> Option<u32> {
        self.ids(name).into_iter().find_map(|id| {
            let (_, t) = self.get(id)?;
            matches!(t.kind, KIND_STRUCT | KIND_UNION).then_some(t.size_or_type)
        })
    }

    /// Number of arguments of the function that a typedef points to, as `btf_trace_kfree_skb`; the first is the hook's own.
    pub fn argument_count(&self, typedef: &str) -> Option<usize> {
        self.ids(typedef).into_iter().find_map(|id| {
            let (_, _, pointer) = self.resolve(id)?;
            let (_, _, proto) = self.resolve(pointer.size_or_type)?;
            (pointer.kind == KIND_PTR && proto.kind == KIND_FUNC_PROTO).then_some(proto.vlen as usize)
        })
    }

    /// Value of an enumerator, by its name alone, of any enum of this blob.
    pub fn enumerator(&self, name: &str) -> Option<u64> {
        self.enums().find_map(|e| e.values.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
    }

    /// All enums of this blob (not of its base), anonymous ones with an empty name.
    pub fn enums(&self) -> impl Iterator<Item = Enum<'a>> + '_ {
        self.types.iter().filter_map(|t| self.read_enum(t))
    }

    fn read_enum(&self, t: &Type) -> Option<Enum<'a>> {
        let stride = match t.kind {
            KIND_ENUM => 8,
            KIND_ENUM64 => 12,
            _ => return None,
        };
        let text = |offset| self.string(offset).and_then(|s| std::str::from_utf8(s).ok()).unwrap_or("");
        let values = (0..t.vlen as usize)
            .filter_map(|i| {
                let at = t.data + stride * i;
                let low = u64::from(u32_at(self.section, at + 4)?);
                let high = if t.kind == KIND_ENUM64 { u64::from(u32_at(self.section, at + 8)?) } else { 0 };
                Some((text(u32_at(self.section, at)?), high << 32 | low))
            })
            .collect();
        Some(Enum { name: text(t.name), values })
    }
}

/// An enum: its name and its enumerators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enum<'a> {
    /// Empty for an anonymous one.
    pub name: &'a str,
    /// Name and value (the bits, not sign-extended).
    pub values: Vec<(&'a str, u64)>,
}

fn extra_bytes(kind: u32, vlen: u32) -> Option<usize> {
    let n = vlen as usize;
    Some(match kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * n,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * n,
        // PTR, FWD, TYPEDEF, qualifiers, FUNC, FLOAT, TYPE_TAG
        2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,
        _ => return None,
    })
}
