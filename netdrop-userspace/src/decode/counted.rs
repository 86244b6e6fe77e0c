//! Entries of the flow map and the rest, checked.

use netdrop_common::flow::{FlowEntry, RestEntry, RestKey};

use super::{DecodeError, DropEvent};

/// Drops of one flow that had no record of their own.
#[derive(Clone, Debug)]
pub struct FlowCount {
    /// The first of them, whole.
    pub event: DropEvent,
    /// Packets.
    pub count: u64,
    /// Sum of their lengths.
    pub bytes: u64,
    /// `CLOCK_MONOTONIC` of the last, ns.
    pub last_ns: u64,
}

impl FlowCount {
    /// Checks an entry.
    pub fn from_entry(entry: &FlowEntry) -> Result<Self, DecodeError> {
        let event = DropEvent::from_record(entry.record)?;
        let last_ns = entry.last_ns.max(event.time_ns());
        Ok(Self { event, count: entry.count.max(1), bytes: entry.bytes, last_ns })
    }
}

/// Drops of one reason in one namespace, of flows that found no room in the flow map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestCount {
    /// Raw reason.
    pub reason: u32,
    /// Namespace inode.
    pub netns: Option<u32>,
    /// Packets.
    pub count: u64,
    /// Sum of their lengths.
    pub bytes: u64,
    /// `CLOCK_MONOTONIC`, ns: no earlier than this.
    pub first_ns: u64,
    /// `CLOCK_MONOTONIC` of the last, ns.
    pub last_ns: u64,
}

impl RestCount {
    /// What came since `before`; `None`: nothing.
    pub fn since(key: RestKey, before: RestEntry, now: RestEntry) -> Option<Self> {
        let count = now.count.checked_sub(before.count).filter(|n| *n > 0)?;
        let first_ns = if before.count == 0 { now.last_ns } else { before.last_ns };
        Some(Self {
            reason: key.reason,
            netns: (key.netns != 0).then_some(key.netns),
            count,
            bytes: now.bytes.saturating_sub(before.bytes),
            first_ns,
            last_ns: now.last_ns.max(first_ns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_told_as_what_came_since() {
        let key = RestKey { reason: 8, netns: 0 };
        let none = RestEntry::default();
        let some = RestEntry { count: 5, bytes: 500, last_ns: 70 };
        let more = RestEntry { count: 7, bytes: 700, last_ns: 90 };
        assert_eq!(RestCount::since(key, none, none), None);
        assert_eq!(RestCount::since(key, some, some), None);
        let rest = RestCount::since(key, some, more).unwrap();
        assert_eq!((rest.count, rest.bytes, rest.first_ns, rest.last_ns), (2, 200, 70, 90));
        assert_eq!(rest.netns, None);
    }
}
