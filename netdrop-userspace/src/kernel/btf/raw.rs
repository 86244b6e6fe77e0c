//! The bytes of BTF: header, type headers and bodies. No names, no walks.

use std::ops::Range;

use super::BtfError;

/// Smallest header: magic, version, flags, its length, and offset and length of types and strings.
const HEADER: usize = 24;
/// `struct btf_type`: name, info, size or type.
const TYPE: usize = 12;

/// Where the sections lie in the bytes.
pub(super) struct Header {
    pub(super) types: Range<usize>,
    pub(super) strings: Range<usize>,
}

/// What a type is (`BTF_KIND_*` of include/uapi/linux/btf.h, which are ABI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Ptr,
    Array,
    Struct,
    Union,
    Enum,
    Fwd,
    Typedef,
    /// Volatile, const and restrict.
    Qualifier,
    Func,
    FuncProto,
    Var,
    Datasec,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
}

impl Kind {
    const fn new(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Int,
            2 => Self::Ptr,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Fwd,
            8 => Self::Typedef,
            9..=11 => Self::Qualifier,
            12 => Self::Func,
            13 => Self::FuncProto,
            14 => Self::Var,
            15 => Self::Datasec,
            16 => Self::Float,
            17 => Self::DeclTag,
            18 => Self::TypeTag,
            19 => Self::Enum64,
            _ => return None,
        })
    }

    /// Bytes after the type's header.
    const fn body(self, vlen: usize) -> usize {
        match self {
            Self::Int | Self::Var | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::Datasec | Self::Enum64 => vlen * 12,
            Self::Enum | Self::FuncProto => vlen * 8,
            Self::Ptr
            | Self::Fwd
            | Self::Typedef
            | Self::Qualifier
            | Self::Func
            | Self::Float
            | Self::TypeTag => 0,
        }
    }
}

/// One type as it stands in the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    /// Its id.
    pub id: u32,
    pub(super) kind: Kind,
    pub(super) kind_flag: bool,
    pub(super) name_off: u32,
    /// Size in bytes or id of another type, by kind.
    pub(super) operand: u32,
    pub(super) body: &'a [u8],
}

/// One enumerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; one above `i64::MAX` wraps.
    pub value: i64,
}

impl Enumerator<'_> {
    /// The lower 32 bits of the value, whatever sign the enum was given.
    pub const fn code(&self) -> u32 {
        let [a, b, c, d, ..] = self.value.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

impl<'a> Type<'a> {
    /// Whether it is an enum of either width.
    pub fn is_enum(&self) -> bool {
        matches!(self.kind, Kind::Enum | Kind::Enum64)
    }

    /// Name and value of each enumerator.
    pub(super) fn enumerators(self) -> impl Iterator<Item = (u32, i64)> + use<'a> {
        let step = if self.kind == Kind::Enum64 { 12 } else { 8 };
        let body = if self.is_enum() { self.body } else { &[] };
        body.chunks_exact(step).map(move |c| {
            let (low, high) = (word(c, 4), word(c, 8));
            let value = match self.kind {
                Kind::Enum64 => (i64::from(high) << 32) | i64::from(low),
                _ if self.kind_flag => i64::from(low.cast_signed()),
                _ => i64::from(low),
            };
            (word(c, 0), value)
        })
    }

    /// Name, type and raw offset of each member of a struct or union.
    pub(super) fn members(self) -> impl Iterator<Item = (u32, u32, u32)> + use<'a> {
        let body = if matches!(self.kind, Kind::Struct | Kind::Union) { self.body } else { &[] };
        body.chunks_exact(12).map(|c| (word(c, 0), word(c, 4), word(c, 8)))
    }

    /// Type of each parameter of a prototype.
    pub(super) fn parameters(self) -> impl Iterator<Item = u32> + use<'a> {
        let body = if self.kind == Kind::FuncProto { self.body } else { &[] };
        body.chunks_exact(8).map(|c| word(c, 4))
    }
}

/// Little-endian word at an offset; 0 outside, which every caller has ruled out by the body's length.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |c| u32::from_le_bytes(*c))
}

/// Checks the header and finds the sections.
pub(super) fn header(bytes: &[u8]) -> Result<Header, BtfError> {
    let Some(&[m0, m1, version, ..]) = bytes.first_chunk::<HEADER>() else {
        return Err(BtfError::Truncated("the header", bytes.len()));
    };
    match u16::from_le_bytes([m0, m1]) {
        0xeb9f => {}
        0x9feb => return Err(BtfError::BigEndian),
        other => return Err(BtfError::Magic(other)),
    }
    if version != 1 {
        return Err(BtfError::Version(version));
    }
    let length = word(bytes, 4) as usize;
    let section = |at: usize, what| {
        let start = length.checked_add(word(bytes, at) as usize);
        let end = start.and_then(|s| s.checked_add(word(bytes, at + 4) as usize));
        match (start, end) {
            (Some(start), Some(end)) if length >= HEADER && end <= bytes.len() => Ok(start..end),
            _ => Err(BtfError::Truncated(what, bytes.len())),
        }
    };
    Ok(Header { types: section(8, "the type section")?, strings: section(16, "the string section")? })
}

/// Where each type starts, in one pass.
pub(super) fn positions(bytes: &[u8], types: Range<usize>, first_id: u32) -> Result<Vec<u32>, BtfError> {
    let mut positions = Vec::with_capacity(types.len() / 24);
    let (mut at, mut id) = (types.start, first_id);
    while at < types.end {
        let info = word(bytes, at + 4);
        let number = kind_number(info);
        let kind = Kind::new(number).ok_or(BtfError::UnknownKind { kind: number, id })?;
        let next = at + TYPE + kind.body(vlen(info));
        if next > types.end {
            return Err(BtfError::Overrun { kind: number, id });
        }
        positions.push(u32::try_from(at).map_err(|_| BtfError::Truncated("the type section", bytes.len()))?);
        at = next;
        id = id.saturating_add(1);
    }
    Ok(positions)
}

/// The type whose header lies at `at`.
pub(super) fn type_at(bytes: &[u8], at: usize, id: u32) -> Option<Type<'_>> {
    let info = word(bytes, at + 4);
    let kind = Kind::new(kind_number(info))?;
    let start = at + TYPE;
    Some(Type {
        id,
        kind,
        kind_flag: info >> 31 == 1,
        name_off: word(bytes, at),
        operand: word(bytes, at + 8),
        body: bytes.get(start..start + kind.body(vlen(info)))?,
    })
}

/// Bits 24 to 30: 29 and 30 were always 0 in kernels that knew only five bits of kind.
const fn kind_number(info: u32) -> u32 {
    (info >> 24) & 0x7f
}

/// Bits 0 to 23: 16 to 23 were always 0 in kernels that knew only 16 bits of length.
const fn vlen(info: u32) -> usize {
    (info & 0x00ff_ffff) as usize
}
