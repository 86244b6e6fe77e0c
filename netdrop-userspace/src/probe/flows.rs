//! The flow maps, read without losing a count.
//!
//! A map that is read and emptied entry by entry loses what a program adds to an entry that was just read. So there are two:
//! one is put in the other's place, which the kernel ends only when no program uses the first any more (it waits for RCU after an
//! update of a map of maps, since 4.15), and then that is nobody's but ours.

#![expect(unsafe_code, reason = "markers for aya: the types are plain integers")]

use std::collections::HashMap as StdHashMap;
use std::os::fd::AsFd as _;

use anyhow::Context as _;
use aya::maps::{ArrayOfMaps, HashMap, MapData, MapError, MapFd};
use netdrop_common::event::flag;
use netdrop_common::flow::{FlowEntry, RestEntry, RestKey};

use super::batch::{self, Drain};
use super::stacks::StackMap;
use crate::decode::{DecodeError, FlowCount, RestCount};

/// A type of the ABI, as aya wants to read it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Abi<T>(T);

// SAFETY: repr(transparent) over repr(C) structs of integers without padding: any bytes are valid.
unsafe impl aya::Pod for Abi<RestKey> {}
// SAFETY: as above.
unsafe impl aya::Pod for Abi<RestEntry> {}

pub(super) type Active = ArrayOfMaps<MapData, MapFd>;
pub(super) type Rests = HashMap<MapData, Abi<RestKey>, Abi<RestEntry>>;

/// Both flow maps and the rest.
pub struct FlowMaps {
    active: Active,
    maps: [MapData; 2],
    current: usize,
    /// The one that was in place before, until it is read.
    full: Option<usize>,
    rests: Rests,
    /// Where stacks were asked for.
    stacks: Option<StackMap>,
    told: StdHashMap<RestKey, RestEntry>,
    drain: Drain,
}

impl FlowMaps {
    /// Puts the first of two maps in place.
    pub(super) fn new(
        mut active: Active,
        maps: [MapData; 2],
        rests: Rests,
        stacks: Option<StackMap>,
    ) -> Result<Self, MapError> {
        active.set(0, maps[0].fd(), 0)?;
        let (told, drain) = (StdHashMap::new(), Drain::default());
        Ok(Self { active, maps, current: 0, full: None, rests, stacks, told, drain })
    }

    /// Puts the other map in place if there is anything in this one, which can be taken then; `barrier`: in any case, as it waits
    /// for programs under way.
    pub(super) fn exchange(&mut self, barrier: bool) -> anyhow::Result<()> {
        let Self { active, maps, current, full, .. } = self;
        if barrier || !batch::is_empty(maps[*current].fd().as_fd()).context("cannot look at the flow map")? {
            let next = 1 - *current;
            active.set(0, maps[next].fd(), 0).context("cannot change the flow map")?;
            *full = Some(std::mem::replace(current, next));
        }
        Ok(())
    }

    /// Takes what was added up until the exchange, and the rest until now.
    pub(super) fn take(
        &mut self,
        mut flow: impl FnMut(FlowCount),
        mut undecodable: impl FnMut(u64),
        rest: impl FnMut(RestCount),
    ) -> anyhow::Result<()> {
        let Self { maps, full, drain, stacks, .. } = self;
        if let Some(full) = full.take() {
            drain
                .take_all(maps[full].fd().as_fd(), |entry| match counted(entry, stacks.as_mut()) {
                    Ok(count) => flow(count),
                    Err(_) => undecodable(entry.count),
                })
                .context("cannot read the flow map")?;
        }
        self.take_rests(rest)
    }

    fn take_rests(&mut self, mut each: impl FnMut(RestCount)) -> anyhow::Result<()> {
        for item in &self.rests {
            let (Abi(key), Abi(now)) = item.context("cannot read the map of the rest")?;
            let before = self.told.insert(key, now).unwrap_or_default();
            if let Some(count) = RestCount::since(key, before, now) {
                each(count);
            }
        }
        Ok(())
    }
}

/// An entry, with the stack that lies beside it.
fn counted(entry: &FlowEntry, stacks: Option<&mut StackMap>) -> Result<FlowCount, DecodeError> {
    let stack = stacks.filter(|_| entry.record.flags & flag::STACK != 0);
    // One that can't be read is one that the flow does not have: that is counted where it is named.
    let stack = stack.and_then(|map| map.take(&entry.record).ok());
    let mut count = FlowCount::from_entry(entry)?;
    if let Some(frames) = stack {
        count.event.set_stack(&frames);
    }
    Ok(count)
}
