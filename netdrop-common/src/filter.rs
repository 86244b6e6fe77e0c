//! The prefilter in the kernel: which stages are on, and the keys of its maps.
//!
//! A drop passes when every stage that is on passes. What a stage can't read, it lets through: the prefilter lets a superset
//! of the user's filter through, and user space decides.

/// The reason is in map `FILTER_REASONS` (key `u32`, the raw reason).
pub const REASON: u32 = 1 << 0;
/// The namespace inode is in map `FILTER_NETNS` (key `u32`).
pub const NETNS: u32 = 1 << 1;
/// `skb->dev`'s or the incoming index is in map `FILTER_IFINDEX` (key `u32`).
pub const IFINDEX: u32 = 1 << 2;
/// The IP protocol is in map `FILTER_PROTOCOLS` (key `u32`); frames that are not IP, and IPv6 extension headers, pass.
pub const PROTOCOL: u32 = 1 << 3;
/// Source or destination address lies in a prefix of map `FILTER_PREFIXES`; frames that are not IP pass.
pub const PREFIX: u32 = 1 << 4;
/// Source or destination port is in map `FILTER_PORTS` (key `u32`, host order). ICMP fails; what may hide ports (extension
/// headers, later fragments, frames that are not IP) passes.
pub const PORT: u32 = 1 << 5;

/// Most entries of each filter map; a filter with more values switches its stage off.
pub const MAX_ENTRIES: u32 = 1024;

/// Data of an LPM key: family (4 or 6), three zero bytes, the address (IPv4 in the first four bytes). The prefix length
/// counts the 32 bits of family and padding too.
#[repr(C)]
#[expect(clippy::pub_underscore_fields, reason = "padding is part of the ABI and both sides write it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixKey {
    /// 4 or 6.
    pub family: u8,
    /// Zero.
    pub _pad: [u8; 3],
    /// Network order.
    pub address: [u8; 16],
}

/// Bits of [`PrefixKey`] before the address.
pub const PREFIX_BITS_BEFORE_ADDRESS: u32 = 32;

const _: () = assert!(size_of::<PrefixKey>() == 20);
