//! From a `sk_buff` to a record.

#![expect(
    clippy::cast_possible_truncation,
    reason = "ids are split in halves, lengths are bounded by the record, and a checked cast is a branch more for the verifier"
)]
#![expect(clippy::wildcard_imports, reason = "the globals are a table, of which this file reads most rows")]

use aya_ebpf::helpers::generated;
use netdrop_common::event::{ABI_VERSION, DropRecord, HEAD_MAX, HEAD_SHORT, MAC_MAX, UNWRITTEN_HEAD, flag};
use netdrop_common::hook;

use crate::ends;
use crate::globals::*;
use crate::netns;
use crate::read::{self, Ptr, present};
use crate::write;

/// Address families of packet sockets and IP (include/linux/socket.h; part of the system call interface).
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
const AF_PACKET: u16 = 17;
/// `PF_KTHREAD` (include/linux/sched.h, unchanged since 2.6.27; a macro, so BTF does not have it).
const PF_KTHREAD: u32 = 0x0020_0000;
/// `skb->mac_header` when it is not set.
const MAC_UNSET: u16 = 0xffff;

/// What the prefilter and the record both need.
pub struct Facts {
    /// The packet.
    pub skb: Ptr,
    /// Its device, if that is one.
    pub dev: Option<Ptr>,
    /// Its socket, or null.
    pub sk: Ptr,
    /// Namespace inode.
    pub netns: Option<u32>,
    /// `skb->protocol`.
    pub protocol: [u8; 2],
    /// Address of the packet's buffer.
    pub head: u64,
    /// Offset of the network header in it; 0: not set.
    pub network: u16,
    /// Offset of the end of its linear bytes.
    pub tail: u32,
    /// Whether there may be no IP header yet, see [`ends::unwritten`].
    pub unwritten: bool,
}

/// Whether this is a network packet, and not one of AF_UNIX, netlink or vsock: it has a protocol, a device or a socket of the
/// network. Nearly all have the first, so nearly never is more than that read.
///
/// # Safety
/// `skb` must be a typed pointer.
#[inline(always)]
pub unsafe fn is_network(skb: Ptr) -> bool {
    // SAFETY: typed pointers.
    unsafe {
        if read::typed::<u16>(skb, SKB_PROTOCOL.load()) != 0 {
            return true;
        }
        if netns::of_device(read::typed(skb, SKB_DEV.load())).is_some() {
            return true;
        }
        let sk: Ptr = read::typed(skb, SKB_SK.load());
        if sk.is_null() {
            return false;
        }
        let family: u16 = read::typed(sk, SOCK_FAMILY.load());
        family == AF_INET || family == AF_INET6 || family == AF_PACKET
    }
}

/// The facts.
///
/// # Safety
/// `skb` must be a typed pointer.
#[inline(always)]
pub unsafe fn facts(skb: Ptr) -> Facts {
    // SAFETY: typed pointers.
    unsafe {
        let maybe_dev: Ptr = read::typed(skb, SKB_DEV.load());
        let net = netns::of_device(maybe_dev);
        let sk: Ptr = read::typed(skb, SKB_SK.load());
        let mut facts = Facts {
            skb,
            dev: net.map(|_| maybe_dev),
            sk,
            netns: netns::inode(skb, net, sk),
            protocol: read::typed::<u16>(skb, SKB_PROTOCOL.load()).to_ne_bytes(),
            head: read::typed(skb, SKB_HEAD.load()),
            network: read::typed(skb, SKB_NETWORK_HEADER.load()),
            tail: read::typed(skb, SKB_TAIL.load()),
            unwritten: false,
        };
        facts.unwritten = ends::unwritten(&facts);
        facts
    }
}

/// One run of the hook.
pub struct Event {
    /// Of the packet.
    pub facts: Facts,
    /// Raw reason, where the kernel gives one.
    pub reason: Option<u32>,
    /// Instruction address that freed the packet.
    pub location: u64,
    /// Address of the hook's arguments.
    pub ctx: u64,
    /// `CLOCK_MONOTONIC`, ns.
    pub now: u64,
}

/// Whether a short record holds all linear bytes from the network header on, and these are one.
#[inline(always)]
pub fn is_short(facts: &Facts) -> bool {
    facts.network != 0
        && !facts.unwritten
        && facts.tail.wrapping_sub(u32::from(facts.network)) <= HEAD_SHORT as u32
}

/// Writes the record with room for `HEAD` packet bytes; whether a read failed.
///
/// # Safety
/// `record` must have room for a record with that many; the pointers in `event` are typed.
#[inline(always)]
pub unsafe fn fill<const HEAD: usize>(record: *mut DropRecord, event: &Event) -> bool {
    let facts = &event.facts;
    // SAFETY: the verifier has proven `record` to be room for a record.
    unsafe {
        let r = &mut *record;
        let mut flags = 0;
        r.version = ABI_VERSION;
        r.hook = hook::KFREE_SKB;
        r.len = (size_of::<DropRecord>() - HEAD_MAX + HEAD) as u16;
        r.time_ns = event.now;
        r.location = event.location;
        r.reason = event.reason.unwrap_or(0);
        if event.reason.is_some() {
            flags |= flag::REASON;
        }
        r.netns = facts.netns.unwrap_or(0);
        if facts.netns.is_some() {
            flags |= flag::NETNS;
        }
        flags |= device(r, facts);
        r.skb_iif = read::typed(facts.skb, SKB_IIF.load());
        if r.skb_iif != 0 {
            flags |= flag::IIF;
        }
        r.skb_len = read::typed(facts.skb, SKB_LEN.load());
        r.mark = read::typed(facts.skb, SKB_MARK.load());
        r.protocol = facts.protocol;
        r.pkt_type = read::typed::<u8>(facts.skb, SKB_PKT_TYPE.load()) & 7;
        r.vlan_tci = read::typed(facts.skb, SKB_VLAN_TCI.load());
        r.vlan_proto = read::typed::<u16>(facts.skb, SKB_VLAN_PROTO.load()).to_ne_bytes();
        if r.vlan_proto != [0, 0] {
            flags |= flag::VLAN;
        }
        r.cpu = generated::bpf_get_smp_processor_id();
        write::zeroes(&mut r._pad);
        flags |= socket(r, facts);
        flags |= task(r, event.ctx, !facts.sk.is_null());
        flags |= gso(r, facts);
        // A short record is of a packet that has its header.
        let unwritten = HEAD == HEAD_MAX && ends::fill(&mut r.head, facts);
        if unwritten {
            flags |= flag::UNWRITTEN;
        }
        flags |= bytes(r, facts, if unwritten { UNWRITTEN_HEAD as u32 } else { HEAD as u32 });
        r.flags = flags;
        flags & flag::READ_FAULT != 0
    }
}

#[inline(always)]
unsafe fn device(r: &mut DropRecord, facts: &Facts) -> u32 {
    r.ifindex = 0;
    r.local_addr = [0; 4];
    let Some(dev) = facts.dev else {
        // SAFETY: the field follows words.
        unsafe { write::zeroes(&mut r.dev_name) };
        return 0;
    };
    // SAFETY: `dev` is typed and was found to be a device.
    unsafe {
        r.ifindex = read::typed(dev, DEV_IFINDEX.load());
        let low: u64 = read::typed(dev, DEV_NAME.load());
        let high: u64 = read::typed(dev, DEV_NAME.load() + 8);
        r.dev_name[..8].copy_from_slice(&low.to_ne_bytes());
        r.dev_name[8..].copy_from_slice(&high.to_ne_bytes());
        if !present(DEV_IP_PTR.load()) || !present(IN_DEVICE_IFA_LIST.load()) || !present(IFADDR_LOCAL.load())
        {
            return flag::IFINDEX;
        }
        let in_device: Ptr = read::typed(dev, DEV_IP_PTR.load());
        if in_device.is_null() {
            return flag::IFINDEX;
        }
        let address: Ptr = read::typed(in_device, IN_DEVICE_IFA_LIST.load());
        if address.is_null() {
            return flag::IFINDEX;
        }
        r.local_addr = read::typed::<u32>(address, IFADDR_LOCAL.load()).to_ne_bytes();
        flag::IFINDEX | flag::LOCAL_ADDR
    }
}

#[inline(always)]
unsafe fn socket(r: &mut DropRecord, facts: &Facts) -> u32 {
    r.cgroup_id = 0;
    if facts.sk.is_null() {
        return 0;
    }
    // SAFETY: typed pointers.
    unsafe {
        // A socket of TIME_WAIT or NEW_SYN_RECV is a smaller struct without a cgroup.
        let state = u32::from(read::typed::<u8>(facts.sk, SOCK_STATE.load()));
        if !present(SOCK_CGROUP.load())
            || !present(CGROUP_KN.load())
            || !present(KERNFS_ID.load())
            || state == TCP_TIME_WAIT.load()
            || state == TCP_NEW_SYN_RECV.load()
        {
            return flag::SOCKET;
        }
        let cgroup: Ptr = read::typed(facts.sk, SOCK_CGROUP.load());
        if cgroup.is_null() {
            return flag::SOCKET;
        }
        let node: Ptr = read::typed(cgroup, CGROUP_KN.load());
        if node.is_null() {
            return flag::SOCKET;
        }
        r.cgroup_id = read::typed(node, KERNFS_ID.load());
        if r.cgroup_id == 0 { flag::SOCKET } else { flag::SOCKET | flag::CGROUP }
    }
}

/// Who was running. In process context the hook's arguments lie on the task's own stack; in softirq they lie on the
/// interrupt's, or the task is a kernel thread.
#[inline(always)]
unsafe fn task(r: &mut DropRecord, ctx: u64, has_socket: bool) -> u32 {
    // SAFETY: helpers without preconditions; the task pointer is typed.
    unsafe {
        let ids = generated::bpf_get_current_pid_tgid();
        r.pid = (ids >> 32) as u32;
        r.tid = ids as u32;
        if generated::bpf_get_current_comm(r.comm.as_mut_ptr().cast(), 16) != 0 {
            write::zeroes(&mut r.comm);
        }
        if !has_socket || !present(TASK_STACK.load()) || !present(TASK_FLAGS.load()) {
            return 0;
        }
        let task: Ptr = generated::bpf_get_current_task_btf().cast_const().cast();
        let stack: u64 = read::typed(task, TASK_STACK.load());
        // The registers saved at system call entry lie at the very top of the stack.
        let top = generated::bpf_task_pt_regs(task.cast_mut().cast()).cast_unsigned();
        // An interrupt of user code runs, with the softirqs after it, on the task's stack too; x86 then stores -1 where a
        // system call has its number (arch/x86/entry/entry_64.S, 6.18).
        let in_syscall =
            !present(REGS_ORIG_AX.load()) || read::typed::<i64>(top as *const _, REGS_ORIG_AX.load()) >= 0;
        let on_stack = ctx >= stack && ctx < top && in_syscall;
        let kernel_thread = read::typed::<u32>(task, TASK_FLAGS.load()) & PF_KTHREAD != 0;
        if on_stack && !kernel_thread { flag::OWNER } else { 0 }
    }
}

#[inline(always)]
unsafe fn gso(r: &mut DropRecord, facts: &Facts) -> u32 {
    r.gso_size = 0;
    r.gso_segs = 0;
    // One read less where nothing is gained: what is this short is one packet on the wire.
    if r.skb_len <= HEAD_MAX as u32 {
        return 0;
    }
    // SAFETY: typed pointer.
    let end: u32 = unsafe { read::typed(facts.skb, SKB_END.load()) };
    let shared = facts.head + u64::from(end);
    let Some(size) = read::at::<u16>(shared + u64::from(SHINFO_GSO_SIZE.load())) else {
        return flag::READ_FAULT;
    };
    if size == 0 {
        return 0;
    }
    r.gso_size = size;
    r.gso_segs = read::at::<u16>(shared + u64::from(SHINFO_GSO_SEGS.load())).unwrap_or(0);
    flag::GSO
}

/// Copies the headers, as far as there is room: in the common case the MAC header and what follows, in one read.
#[inline(always)]
unsafe fn bytes(r: &mut DropRecord, facts: &Facts, room: u32) -> u32 {
    // SAFETY: `r` is room for a record; typed pointers.
    unsafe {
        let mac: u16 = read::typed(facts.skb, SKB_MAC_HEADER.load());
        let has_mac = mac != MAC_UNSET;
        let (start, kind) = if facts.network != 0 {
            (u32::from(facts.network), flag::HEAD_NETWORK)
        } else if has_mac {
            (u32::from(mac), flag::HEAD_MAC)
        } else {
            let data: u64 = read::typed(facts.skb, SKB_DATA.load());
            (data.wrapping_sub(facts.head) as u32, flag::HEAD_DATA)
        };
        let mut flags = kind;
        let linear = facts.tail.wrapping_sub(start);
        // A tail before the start wraps around: no bytes.
        let len = if linear > 0xffff {
            0
        } else if linear > room {
            room
        } else {
            linear
        };
        let data_len: u32 = read::typed(facts.skb, SKB_DATA_LEN.load());
        if linear > len || data_len != 0 {
            flags |= flag::TRUNCATED;
        }
        r.head_len = 0;
        let with_mac = has_mac && kind == flag::HEAD_NETWORK && u32::from(mac) + MAC_MAX as u32 == start;
        let address = facts.head + u64::from(start);
        if with_mac {
            if read::copy(r.mac.as_mut_ptr(), MAC_MAX as u32 + len, address - MAC_MAX as u64) {
                r.head_len = len as u8;
                return flags | flag::MAC;
            }
            return flags | flag::READ_FAULT;
        }
        if has_mac && kind == flag::HEAD_NETWORK && u32::from(mac) + MAC_MAX as u32 <= start {
            if read::copy(r.mac.as_mut_ptr(), MAC_MAX as u32, facts.head + u64::from(mac)) {
                flags |= flag::MAC;
            } else {
                flags |= flag::READ_FAULT;
            }
        }
        if read::copy(r.head.as_mut_ptr(), len, address) {
            r.head_len = len as u8;
        } else {
            flags |= flag::READ_FAULT;
        }
        flags
    }
}
