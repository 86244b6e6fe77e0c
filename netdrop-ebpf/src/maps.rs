//! All maps.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf};
use netdrop_common::counter::{Counters, SLOTS};
use netdrop_common::filter::{MAX_ENTRIES, PrefixKey};
use netdrop_common::symbol::TEXT_MAX;

/// Records on their way to user space; the loader sets the size.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(8 * 1024 * 1024, 0);

/// Exact counts, one slot per reason.
#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(SLOTS, 0);

/// When each CPU last woke the reader, ns.
#[map]
pub static LAST_WAKE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// What the symbol resolver wrote.
#[map]
pub static SYMBOL_TEXT: Array<[u8; TEXT_MAX]> = Array::with_max_entries(1, 0);

macro_rules! sets {
    ($($name:ident),*) => {
        $(
            /// A set of the prefilter.
            #[map]
            pub static $name: HashMap<u32, u8> = HashMap::with_max_entries(MAX_ENTRIES, 0);
        )*
    };
}
sets!(FILTER_REASONS, FILTER_NETNS, FILTER_IFINDEX, FILTER_PROTOCOLS, FILTER_PORTS);

/// Address prefixes of the prefilter.
#[map]
pub static FILTER_PREFIXES: LpmTrie<PrefixKey, u8> = LpmTrie::with_max_entries(MAX_ENTRIES, 0);
