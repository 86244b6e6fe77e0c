//! Flags of live capture that `observe` and `agent` share: what it may cost.

use std::num::NonZeroU32;

use clap::Args;
use netdrop_common::stack::DEPTH_MOST;

use crate::probe::MemoryAsked;

/// What was typed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct CaptureArgs {
    /// Records a second that one flow may have; more are added up and told every second as xN; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 100, env = "NETDROP_EVENTS_PER_FLOW")]
    pub events_per_flow: u32,
    /// Kernel memory for all buffers, as 32Mi; by default it fits the machine
    #[arg(long, value_name = "BYTES", value_parser = bytes, env = "NETDROP_MEMORY_BUDGET")]
    pub memory_budget: Option<u64>,
    /// Buffer between kernel and netdrop, a power of two, as 8Mi
    #[arg(long, value_name = "BYTES", value_parser = bytes, env = "NETDROP_RING_SIZE")]
    pub ring_size: Option<u64>,
    /// Flows that are kept apart while they are added up; beyond, only reason and namespace are
    #[arg(long, value_name = "N", env = "NETDROP_FLOW_MAP_SIZE")]
    pub flow_map_size: Option<u64>,
    /// The kernel's call stack at each drop: who called the function that dropped it, N functions deep (16; at most 32). To
    /// read it takes microseconds for each drop, ten times what all the rest does
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = stack_depth, env = "NETDROP_STACK")]
    pub stack: StackDepth,
}

/// Most frames of a call stack that are shown; 0: none is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackDepth(pub usize);

/// Enough for the way from a system call through a socket, IP and a firewall.
const DEPTH: usize = 16;

fn stack_depth(text: &str) -> Result<StackDepth, String> {
    match (text, text.parse()) {
        ("true", _) => Ok(StackDepth(DEPTH)),
        ("false", _) => Ok(StackDepth(0)),
        (_, Ok(depth)) if depth <= DEPTH_MOST => Ok(StackDepth(depth)),
        _ => Err(format!("want how many functions deep, at most {DEPTH_MOST}")),
    }
}

impl CaptureArgs {
    /// Sizes asked for.
    pub fn memory(&self) -> MemoryAsked {
        MemoryAsked {
            budget: self.memory_budget,
            ring_size: self.ring_size,
            flows: self.flow_map_size,
            stacks: self.stack.0 > 0,
        }
    }

    /// `None`: no limit.
    pub fn events_per_flow(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.events_per_flow)
    }
}

/// A number of bytes, with a suffix as Kubernetes has it: k, M, G (powers of 1000), Ki, Mi, Gi (powers of 1024).
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    const SUFFIXES: [(&str, u64); 7] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("k", 1_000),
        ("K", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    let (digits, unit) = SUFFIXES
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|digits| (digits, *unit)))
        .unwrap_or((text, 1));
    digits
        .parse::<u64>()
        .ok()
        .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|n| n.checked_mul(unit))
        .ok_or_else(|| "want a number of bytes, as 8388608, 8Mi or 64M".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_have_a_depth() {
        for (text, depth) in [("true", 16), ("false", 0), ("0", 0), ("1", 1), ("32", 32)] {
            assert_eq!(stack_depth(text), Ok(StackDepth(depth)), "{text}");
        }
        for wrong in ["", "33", "-1", "deep"] {
            assert!(stack_depth(wrong).unwrap_err().contains("at most 32"), "{wrong}");
        }
    }

    #[test]
    fn bytes_have_the_suffixes_of_kubernetes() {
        assert_eq!(bytes("65536"), Ok(65_536));
        assert_eq!(bytes("8Mi"), Ok(8 << 20));
        assert_eq!(bytes("1G"), Ok(1_000_000_000));
        for wrong in ["", "Mi", "-1", "+1", "8MiB", "1.5Mi", "99999999999Gi"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
