//! All maps.

use aya_ebpf::btf_maps::{ArrayOfMaps, HashMap as BtfHashMap};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf};
use netdrop_common::counter::{Counters, SLOTS};
use netdrop_common::filter::{MAX_ENTRIES, PrefixKey};
use netdrop_common::flow::{BUCKETS, Bucket, CpuState, FlowEntry, FlowKey, REST_MAX, RestEntry, RestKey};
use netdrop_common::stack::{Frames, StackKey};
use netdrop_common::symbol::TEXT_MAX;

/// Records on their way to user space; the loader sets the size.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(8 * 1024 * 1024, 0);

/// Exact counts, one slot per reason.
#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(SLOTS, 0);

/// What each CPU keeps between two drops.
#[map]
pub static CPU_STATE: PerCpuArray<CpuState> = PerCpuArray::with_max_entries(1, 0);

/// Token buckets by hash of the flow.
#[map]
pub static FLOW_BUCKETS: Array<Bucket> = Array::with_max_entries(BUCKETS, 0);

/// The flow map that drops are added to now. User space puts another in its place, which waits for all programs that still
/// use the first, and only then reads that: so nothing is added to an entry that was read already.
///
/// Preallocated, since a program here must not wait for memory.
#[btf_map]
pub static ACTIVE_FLOWS: ArrayOfMaps<FlowMap, 1> = ArrayOfMaps::new();

/// The loader sets the size. It also makes these maps, as it makes the pattern for the inner ones: up to 6.1 the kernel takes no
/// map without type information where the pattern had some.
type FlowMap = BtfHashMap<FlowKey, FlowEntry, 1>;

/// One of the two.
#[btf_map]
pub static FLOWS_A: FlowMap = FlowMap::new();

/// The other.
#[btf_map]
pub static FLOWS_B: FlowMap = FlowMap::new();

/// Where the first record of a new flow is written before it goes to the map: it is too large for the stack.
#[map]
pub static FLOW_SCRATCH: PerCpuArray<FlowEntry> = PerCpuArray::with_max_entries(1, 0);

/// Drops of flows that found no room.
#[map]
pub static RESTS: HashMap<RestKey, RestEntry> = HashMap::with_max_entries(REST_MAX, 0);

/// Call stacks of the first packets of flows' entries; the loader sets the size.
#[map]
pub static STACKS: HashMap<StackKey, Frames> = HashMap::with_max_entries(1, 0);

/// Where such a stack is written before it goes to the map.
#[map]
pub static STACK_SCRATCH: PerCpuArray<Frames> = PerCpuArray::with_max_entries(1, 0);

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
