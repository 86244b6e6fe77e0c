//! Headers out of bytes that may end anywhere.

#![expect(unsafe_code, reason = "one unaligned read of header structs made of bytes, behind a length check")]

use bytes::Buf as _;
use network_types::arp::ArpHdr;
use network_types::eth::EthHdr;
use network_types::icmp::{Icmpv4Hdr, Icmpv6Hdr};
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::sctp::SctpHdr;
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;
use network_types::vlan::VlanHdr;
use network_types::vxlan::VxlanHdr;

/// A header of network-types: repr(C), integers and byte arrays only, so that any bytes are a valid value.
///
/// # Safety
/// Implement it for nothing else.
pub(super) unsafe trait Header: Copy {}

macro_rules! headers {
    ($($t:ty),*) => {
        $(
            // SAFETY: repr(C), made of u8, u16 and byte arrays, without padding.
            unsafe impl Header for $t {}
        )*
    };
}
headers!(ArpHdr, EthHdr, Icmpv4Hdr, Icmpv6Hdr, Ipv4Hdr, Ipv6Hdr, SctpHdr, TcpHdr, UdpHdr, VlanHdr, VxlanHdr);

/// The header at the start of `bytes`, and what follows; `None` if it is cut off.
pub(super) fn header<T: Header>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (head, rest) = bytes.split_at_checked(size_of::<T>())?;
    // SAFETY: `head` holds size_of::<T>() bytes, any bytes are a valid T, and read_unaligned asks for no alignment.
    Some((unsafe { head.as_ptr().cast::<T>().read_unaligned() }, rest))
}

/// The big-endian number at an offset of `bytes`.
pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.try_get_u16().ok()
}
