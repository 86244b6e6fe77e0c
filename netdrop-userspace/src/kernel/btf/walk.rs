//! Walks over types: members by path, sizes, prototypes. Every walk is bounded, so a loop in hostile bytes ends.

use super::Btf;
use super::raw::{Kind, Type, word};

/// Most links of a chain of typedefs, qualifiers and tags, and most anonymous structs inside each other.
const DEPTH: u32 = 32;
/// Most members looked at for one path, in all structs that share the name; the kernel's largest have a few hundred.
const MEMBERS: u32 = 1 << 14;
/// Size of a pointer on every machine netdrop runs on.
const POINTER: u32 = 8;

/// A member that was found by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Bits from the start of the outermost struct.
    pub bit_offset: u64,
    /// Width in bits, for a bitfield.
    pub bitfield: Option<u32>,
    /// Its type.
    pub type_id: u32,
}

impl Member {
    /// Bytes from the start; `None` where it does not begin on a byte.
    pub fn byte_offset(&self) -> Option<u32> {
        (self.bit_offset.is_multiple_of(8)).then(|| u32::try_from(self.bit_offset / 8).ok()).flatten()
    }
}

impl Btf {
    /// The type behind typedefs, qualifiers and tags.
    pub fn strip(&self, id: u32) -> Option<Type<'_>> {
        let mut t = self.get(id)?;
        for _ in 0..DEPTH {
            match t.kind {
                Kind::Typedef | Kind::Qualifier | Kind::TypeTag => t = self.get(t.operand)?,
                _ => return Some(t),
            }
        }
        None
    }

    /// Size in bytes; `None` for what has none (void, a function, a forward declaration).
    pub fn size_of(&self, id: u32) -> Option<u32> {
        let mut count: u32 = 1;
        let mut t = self.strip(id)?;
        for _ in 0..DEPTH {
            match t.kind {
                Kind::Array => {
                    count = count.checked_mul(word(t.body, 8))?;
                    t = self.strip(word(t.body, 0))?;
                }
                Kind::Ptr => return count.checked_mul(POINTER),
                Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Float
                | Kind::Datasec => {
                    return count.checked_mul(t.operand);
                }
                _ => return None,
            }
        }
        None
    }

    /// A member of a struct by its dotted path; anonymous structs and unions are looked through.
    ///
    /// Where several structs share the name, the first that has the whole path is meant.
    pub fn member(&self, container: &str, path: &str) -> Option<Member> {
        let mut budget = MEMBERS;
        self.named(container).find_map(|t| self.member_of(t.id, path, &mut budget))
    }

    /// Whether there is a struct, union or typedef of this name with a body.
    pub fn has_struct(&self, name: &str) -> bool {
        self.named(name)
            .any(|t| self.strip(t.id).is_some_and(|t| matches!(t.kind, Kind::Struct | Kind::Union)))
    }

    fn member_of(&self, container: u32, path: &str, budget: &mut u32) -> Option<Member> {
        let mut found = Member { bit_offset: 0, bitfield: None, type_id: container };
        for name in path.split('.') {
            let next = self.member_named(found.type_id, name, DEPTH, budget)?;
            found = Member { bit_offset: found.bit_offset + next.bit_offset, ..next };
        }
        Some(found)
    }

    fn member_named(&self, container: u32, wanted: &str, depth: u32, budget: &mut u32) -> Option<Member> {
        let t = self.strip(container)?;
        for (name_off, type_id, raw) in t.members() {
            *budget = budget.checked_sub(1)?;
            let (bits, width) = if t.kind_flag { (raw & 0x00ff_ffff, raw >> 24) } else { (raw, 0) };
            let bit_offset = u64::from(bits);
            if name_off == 0 {
                let deeper = depth.checked_sub(1)?;
                if let Some(m) = self.member_named(type_id, wanted, deeper, budget) {
                    return Some(Member { bit_offset: bit_offset + m.bit_offset, ..m });
                }
            } else if self.name_bytes(name_off) == wanted.as_bytes() {
                return Some(self.found(bit_offset, width, type_id));
            }
        }
        None
    }

    /// Before kind_flag, a bitfield is a member whose integer says where in itself the bits lie.
    fn found(&self, bit_offset: u64, width: u32, type_id: u32) -> Member {
        if width > 0 {
            return Member { bit_offset, bitfield: Some(width), type_id };
        }
        let plain = Member { bit_offset, bitfield: None, type_id };
        let Some(int) = self.strip(type_id).filter(|t| t.kind == Kind::Int) else { return plain };
        let encoding = word(int.body, 0);
        let (shift, bits) = ((encoding >> 16) & 0xff, encoding & 0xff);
        if u64::from(bits) < u64::from(int.operand) * 8 && bits > 0 || shift > 0 {
            return Member { bit_offset: bit_offset + u64::from(shift), bitfield: Some(bits), type_id };
        }
        plain
    }

    /// Types of the arguments of a tracepoint (`kfree_skb`), the leading `void *__data` left out.
    ///
    /// From the typedef `btf_trace_NAME`, a pointer to the prototype that a tp_btf program's arguments follow.
    pub fn tracepoint_arguments(&self, tracepoint: &str) -> Option<Vec<u32>> {
        let typedef = format!("btf_trace_{tracepoint}");
        self.named(&typedef).find_map(|t| {
            let pointer = self.strip(t.id).filter(|t| t.kind == Kind::Ptr)?;
            let prototype = self.strip(pointer.operand).filter(|t| t.kind == Kind::FuncProto)?;
            Some(prototype.parameters().skip(1).collect())
        })
    }

    /// Name of a type behind typedefs, qualifiers and one pointer; empty where it has none.
    pub fn target_name(&self, id: u32) -> &str {
        let Some(t) = self.strip(id) else { return "" };
        if t.kind != Kind::Ptr {
            return self.name(&t);
        }
        self.strip(t.operand).map_or("", |t| self.name(&t))
    }
}

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Btf")
            .field("types", &self.len())
            .field("split", &self.base.is_some())
            .finish_non_exhaustive()
    }
}
