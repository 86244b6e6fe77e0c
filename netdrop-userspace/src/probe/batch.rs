//! Reading and emptying a hash map by the thousand: one system call where one for each entry would be three.

#![expect(unsafe_code, reason = "a system call that aya does not have, with buffers whose sizes are checked")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};
use netdrop_common::flow::{FlowEntry, FlowKey};

/// Entries in one call. A bucket of the kernel's hash must fit; it has about one entry.
const ENTRIES: usize = 512;

/// One bpf() call; the error is the kernel's.
fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<()> {
    // SAFETY: the caller has filled `attr` for the command, with buffers that outlive the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn no_attr() -> bpf_attr {
    // SAFETY: all zeroes is a valid value of this union of integers.
    unsafe { std::mem::zeroed() }
}

/// Whether a hash map with these keys has no entry.
pub(super) fn is_empty(map: BorrowedFd<'_>) -> io::Result<bool> {
    let mut next = std::mem::MaybeUninit::<FlowKey>::uninit();
    let mut attr = no_attr();
    // No key: the kernel gives the first one.
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.__bindgen_anon_1.next_key = next.as_mut_ptr().expose_provenance() as u64;
    match bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) {
        Ok(()) => Ok(false),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(true),
        Err(e) => Err(e),
    }
}

/// Buffers that are used again.
pub(super) struct Drain {
    keys: Vec<FlowKey>,
    values: Vec<FlowEntry>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { keys: Vec::with_capacity(ENTRIES), values: Vec::with_capacity(ENTRIES) }
    }
}

impl Drain {
    /// Takes all entries out of a map with these keys and values; `each` sees one after the other.
    ///
    /// Exact only while nobody adds to the map.
    pub(super) fn take_all(
        &mut self,
        map: BorrowedFd<'_>,
        mut each: impl FnMut(&FlowEntry),
    ) -> io::Result<()> {
        loop {
            let more = self.take_some(map)?;
            self.values.iter().for_each(&mut each);
            if !more {
                return Ok(());
            }
        }
    }

    /// Fills the buffers; whether there is more.
    fn take_some(&mut self, map: BorrowedFd<'_>) -> io::Result<bool> {
        self.keys.clear();
        self.values.clear();
        // What is taken is gone, so each call starts at the front; the kernel still wants a place for the position.
        let mut position = 0u32;
        let mut attr = no_attr();
        attr.batch.out_batch = (&raw mut position).expose_provenance() as u64;
        attr.batch.keys = self.keys.as_mut_ptr().expose_provenance() as u64;
        attr.batch.values = self.values.as_mut_ptr().expose_provenance() as u64;
        attr.batch.count = u32::try_from(ENTRIES).unwrap_or(u32::MAX);
        attr.batch.map_fd = map.as_raw_fd().cast_unsigned();
        let more = match bpf(bpf_cmd::BPF_MAP_LOOKUP_AND_DELETE_BATCH, &mut attr) {
            Ok(()) => true,
            // The end of the map; what was there is counted.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => false,
            Err(e) => return Err(e),
        };
        // SAFETY: the kernel has written how many entries it filled, never more than there is room.
        unsafe {
            let filled = (attr.batch.count as usize).min(ENTRIES);
            self.keys.set_len(filled);
            self.values.set_len(filled);
        }
        Ok(more && !self.values.is_empty())
    }
}
