//! The programs, in order of what they do.

#![expect(clippy::needless_pass_by_value, reason = "aya's entry point hands its context over by value")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes of a few bytes become a helper's u32; an id is split in halves"
)]

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use aya_ebpf::programs::BtfTracePointContext;
use netdrop_common::fields::ABSENT;

type Ptr = *const u8;

macro_rules! offsets {
    ($($name:ident),*) => {
        $(
            /// Offset of a kernel field, under the name it has in `netdrop_common::fields`.
            #[unsafe(no_mangle)]
            static $name: Global<u32> = Global::new(ABSENT);
        )*
    };
}
offsets!(
    SKB_DEV,
    SKB_LEN,
    SKB_MARK,
    SKB_PROTOCOL,
    SKB_HEAD,
    SKB_NETWORK_HEADER,
    DEV_IFINDEX,
    DEV_NAME,
    DEV_NET,
    NET_INUM
);

/// 1: wake the reader for each record. 0: never, it polls.
#[unsafe(no_mangle)]
static WAKE: Global<u32> = Global::new(0);

/// As large as netdrop's.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(8 * 1024 * 1024, 0);

/// What `record` did: slot 0 submitted, slot 1 lost because the ring buffer was full.
#[map]
static COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// One drop. Plain integers; with the ring buffer's own header it takes 112 bytes.
#[repr(C)]
struct Record {
    time_ns: u64,
    location: u64,
    skb: u64,
    dev_name: [u64; 2],
    comm: [u8; 16],
    reason: u32,
    netns: u32,
    ifindex: u32,
    len: u32,
    mark: u32,
    source: u32,
    destination: u32,
    ports: u32,
    pid: u32,
    tid: u32,
    cpu: u32,
    protocol: u16,
    transport: u8,
    zero: u8,
}

const _: () = assert!(size_of::<Record>() == 104);

/// Nothing but the hook. How often it ran is told by the kernel's own count.
#[btf_tracepoint(function = "kfree_skb")]
pub fn empty(_: BtfTracePointContext) -> i32 {
    0
}

/// One parsed record for each drop.
#[btf_tracepoint(function = "kfree_skb")]
pub fn record(ctx: BtfTracePointContext) -> i32 {
    let Some(mut entry) = RECORDS.reserve::<Record>(0) else {
        count(1);
        return 0;
    };
    // SAFETY: `entry` is room for one record; the tracepoint's first argument is a trusted sk_buff.
    unsafe { fill(&mut *entry.as_mut_ptr(), ctx.arg(0), ctx.arg(1), ctx.arg(2)) };
    entry.submit(u64::from(if WAKE.load() == 1 { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
    count(0);
    0
}

#[inline(always)]
fn count(slot: u32) {
    if let Some(count) = COUNTS.get_ptr_mut(slot) {
        // SAFETY: a slot of this CPU; programs of one hook don't nest on a CPU.
        unsafe { *count += 1 };
    }
}

#[inline(always)]
unsafe fn fill(r: &mut Record, skb: Ptr, location: u64, reason: u32) {
    // SAFETY: typed pointers all the way; two reads at plain numbers, whose faults leave zeroes.
    unsafe {
        r.time_ns = generated::bpf_ktime_get_ns();
        r.location = location;
        r.skb = skb as u64;
        r.reason = reason;
        r.len = typed(skb, SKB_LEN.load());
        r.mark = typed(skb, SKB_MARK.load());
        r.protocol = typed(skb, SKB_PROTOCOL.load());
        r.ifindex = 0;
        r.netns = 0;
        r.dev_name = [0; 2];
        let dev: Ptr = typed(skb, SKB_DEV.load());
        if !dev.is_null() {
            r.ifindex = typed(dev, DEV_IFINDEX.load());
            r.dev_name = [typed(dev, DEV_NAME.load()), typed(dev, DEV_NAME.load() + 8)];
            let net: Ptr = typed(dev, DEV_NET.load());
            if !net.is_null() {
                r.netns = typed(net, NET_INUM.load());
            }
        }
        headers(r, skb);
        let ids = generated::bpf_get_current_pid_tgid();
        r.pid = (ids >> 32) as u32;
        r.tid = ids as u32;
        r.cpu = generated::bpf_get_smp_processor_id();
        generated::bpf_get_current_comm(r.comm.as_mut_ptr().cast(), 16);
        r.zero = 0;
    }
}

/// Addresses and ports, taken as those of an IPv4 packet.
#[inline(always)]
unsafe fn headers(r: &mut Record, skb: Ptr) {
    // SAFETY: as in `fill`.
    unsafe {
        let head: u64 = typed(skb, SKB_HEAD.load());
        let network = head + u64::from(typed::<u16>(skb, SKB_NETWORK_HEADER.load()));
        let ip: [u8; 20] = at(network);
        r.transport = ip[9];
        r.source = u32::from_ne_bytes([ip[12], ip[13], ip[14], ip[15]]);
        r.destination = u32::from_ne_bytes([ip[16], ip[17], ip[18], ip[19]]);
        r.ports = at(network + u64::from(ip[0] & 0xf) * 4);
    }
}

/// Loads a field through a pointer whose type the verifier knows.
#[inline(always)]
unsafe fn typed<T: Copy>(base: Ptr, offset: u32) -> T {
    // SAFETY: the verifier checks pointer, offset and size. Volatile, so that the compiler neither splits nor moves the load.
    unsafe { base.add(offset as usize).cast::<T>().read_volatile() }
}

/// Reads kernel memory at a plain number; zeroes where that fails.
#[inline(always)]
fn at<T: Copy>(address: u64) -> T {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes size_of::<T>() bytes, zeroes when it fails; T is integers only.
    unsafe {
        generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
        value.assume_init()
    }
}
