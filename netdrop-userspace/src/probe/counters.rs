//! What the hook counted, summed over all CPUs.

#![expect(unsafe_code, reason = "a marker for aya: the counters are plain integers")]

use std::time::Duration;

use aya::maps::{MapData, PerCpuArray};
use netdrop_common::counter::{Counters, SLOTS, reason_of};

/// [`Counters`], as aya wants to read them.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Slot(Counters);

// SAFETY: repr(transparent) over a repr(C) struct of eight u64, without padding: any bytes are valid.
unsafe impl aya::Pod for Slot {}

/// Counts of one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonCount {
    /// Raw reason; `None`: reasons too large for a slot of their own.
    pub reason: Option<u32>,
    /// The counts.
    pub counters: Counters,
}

/// Exact totals since the programs were attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Reasons that occurred.
    pub by_reason: Vec<ReasonCount>,
    /// Times the kernel skipped the program because it was running on that CPU already: drops nobody recorded.
    pub missed: u64,
    /// Runs of the program and their time; `None`, and later zero: the kernel keeps no such statistics
    /// (`kernel.bpf_stats_enabled`).
    pub runs: Option<(u64, Duration)>,
}

impl Totals {
    /// Sum over all reasons.
    pub fn sum(&self) -> Counters {
        let mut all = Counters::default();
        for r in &self.by_reason {
            add(&mut all, &r.counters);
        }
        all
    }

    /// Drops that were asked for and could not be recorded.
    pub fn lost(&self) -> u64 {
        self.sum().lost + self.missed
    }
}

fn add(to: &mut Counters, of: &Counters) {
    to.seen += of.seen;
    to.skipped += of.skipped;
    to.filtered += of.filtered;
    to.recorded += of.recorded;
    to.aggregated += of.aggregated;
    to.rest += of.rest;
    to.lost += of.lost;
    to.read_fault += of.read_fault;
}

/// Reads the counter map.
pub(super) fn read(map: &PerCpuArray<MapData, Slot>) -> Result<Vec<ReasonCount>, aya::maps::MapError> {
    let mut out = Vec::new();
    for slot in 0..SLOTS {
        let mut counters = Counters::default();
        for cpu in map.get(&slot, 0)?.iter() {
            add(&mut counters, &cpu.0);
        }
        if counters.seen != 0 {
            out.push(ReasonCount { reason: reason_of(slot), counters });
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    /// A CPU that went offline keeps what it counted: all that may ever be online are read, not those that are.
    #[test]
    fn counters_of_cpus_that_are_offline_are_read_too() {
        let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
        let last = text.trim().rsplit([',', '-']).next().unwrap();
        assert_eq!(aya::util::nr_cpus().unwrap(), last.parse::<usize>().unwrap() + 1, "{text}");
    }
}
