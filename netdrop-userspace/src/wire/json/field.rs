//! What is known of a message's fields before a message is there.

use super::codec::Names;

/// As many bytes of a text as are compared at once; most keys have no more.
pub(super) type Head = u128;

const HEAD: usize = size_of::<Head>();

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Name in the definition.
    pub(in crate::wire) name: &'static str,
    /// Name in lowerCamelCase.
    pub(super) json: &'static str,
    /// Fields of the message that this field is; `None`: it is no message, or a list of them.
    pub(in crate::wire) inner: Option<&'static [Field]>,
    /// `"name":`, as it is written.
    pub(super) key: &'static str,
    /// The beginning of the key, and which of these bytes it has: so other keys are told apart at once.
    head: Head,
    mask: Head,
    pub(super) kind: Kind,
    pub(super) list: bool,
    /// Written even with its type's default.
    pub(super) always: bool,
    /// Of a oneof: a bit for it.
    pub(super) oneof: u32,
}

/// What stands in a field's JSON, or in that of each one of a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Bool,
    Uint32,
    Int32,
    /// In quotes.
    Uint64,
    Enum(&'static Names),
    Message(&'static [Field]),
    Time,
    Any,
    /// What is in no flow, or hardly ever.
    Other,
}

impl Field {
    pub(super) const fn new(name: &'static str, json: &'static str, key: &'static str, kind: Kind) -> Self {
        let (mut head, mut mask) = ([0; HEAD], [0; HEAD]);
        let mut i = 0;
        while i < key.len() && i < HEAD {
            (head[i], mask[i]) = (key.as_bytes()[i], 0xff);
            i += 1;
        }
        let (head, mask) = (Head::from_le_bytes(head), Head::from_le_bytes(mask));
        Self { name, json, inner: None, key, head, mask, kind, list: false, always: false, oneof: 0 }
    }

    pub(super) const fn within(mut self, fields: &'static [Self]) -> Self {
        self.inner = Some(fields);
        self
    }

    pub(super) const fn list(mut self) -> Self {
        self.list = true;
        self
    }

    pub(super) const fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// A field of the oneof of this index.
    pub(super) const fn of(mut self, oneof: u32) -> Self {
        self.oneof = 1 << oneof;
        self.always()
    }

    /// Whether its key is what comes next; `head`: the beginning of that.
    pub(super) fn comes(&self, head: Head, next: &[u8]) -> bool {
        (head ^ self.head) & self.mask == 0
            && (self.key.len() <= HEAD || next.starts_with(self.key.as_bytes()))
    }
}

/// The beginning of a text, zeroes behind its end.
pub(super) fn head(next: &[u8]) -> Head {
    if let Some(head) = next.first_chunk() {
        return Head::from_le_bytes(*head);
    }
    let mut head = [0; HEAD];
    head[..next.len()].copy_from_slice(next);
    Head::from_le_bytes(head)
}
