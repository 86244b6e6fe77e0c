//! Addresses of a call stack to what they are called, without the frames that say nothing about the packet.

use std::collections::HashMap;
use std::sync::Arc;

use crate::flow::{DropSite, Stack};
use crate::probe::stack_frames;

/// Most stacks kept; beyond, the cache starts anew. Packets die in a few hundred ways.
const MOST: usize = 4096;

/// The stacks seen so far, each named once.
pub(super) struct Stacks {
    /// Most frames of one.
    depth: usize,
    known: HashMap<Box<[u64]>, Arc<Stack>>,
    /// Addresses and place of the one that is looked up.
    key: Vec<u64>,
    /// Observations that should have had one.
    without: u64,
}

impl Stacks {
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, known: HashMap::new(), key: Vec::new(), without: 0 }
    }

    /// Observations that the kernel side had no stack for.
    pub(super) fn without(&self) -> u64 {
        self.without
    }

    /// The stack of a drop at `site`; `name_of` names the function that an address lies in.
    pub(super) fn name(
        &mut self,
        addresses: Option<&[u64]>,
        site: &DropSite,
        name_of: impl FnMut(u64) -> DropSite,
    ) -> Option<Arc<Stack>> {
        let Some(addresses) = addresses else {
            self.without += 1;
            return None;
        };
        self.key.clear();
        self.key.extend_from_slice(addresses);
        self.key.push(site.address);
        if let Some(known) = self.known.get(&*self.key) {
            return Some(Arc::clone(known));
        }
        let stack = Arc::new(named(addresses, site, self.depth, name_of));
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(self.key.as_slice().into(), Arc::clone(&stack));
        Some(stack)
    }
}

fn named(
    addresses: &[u64],
    site: &DropSite,
    depth: usize,
    mut name_of: impl FnMut(u64) -> DropSite,
) -> Stack {
    let mut caller = |address: &u64| {
        // It is where a call returns to, which lies behind the end of a function whose last act was the call.
        let before = name_of(address.wrapping_sub(1));
        let offset = if before.symbol.is_some() { before.offset + 1 } else { before.offset };
        DropSite { address: *address, offset, ..before }
    };
    let mut frames: Vec<DropSite> = Vec::with_capacity(depth);
    if let Some(at) = addresses.iter().position(|a| *a == site.address) {
        frames.push(site.clone());
        frames.extend(addresses[at + 1..].iter().map(caller));
    } else {
        // Some places name the function that they are in; the frame of that is the first.
        let all: Vec<DropSite> = addresses.iter().map(&mut caller).collect();
        let in_site = all.iter().position(|f| f.symbol.is_some() && f.symbol == site.symbol);
        let first = in_site.unwrap_or_else(|| all.iter().take_while(|f| is_own(f)).count());
        frames.extend_from_slice(&all[first..]);
    }
    let mut more = addresses.len() >= stack_frames(depth);
    if let Some(entry) = frames.iter().position(is_interrupt) {
        // What was interrupted has nothing to do with the packet.
        frames.truncate(entry + 1);
        more = false;
    }
    more |= frames.len() > depth;
    frames.truncate(depth);
    Stack { frames, more }
}

/// How the kernel came to this program: frames of the tracepoint, and of what frees packets.
fn is_own(frame: &DropSite) -> bool {
    const STARTS: [&str; 8] = [
        "bpf_prog_",
        "bpf_trace_run",
        "bpf_trampoline_",
        "__bpf_trace_",
        "__traceiter_",
        "kfree_skb",
        "__kfree_skb",
        "sk_skb_reason_drop",
    ];
    frame.module.as_deref() == Some("bpf")
        || frame.symbol.as_ref().is_some_and(|symbol| STARTS.iter().any(|s| symbol.starts_with(s)))
}

/// Where an interrupt enters the kernel: `asm_common_interrupt`, `asm_sysvec_apic_timer_interrupt` (x86), `el1h_64_irq` (arm64).
fn is_interrupt(frame: &DropSite) -> bool {
    frame.symbol.as_deref().is_some_and(|symbol| {
        symbol == "asm_common_interrupt"
            || symbol.starts_with("asm_sysvec_")
            || matches!(symbol, "el1h_64_irq" | "el0t_64_irq" | "el0t_32_irq")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel of functions of 0x100 bytes each, at 0x1000.
    fn name_of(address: u64) -> DropSite {
        const NAMES: [&str; 9] = [
            "bpf_prog_1_kfree_skb",
            "bpf_trace_run4",
            "sk_skb_reason_drop",
            "udp_rcv",
            "ip_rcv",
            "asm_sysvec_apic_timer_interrupt",
            "unrelated",
            "net_tx_action",
            "panics",
        ];
        let function = usize::try_from(address.wrapping_sub(0x1000) / 0x100).unwrap();
        let symbol = NAMES.get(function).map(|n| Arc::from(*n));
        let offset = if symbol.is_some() { address % 0x100 } else { 0 };
        DropSite { address, symbol, offset, module: None }
    }

    fn site(address: u64) -> DropSite {
        name_of(address)
    }

    fn shown(addresses: &[u64], at: u64, depth: usize) -> (Vec<String>, bool) {
        let stack = Stacks::new(depth).name(Some(addresses), &site(at), name_of).unwrap();
        (stack.frames.iter().map(ToString::to_string).collect(), stack.more)
    }

    const OWN: [u64; 3] = [0x1010, 0x1110, 0x1210];

    #[test]
    fn the_first_frame_is_the_place() {
        let stack = [&OWN[..], &[0x1310, 0x1410]].concat();
        let (frames, more) = shown(&stack, 0x1310, 16);
        assert_eq!(frames, ["udp_rcv+0x10", "ip_rcv+0x10"]);
        assert!(!more);
    }

    #[test]
    fn a_place_that_is_no_frame_is_found_by_its_function_or_left_out() {
        let stack = [&OWN[..], &[0x1310, 0x1740, 0x1410]].concat();
        assert_eq!(shown(&stack, 0x1700, 16).0, ["net_tx_action+0x40", "ip_rcv+0x10"]);
        assert_eq!(shown(&stack, 0x1800, 16).0[0], "udp_rcv+0x10", "without the hook's own frames");
    }

    #[test]
    fn what_was_interrupted_is_not_shown() {
        let stack = [&OWN[..], &[0x1310, 0x1510, 0x1610]].concat();
        let (frames, more) = shown(&stack, 0x1310, 16);
        assert_eq!(frames, ["udp_rcv+0x10", "asm_sysvec_apic_timer_interrupt+0x10"]);
        assert!(!more);
    }

    #[test]
    fn a_call_that_never_returns_is_its_callers() {
        let stack = [&OWN[..], &[0x1310, 0x1500]].concat();
        assert_eq!(shown(&stack, 0x1310, 16).0, ["udp_rcv+0x10", "ip_rcv+0x100"]);
    }

    #[test]
    fn the_depth_is_kept_and_what_is_beyond_is_said() {
        let stack = [&OWN[..], &[0x1310, 0x1410, 0x1420]].concat();
        assert_eq!(shown(&stack, 0x1310, 2), (vec!["udp_rcv+0x10".into(), "ip_rcv+0x10".into()], true));
        assert!(!shown(&stack, 0x1310, 3).1);
        let full = [[0x1010; 8].as_slice(), &[0x1310; 10]].concat();
        assert!(shown(&full, 0x1310, 10).1, "the kernel side had room for no more");
    }

    #[test]
    fn addresses_without_a_name_stay_what_they_are() {
        let stack = [&OWN[..], &[0x1310, 0xffff_0000]].concat();
        assert_eq!(shown(&stack, 0x1310, 16).0, ["udp_rcv+0x10", "0xffff0000"]);
    }

    #[test]
    fn stacks_are_named_once_and_those_that_lack_are_counted() {
        let mut stacks = Stacks::new(16);
        let first = stacks.name(Some(&[0x1310]), &site(0x1310), name_of).unwrap();
        let again = stacks.name(Some(&[0x1310]), &site(0x1310), |_| panic!("named already")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(stacks.name(None, &site(0x1310), name_of), None);
        assert_eq!(stacks.without(), 1);
        for n in 0..=MOST as u64 {
            stacks.name(Some(&[0x1310, n]), &site(0x1310), |a| DropSite { address: a, ..site(0x1310) });
        }
        assert!(stacks.known.len() <= MOST);
    }
}
