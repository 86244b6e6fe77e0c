//! Call stacks that the kernel side laid beside the entries of flows.

#![expect(unsafe_code, reason = "markers for aya: the types are plain integers")]

use aya::maps::{HashMap, MapData, MapError};
use netdrop_common::event::DropRecord;
use netdrop_common::stack::{Frames, StackKey};

/// [`StackKey`], as aya wants to write it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Key(StackKey);

// SAFETY: repr(transparent) over a repr(C) struct of integers without implicit padding: any bytes are valid.
unsafe impl aya::Pod for Key {}

/// [`Frames`], as aya wants to read them.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Value(Frames);

// SAFETY: repr(transparent) over an array of integers: any bytes are valid.
unsafe impl aya::Pod for Value {}

/// The map of them.
pub struct StackMap(HashMap<MapData, Key, Value>);

impl StackMap {
    pub(super) fn new(map: aya::maps::Map) -> Result<Self, MapError> {
        HashMap::try_from(map).map(Self)
    }

    /// Takes the stack of an entry's first packet out of the map. It is that packet's and no other's: the key is the moment of the
    /// drop, so that nothing that is put there later can be taken for it.
    pub(super) fn take(&mut self, of: &DropRecord) -> Result<Frames, MapError> {
        let key = Key(StackKey::of(of));
        let Value(frames) = self.0.get(&key, 0)?;
        self.0.remove(&key)?;
        Ok(frames)
    }
}
