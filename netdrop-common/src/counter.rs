//! Per-CPU counters, one [`Counters`] per drop reason slot.
//!
//! For every slot, exactly: `seen = skipped + filtered + recorded + aggregated + rest + lost`.
//! `read_fault` counts failed reads; a record with a fault is still handed on, the field marked absent.

/// What happened to the drops of one reason on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times the hook ran.
    pub seen: u64,
    /// Not a network packet (AF_UNIX, netlink, vsock): no device and no network protocol.
    pub skipped: u64,
    /// Turned away by the prefilter.
    pub filtered: u64,
    /// Handed to the ring buffer, a record each.
    pub recorded: u64,
    /// Added to the entry of their flow.
    pub aggregated: u64,
    /// Added to the rest of their reason and namespace: the flow map was full.
    pub rest: u64,
    /// Counted here and nowhere else: ring buffer, flow map and rest were full.
    pub lost: u64,
    /// Reads that failed.
    pub read_fault: u64,
}

// A cache line.
const _: () = assert!(size_of::<Counters>() == 64);

/// Reasons of the core (subsystem 0) that have a slot of their own.
pub const CORE_SLOTS: u32 = 256;
/// Subsystems (upper 16 bits of the reason) that have slots of their own: 1 to 8.
pub const SUBSYSTEMS: u32 = 8;
/// Reasons per subsystem that have a slot of their own.
pub const SUBSYSTEM_SLOTS: u32 = 64;
/// The slot all other reasons share.
pub const REST_SLOT: u32 = CORE_SLOTS + SUBSYSTEMS * SUBSYSTEM_SLOTS;
/// Length of the counter array.
pub const SLOTS: u32 = REST_SLOT + 1;

/// The counter slot of a raw `enum skb_drop_reason` value; always below [`SLOTS`].
#[expect(
    clippy::inline_always,
    reason = "a call is a BPF subprogram of its own, which costs more than this body"
)]
#[inline(always)]
pub const fn slot(reason: u32) -> u32 {
    let subsystem = reason >> 16;
    let number = reason & 0xffff;
    if subsystem == 0 && number < CORE_SLOTS {
        number
    } else if subsystem >= 1 && subsystem <= SUBSYSTEMS && number < SUBSYSTEM_SLOTS {
        CORE_SLOTS + (subsystem - 1) * SUBSYSTEM_SLOTS + number
    } else {
        REST_SLOT
    }
}

/// The raw reason a slot stands for; `None` for [`REST_SLOT`] and beyond.
pub const fn reason_of(slot: u32) -> Option<u32> {
    if slot < CORE_SLOTS {
        Some(slot)
    } else if slot < REST_SLOT {
        let at = slot - CORE_SLOTS;
        Some(((at / SUBSYSTEM_SLOTS + 1) << 16) | (at % SUBSYSTEM_SLOTS))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_and_reason_agree() {
        for s in 0..REST_SLOT {
            assert_eq!(slot(reason_of(s).unwrap()), s);
        }
        assert_eq!(slot(u32::MAX), REST_SLOT);
        assert_eq!(slot(CORE_SLOTS), REST_SLOT);
        assert_eq!(slot((9 << 16) | 1), REST_SLOT);
        assert_eq!(reason_of(REST_SLOT), None);
    }
}
