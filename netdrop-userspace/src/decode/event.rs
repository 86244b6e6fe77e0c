//! A ring record, checked.

#![expect(unsafe_code, reason = "one unaligned read of a plain-old-data record behind a length check")]

use std::fmt;

use netdrop_common::event::{ABI_VERSION, DropRecord, HEAD_MAX, HEAD_SHORT, SHORT_LEN, flag};
use netdrop_common::hook;
use thiserror::Error;

/// Why bytes are not a record that this build can read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than a record.
    #[error("record of {0} bytes is too short")]
    Short(usize),
    /// The BPF object is of another build.
    #[error("record version {0} is not {ABI_VERSION}")]
    Version(u8),
    /// A hook this build does not know.
    #[error("record of unknown hook {0}")]
    Hook(u8),
    /// A length field contradicts the record.
    #[error("record states an impossible length")]
    Length,
}

/// One drop, as the kernel side recorded it; absent fields are `None`.
#[derive(Clone, Copy)]
pub struct DropEvent(DropRecord);

impl fmt::Debug for DropEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl DropEvent {
    /// Checks and copies a ring record, whole or short.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() >= size_of::<DropRecord>() {
            // SAFETY: at least size_of::<DropRecord>() bytes are there, the type is repr(C), made of integers and arrays of
            // integers only (any bit pattern is valid), and read_unaligned asks for no alignment.
            let record = unsafe { bytes.as_ptr().cast::<DropRecord>().read_unaligned() };
            return Self::from_record(record);
        }
        let Some(short) = bytes.get(..SHORT_LEN) else {
            return Err(DecodeError::Short(bytes.len()));
        };
        let mut record = std::mem::MaybeUninit::<DropRecord>::zeroed();
        // SAFETY: the record is longer than `short`; any bytes are valid for it, as above.
        let record = unsafe {
            record.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(short.as_ptr(), SHORT_LEN);
            record.assume_init()
        };
        Self::from_record(record)
    }

    /// Checks a record.
    pub fn from_record(record: DropRecord) -> Result<Self, DecodeError> {
        if record.version != ABI_VERSION {
            return Err(DecodeError::Version(record.version));
        }
        if record.hook != hook::KFREE_SKB {
            return Err(DecodeError::Hook(record.hook));
        }
        let most = match usize::from(record.len) {
            SHORT_LEN => HEAD_SHORT,
            len if len == size_of::<DropRecord>() => HEAD_MAX,
            _ => return Err(DecodeError::Length),
        };
        if usize::from(record.head_len) > most {
            return Err(DecodeError::Length);
        }
        Ok(Self(record))
    }

    fn when<T>(&self, bit: u32, value: T) -> Option<T> {
        (self.0.flags & bit != 0).then_some(value)
    }

    /// Whether a bit of [`flag`] is set.
    pub fn has(&self, bit: u32) -> bool {
        self.0.flags & bit != 0
    }
    /// The record as it came.
    pub fn record(&self) -> &DropRecord {
        &self.0
    }
    /// `CLOCK_MONOTONIC`, ns.
    pub fn time_ns(&self) -> u64 {
        self.0.time_ns
    }
    /// Raw reason.
    pub fn reason(&self) -> Option<u32> {
        self.when(flag::REASON, self.0.reason)
    }
    /// Instruction address.
    pub fn location(&self) -> u64 {
        self.0.location
    }
    /// Namespace inode.
    pub fn netns(&self) -> Option<u32> {
        self.when(flag::NETNS, self.0.netns)
    }
    /// Device index.
    pub fn ifindex(&self) -> Option<u32> {
        self.when(flag::IFINDEX, self.0.ifindex)
    }
    /// Incoming device index.
    pub fn skb_iif(&self) -> Option<u32> {
        self.when(flag::IIF, self.0.skb_iif)
    }
    /// cgroup v2 id.
    pub fn cgroup_id(&self) -> Option<u64> {
        self.when(flag::CGROUP, self.0.cgroup_id)
    }
    /// First IPv4 address of the device.
    pub fn local_addr(&self) -> Option<std::net::Ipv4Addr> {
        self.when(flag::LOCAL_ADDR, self.0.local_addr.into())
    }
    /// EtherType of the packet, host order; `None` where the kernel had not set it.
    pub fn protocol(&self) -> Option<u16> {
        match u16::from_be_bytes(self.0.protocol) {
            0 => None,
            p => Some(p),
        }
    }
    /// Packet bytes; what they start with is told by [`flag`]'s `HEAD_` bits.
    pub fn head(&self) -> &[u8] {
        &self.0.head[..usize::from(self.0.head_len).min(HEAD_MAX)]
    }
    /// MAC header.
    pub fn mac(&self) -> Option<&[u8; 14]> {
        self.when(flag::MAC, &self.0.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_give_an_event_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(e) = DropEvent::decode(&bytes) {
                prop_assert!(e.head().len() <= HEAD_MAX);
            }
        }
    }
}
