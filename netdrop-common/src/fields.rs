//! THE table of kernel struct fields that the BPF side reads.
//!
//! One row: global's name, struct, path of members, size in bytes, required or optional. The BPF crate expands it to one
//! `Global<u32>` per row; the user side looks each offset up in the running kernel's BTF and overrides the global.

/// Offset of a field that this kernel does not have; the reader is behind a check, which the verifier prunes.
pub const ABSENT: u32 = u32::MAX;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelField {
    /// Name of the global in the BPF object.
    pub global: &'static str,
    /// Struct in the kernel's BTF.
    pub container: &'static str,
    /// Members from the struct on, joined by dots; anonymous structs and unions are looked through.
    pub path: &'static str,
    /// Size of the member in bytes; 0 where any will do (bitfields, arrays: only the offset is used).
    pub size: u32,
    /// Without it netdrop can't run.
    pub required: bool,
}

/// Calls `$with!` with all rows: `(GLOBAL, "struct", "path", size, required)`.
#[macro_export]
macro_rules! kernel_fields {
    ($with:ident) => {
        $with! {
            (SKB_DEV, "sk_buff", "dev", 8, true),
            (SKB_SK, "sk_buff", "sk", 8, true),
            (SKB_REFDST, "sk_buff", "_skb_refdst", 8, true),
            (SKB_LEN, "sk_buff", "len", 4, true),
            (SKB_DATA_LEN, "sk_buff", "data_len", 4, true),
            (SKB_IIF, "sk_buff", "skb_iif", 4, true),
            (SKB_MARK, "sk_buff", "mark", 4, true),
            (SKB_PROTOCOL, "sk_buff", "protocol", 2, true),
            (SKB_NETWORK_HEADER, "sk_buff", "network_header", 2, true),
            (SKB_MAC_HEADER, "sk_buff", "mac_header", 2, true),
            (SKB_VLAN_PROTO, "sk_buff", "vlan_proto", 2, true),
            (SKB_VLAN_TCI, "sk_buff", "vlan_tci", 2, true),
            (SKB_PKT_TYPE, "sk_buff", "pkt_type", 0, true),
            (SKB_HEAD, "sk_buff", "head", 8, true),
            (SKB_DATA, "sk_buff", "data", 8, true),
            (SKB_TAIL, "sk_buff", "tail", 4, true),
            (SKB_END, "sk_buff", "end", 4, true),
            (SHINFO_GSO_SIZE, "skb_shared_info", "gso_size", 2, true),
            (SHINFO_GSO_SEGS, "skb_shared_info", "gso_segs", 2, true),
            (DEV_IFINDEX, "net_device", "ifindex", 4, true),
            (DEV_NAME, "net_device", "name", 16, true),
            (DEV_NET, "net_device", "nd_net.net", 8, true),
            (DEV_IP_PTR, "net_device", "ip_ptr", 8, false),
            (IN_DEVICE_IFA_LIST, "in_device", "ifa_list", 8, false),
            (IFADDR_LOCAL, "in_ifaddr", "ifa_local", 4, false),
            (NET_INUM, "net", "ns.inum", 4, true),
            (NET_LOOPBACK, "net", "loopback_dev", 8, true),
            (SOCK_FAMILY, "sock", "__sk_common.skc_family", 2, true),
            (SOCK_STATE, "sock", "__sk_common.skc_state", 1, true),
            (SOCK_NET, "sock", "__sk_common.skc_net.net", 8, true),
            (SOCK_CGROUP, "sock", "sk_cgrp_data.cgroup", 8, false),
            (CGROUP_KN, "cgroup", "kn", 8, false),
            (KERNFS_ID, "kernfs_node", "id", 8, false),
            (SOCK_TYPE, "sock", "sk_type", 2, false),
            (SOCK_PROTOCOL, "sock", "sk_protocol", 2, false),
            (SOCK_NUM, "sock", "__sk_common.skc_num", 2, true),
            (SOCK_DPORT, "sock", "__sk_common.skc_dport", 2, true),
            (SOCK_SADDR4, "sock", "__sk_common.skc_rcv_saddr", 4, true),
            (SOCK_DADDR4, "sock", "__sk_common.skc_daddr", 4, true),
            (SOCK_SADDR6, "sock", "__sk_common.skc_v6_rcv_saddr", 16, false),
            (SOCK_DADDR6, "sock", "__sk_common.skc_v6_daddr", 16, false),
            (CORK_DST, "inet_sock", "cork.base.dst", 8, false),
            (CORK_SADDR4, "inet_sock", "cork.fl.u.ip4.saddr", 4, false),
            (CORK_DADDR4, "inet_sock", "cork.fl.u.ip4.daddr", 4, false),
            (CORK_PORTS4, "inet_sock", "cork.fl.u.ip4.uli", 4, false),
            (CORK_SADDR6, "inet_sock", "cork.fl.u.ip6.saddr", 16, false),
            (CORK_DADDR6, "inet_sock", "cork.fl.u.ip6.daddr", 16, false),
            (CORK_PORTS6, "inet_sock", "cork.fl.u.ip6.uli", 4, false),
            (DST_OPS, "dst_entry", "ops", 8, false),
            (OPS_FAMILY, "dst_ops", "family", 2, false),
            (DST_DEV, "dst_entry", "dev", 8, true),
            (TASK_STACK, "task_struct", "stack", 8, false),
            (TASK_FLAGS, "task_struct", "flags", 4, false),
            (REGS_ORIG_AX, "pt_regs", "orig_ax", 8, false),
        }
    };
}

macro_rules! table {
    ($(($global:ident, $container:literal, $path:literal, $size:literal, $required:literal)),* $(,)?) => {
        /// All rows, in order.
        pub const KERNEL_FIELDS: &[KernelField] = &[$(KernelField {
            global: stringify!($global), container: $container, path: $path, size: $size, required: $required,
        }),*];
    };
}
kernel_fields!(table);
