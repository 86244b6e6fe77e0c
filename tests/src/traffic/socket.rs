//! Traffic of ordinary sockets.

#![expect(
    unsafe_code,
    reason = "connect without waiting, MSG_MORE and UDP_SEGMENT have no safe interface in std"
)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::raw::Address;
use crate::expect;

/// A closed socket's address may be taken for a moment more: a child that another thread is starting has a copy of it until
/// it runs its program.
fn bind(at: SocketAddr) -> Result<UdpSocket> {
    let mut socket = None;
    expect::until("a free address", Duration::from_secs(5), || match UdpSocket::bind(at) {
        Ok(bound) => {
            socket = Some(bound);
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(e) => Err(e.into()),
    })
    .with_context(|| format!("can't bind a UDP socket to {at}"))?;
    socket.context("a bound socket")
}

/// Sends `count` datagrams of `data` from one socket, bound to `from`.
pub fn udp(from: SocketAddr, to: SocketAddr, data: &[u8], count: u16) -> Result<()> {
    let socket = bind(from)?;
    for _ in 0..count {
        match socket.send_to(data, to) {
            Err(e) if e.kind() != io::ErrorKind::PermissionDenied => {
                return Err(e).with_context(|| format!("can't send UDP from {from} to {to}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Begins `count` datagrams and sends none: each waits for more data (MSG_MORE) when its socket is closed. `connected`: where the
/// socket is connected to meanwhile.
pub fn unfinished(from: SocketAddr, connected: Option<SocketAddr>, to: SocketAddr, count: u16) -> Result<()> {
    let (address, data) = (Address::from(to), b"and then");
    for _ in 0..count {
        let socket = bind(from)?;
        if let Some(other) = connected {
            socket.connect(other).with_context(|| format!("can't connect to {other}"))?;
        }
        // SAFETY: data and address are there with their lengths until the call returns.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                data.as_ptr().cast(),
                data.len(),
                libc::MSG_MORE,
                address.pointer(),
                address.len(),
            )
        };
        ensure!(sent > 0, "can't begin a datagram to {to}: {}", io::Error::last_os_error());
    }
    Ok(())
}

/// A UDP socket that is not read until the end, and holds next to nothing.
#[derive(Debug)]
pub struct Mailbox(UdpSocket);

impl Mailbox {
    /// Binds it; the kernel's minimum is all it has room for.
    pub fn bind(at: SocketAddr) -> Result<Self> {
        let socket = bind(at)?;
        set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 1).context("can't set SO_RCVBUF")?;
        socket.set_nonblocking(true).context("can't make a socket non-blocking")?;
        Ok(Self(socket))
    }

    /// How many datagrams had room; takes them out.
    pub fn empty(&self) -> Result<u64> {
        let mut held = 0;
        loop {
            match self.0.recv(&mut [0; 1]) {
                Ok(_) => held += 1,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(held),
                Err(e) => return Err(e).context("can't read a UDP socket"),
            }
        }
    }
}

/// Sends `count` times one buffer of `segments` datagrams of `size` bytes each: one packet to most of the kernel, until a
/// device cuts it up (UDP_SEGMENT, Linux 4.18).
pub fn udp_gso(from: SocketAddr, to: SocketAddr, size: u16, segments: usize, count: u16) -> Result<()> {
    let socket = bind(from)?;
    set(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, size.into()).context("can't set UDP_SEGMENT")?;
    let data = vec![0; usize::from(size) * segments];
    for _ in 0..count {
        match socket.send_to(&data, to) {
            Err(e) if e.kind() != io::ErrorKind::PermissionDenied => {
                return Err(e).context("can't send with UDP_SEGMENT");
            }
            _ => {}
        }
    }
    Ok(())
}

fn set(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
    let pointer = (&raw const value).cast::<libc::c_void>();
    // SAFETY: the option's value is an int that lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer, len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends `count` SYNs, each from a socket of its own that is closed at once, so that none is sent again.
///
/// The source ports are `from`'s port and the ones after it, or any if it is 0.
pub fn syns(from: SocketAddr, to: SocketAddr, count: u16) -> Result<()> {
    let family = if from.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    for n in 0..count {
        // SAFETY: a system call without pointers.
        let fd =
            unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
        ensure!(fd >= 0, "can't make a TCP socket: {}", io::Error::last_os_error());
        // SAFETY: `fd` is open and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut from = from;
        if from.port() != 0 {
            from.set_port(from.port().checked_add(n).context("no port is left above the first")?);
        }
        let (local, remote) = (Address::from(from), Address::from(to));
        // SAFETY: the address and its length belong together and live until the call returns.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), local.pointer(), local.len()) };
        ensure!(bound == 0, "can't bind a TCP socket to {from}: {}", io::Error::last_os_error());
        // SAFETY: as above.
        if unsafe { libc::connect(socket.as_raw_fd(), remote.pointer(), remote.len()) } < 0 {
            let error = io::Error::last_os_error();
            let expected = [libc::EINPROGRESS, libc::ECONNREFUSED, libc::EPERM];
            ensure!(
                error.raw_os_error().is_some_and(|code| expected.contains(&code)),
                "can't connect from {from} to {to}: {error}"
            );
        }
        // A child that another thread is starting has a copy of the socket until it runs its program, so a close may not be the last.
        // SAFETY: a system call without pointers; one that is not connecting any more is none of our business.
        unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
    }
    Ok(())
}
