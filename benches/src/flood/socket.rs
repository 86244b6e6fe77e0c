//! A raw IPv4 socket that sends many packets with one system call.

#![expect(unsafe_code, reason = "raw sockets and sendmmsg have no safe interface in std")]

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};

/// Sends whole IPv4 packets to one address; the route is looked up once.
pub struct Socket(OwnedFd);

impl Socket {
    /// In the calling thread's network namespace.
    pub fn connect(to: Ipv4Addr) -> Result<Self> {
        // SAFETY: a system call without pointers.
        let fd =
            unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
        ensure!(fd >= 0, "can't make a raw socket: {}", io::Error::last_os_error());
        // SAFETY: `fd` is open and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: a plain C struct of integers, of which zero is a valid value.
        let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        address.sin_family = libc::sa_family_t::try_from(libc::AF_INET)?;
        address.sin_addr.s_addr = u32::from_ne_bytes(to.octets());
        let len = libc::socklen_t::try_from(size_of_val(&address))?;
        // SAFETY: the address and its length belong together and live until the call returns.
        let connected = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) };
        if connected < 0 {
            return Err(io::Error::last_os_error()).with_context(|| format!("there is no way to {to}"));
        }
        Ok(Self(socket))
    }

    /// Sends packets in order; gives how many the kernel took.
    pub fn send<const N: usize>(&self, packets: &mut [[u8; N]]) -> io::Result<usize> {
        let mut parts: Vec<libc::iovec> = packets
            .iter_mut()
            .map(|packet| libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: N })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: a plain C struct of integers and pointers, of which zero is a valid value.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let count = libc::c_uint::try_from(messages.len()).unwrap_or(libc::c_uint::MAX);
        // SAFETY: `count` messages, whose parts and packets live until the call returns.
        let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}
