//! Traffic of raw sockets: whole IP packets and whole Ethernet frames.

#![expect(unsafe_code, reason = "raw and packet sockets have no safe interface in std")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail, ensure};

use super::craft;

/// Each frame begins with an [`Offload`] (include/uapi/linux/if_packet.h).
const PACKET_VNET_HDR: libc::c_int = 15;

/// Address families have 16 bits in an address and 32 in a call.
const fn family(number: libc::c_int) -> libc::sa_family_t {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "all families are below 50")]
    let family = number as libc::sa_family_t;
    family
}

/// A socket address as the kernel reads it.
pub(super) enum Address {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
    Link(libc::sockaddr_ll),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        // SAFETY: all three are plain C structs of integers, of which zero is a valid value.
        let (mut v4, mut v6): (libc::sockaddr_in, libc::sockaddr_in6) = unsafe { std::mem::zeroed() };
        match address {
            SocketAddr::V4(a) => {
                v4.sin_family = family(libc::AF_INET);
                v4.sin_port = a.port().to_be();
                v4.sin_addr.s_addr = u32::from_ne_bytes(a.ip().octets());
                Self::V4(v4)
            }
            SocketAddr::V6(a) => {
                v6.sin6_family = family(libc::AF_INET6);
                v6.sin6_port = a.port().to_be();
                v6.sin6_addr.s6_addr = a.ip().octets();
                Self::V6(v6)
            }
        }
    }
}

impl Address {
    fn device(index: libc::c_int) -> Self {
        // SAFETY: a plain C struct of integers, of which zero is a valid value.
        let mut link: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        link.sll_family = family(libc::AF_PACKET);
        link.sll_ifindex = index;
        Self::Link(link)
    }

    pub(super) fn pointer(&self) -> *const libc::sockaddr {
        match self {
            Self::V4(a) => (&raw const *a).cast(),
            Self::V6(a) => (&raw const *a).cast(),
            Self::Link(a) => (&raw const *a).cast(),
        }
    }

    pub(super) fn len(&self) -> libc::socklen_t {
        let len = match self {
            Self::V4(a) => size_of_val(a),
            Self::V6(a) => size_of_val(a),
            Self::Link(a) => size_of_val(a),
        };
        libc::socklen_t::try_from(len).unwrap_or(0)
    }
}

fn open(family: libc::c_int, protocol: libc::c_int) -> Result<OwnedFd> {
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    ensure!(fd >= 0, "can't make a raw socket: {}", io::Error::last_os_error());
    // SAFETY: `fd` is open and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn send(socket: &OwnedFd, bytes: &[u8], to: &Address) -> Result<()> {
    // SAFETY: buffer, address and their lengths belong together and live until the call returns.
    let sent = unsafe {
        libc::sendto(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0, to.pointer(), to.len())
    };
    if sent < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error).context("can't send a raw packet");
        }
    }
    Ok(())
}

/// Sends whole IP packets, header included, each towards its own destination address; they take the way out of any packet
/// of this namespace.
pub fn packets<P: AsRef<[u8]>>(packets: impl IntoIterator<Item = P>) -> Result<()> {
    let (mut v4, mut v6) = (None, None);
    for packet in packets {
        let packet = packet.as_ref();
        let to = destination(packet)?;
        let (slot, family) = if to.is_ipv6() { (&mut v6, libc::AF_INET6) } else { (&mut v4, libc::AF_INET) };
        let socket = match slot {
            Some(socket) => socket,
            None => slot.insert(open(family, libc::IPPROTO_RAW)?),
        };
        send(socket, packet, &SocketAddr::new(to, 0).into())?;
    }
    Ok(())
}

fn destination(packet: &[u8]) -> Result<IpAddr> {
    match packet.first().map(|b| b >> 4) {
        Some(4) if packet.len() >= 20 => {
            Ok(Ipv4Addr::from(<[u8; 4]>::try_from(&packet[16..20]).context("four bytes")?).into())
        }
        Some(6) if packet.len() >= 40 => {
            Ok(Ipv6Addr::from(<[u8; 16]>::try_from(&packet[24..40]).context("sixteen bytes")?).into())
        }
        _ => bail!("this is no IP packet: {packet:02x?}"),
    }
}

/// Sends whole Ethernet frames by a device, past the firewall of this namespace.
pub fn frames<F: AsRef<[u8]>>(device: u32, frames: impl IntoIterator<Item = F>) -> Result<()> {
    let socket = open(libc::AF_PACKET, 0)?;
    let to = Address::device(i32::try_from(device).context("no device has such an index")?);
    frames.into_iter().try_for_each(|frame| send(&socket, frame.as_ref(), &to))
}

/// What a sender may tell of a frame before it (`struct virtio_net_hdr`, include/uapi/linux/virtio_net.h): where its headers
/// end, what the device has to sum up and into what pieces to cut it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// 1: a checksum is missing.
    pub flags: u8,
    /// 0 none, 1 TCP on IPv4, 3 UDP fragments, 4 TCP on IPv6, 5 UDP datagrams.
    pub kind: u8,
    /// Bytes of headers, which the kernel keeps in one piece; the rest of a frame of a page and more lies elsewhere.
    pub headers: u16,
    /// Bytes of each piece.
    pub size: u16,
    /// Where the sum begins.
    pub sum_start: u16,
    /// Where it goes, from there.
    pub sum_offset: u16,
}

impl Offload {
    fn bytes(self) -> Vec<u8> {
        let words = [self.headers, self.size, self.sum_start, self.sum_offset].map(u16::to_ne_bytes);
        [&[self.flags, self.kind][..], words.as_flattened()].concat()
    }
}

/// Sends Ethernet frames by a device, each with its [`Offload`]. What the kernel holds to be nonsense it does not send (EINVAL, or
/// ENOMEM where it can't cut it up); gives how many it sent.
pub fn offloaded<F: AsRef<[u8]>>(
    device: u32,
    frames: impl IntoIterator<Item = (Offload, F)>,
) -> Result<usize> {
    let socket = open(libc::AF_PACKET, 0)?;
    let (on, len) = (1, libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0));
    let value: *const libc::c_int = &raw const on;
    // SAFETY: the option's value is an int that lives until the call returns.
    let set =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_VNET_HDR, value.cast(), len) };
    ensure!(set == 0, "can't set PACKET_VNET_HDR: {}", io::Error::last_os_error());
    let to = Address::device(i32::try_from(device).context("no device has such an index")?);
    let mut count = 0;
    for (offload, frame) in frames {
        match send(&socket, &[&offload.bytes(), frame.as_ref()].concat(), &to) {
            Ok(()) => count += 1,
            Err(e) if is_nonsense(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(count)
}

fn is_nonsense(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.raw_os_error() == Some(libc::EINVAL) || e.raw_os_error() == Some(libc::ENOMEM))
}

/// Sends `count` echo requests by an ICMP or ICMPv6 raw socket, with identifier `id` and sequence numbers from 0.
pub fn echo(from: IpAddr, to: IpAddr, id: u16, count: u16) -> Result<()> {
    let (family, protocol) = if from.is_ipv6() {
        (libc::AF_INET6, libc::IPPROTO_ICMPV6)
    } else {
        (libc::AF_INET, libc::IPPROTO_ICMP)
    };
    let socket = open(family, protocol)?;
    let local = Address::from(SocketAddr::new(from, 0));
    // SAFETY: the address and its length belong together and live until the call returns.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), local.pointer(), local.len()) };
    ensure!(bound == 0, "can't bind a raw socket to {from}: {}", io::Error::last_os_error());
    let remote = SocketAddr::new(to, 0).into();
    (0..count).try_for_each(|sequence| send(&socket, &craft::echo(from, to, id, sequence), &remote))
}

/// Sends `count` ARP requests to everybody by a device.
pub fn arp_request(device: u32, mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr, count: u16) -> Result<()> {
    let request = craft::arp_request(mac, sender, target);
    let frame = craft::ethernet([0xff; 6], mac, craft::ether_type::ARP, &request);
    frames(device, std::iter::repeat_n(frame, count.into()))
}
