//! A ring record, checked.

#![expect(unsafe_code, reason = "one unaligned read of a plain-old-data record behind a length check")]

use std::fmt;

use netdrop_common::event::{
    ABI_VERSION, DropRecord, Ends, HEAD_MAX, HEAD_SHORT, SHORT_LEN, UNWRITTEN_HEAD, flag,
};
use netdrop_common::hook;
use netdrop_common::stack::{Frames, StackedRecord};
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
#[derive(Clone)]
pub struct DropEvent(DropRecord, Option<Box<[u64]>>);

impl fmt::Debug for DropEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        self.1.as_ref().map_or(Ok(()), |stack| write!(f, " {stack:x?}"))
    }
}

impl DropEvent {
    /// Checks and copies a ring record: whole, with its stack, or short.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() >= size_of::<DropRecord>() {
            // SAFETY: at least size_of::<DropRecord>() bytes are there, the type is repr(C), made of integers and arrays of
            // integers only (any bit pattern is valid), and read_unaligned asks for no alignment.
            let record = unsafe { bytes.as_ptr().cast::<DropRecord>().read_unaligned() };
            if usize::from(record.len) > size_of::<DropRecord>() {
                return Self::with_stack(&record, bytes);
            }
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

    /// Checks a record that says it is longer than one: the stack follows.
    fn with_stack(record: &DropRecord, bytes: &[u8]) -> Result<Self, DecodeError> {
        let len = usize::from(record.len);
        check(record, (len <= size_of::<StackedRecord>()).then_some(HEAD_MAX))?;
        let frames = bytes.get(size_of::<DropRecord>()..len).ok_or(DecodeError::Short(bytes.len()))?;
        let address = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
        let stack = trimmed(frames.chunks_exact(8).map(address)).filter(|_| record.flags & flag::STACK != 0);
        Ok(Self(*record, stack))
    }

    /// Puts a stack to a record that says it has one.
    pub fn set_stack(&mut self, frames: &Frames) {
        self.1 = trimmed(frames.iter().copied());
    }

    /// Checks a record.
    pub fn from_record(record: DropRecord) -> Result<Self, DecodeError> {
        let most = match usize::from(record.len) {
            SHORT_LEN => Some(HEAD_SHORT),
            len => (len == size_of::<DropRecord>()).then_some(HEAD_MAX),
        };
        check(&record, most)?;
        Ok(Self(record, None))
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
    /// What its socket knows of a packet that has no IP header yet.
    pub fn ends(&self) -> Option<Ends> {
        let bytes = self.when(flag::UNWRITTEN, &self.0.head[UNWRITTEN_HEAD..])?;
        let (source, rest) = bytes.split_first_chunk()?;
        let (destination, rest) = rest.split_first_chunk()?;
        let [a, b, c, d, family, protocol, ..] = *rest else { return None };
        Some(Ends {
            source: *source,
            destination: *destination,
            source_port: [a, b],
            destination_port: [c, d],
            family,
            protocol,
            _pad: [0; 2],
        })
    }
    /// Call stack, innermost first, where it was asked for.
    pub fn stack(&self) -> Option<&[u64]> {
        self.1.as_deref()
    }
    /// MAC header.
    pub fn mac(&self) -> Option<&[u8; 14]> {
        self.when(flag::MAC, &self.0.mac)
    }
}

/// `most`: packet bytes that a record of its length has room for; `None`: no record is that long.
fn check(record: &DropRecord, most: Option<usize>) -> Result<(), DecodeError> {
    if record.version != ABI_VERSION {
        return Err(DecodeError::Version(record.version));
    }
    if record.hook != hook::KFREE_SKB {
        return Err(DecodeError::Hook(record.hook));
    }
    // Only a whole record has room for what the socket knows.
    let most = match most {
        Some(HEAD_MAX) if record.flags & flag::UNWRITTEN != 0 => Some(UNWRITTEN_HEAD),
        Some(_) if record.flags & flag::UNWRITTEN != 0 => None,
        most => most,
    };
    if most.is_none_or(|most| usize::from(record.head_len) > most) {
        return Err(DecodeError::Length);
    }
    Ok(())
}

/// Addresses up to the first zero; none is no stack.
fn trimmed(addresses: impl Iterator<Item = u64>) -> Option<Box<[u64]>> {
    let frames: Box<[u64]> = addresses.take_while(|address| *address != 0).collect();
    (!frames.is_empty()).then_some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netdrop_common::stack::FRAMES;
    use proptest::prelude::*;

    /// A record of zeroes that says to have a stack, and one of `frames`.
    fn stacked(frames: &[u64], flags: u32) -> Vec<u8> {
        let len = size_of::<DropRecord>() + size_of_val(frames);
        let mut bytes = vec![0; size_of::<StackedRecord>()];
        bytes[0] = ABI_VERSION;
        bytes[1] = hook::KFREE_SKB;
        bytes[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_ne_bytes());
        bytes[4..8].copy_from_slice(&flags.to_ne_bytes());
        for (to, address) in bytes[size_of::<DropRecord>()..].chunks_exact_mut(8).zip(frames) {
            to.copy_from_slice(&address.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_stack_ends_at_the_first_zero() {
        let event = DropEvent::decode(&stacked(&[3, 2, 1, 0, 9], flag::STACK)).unwrap();
        assert_eq!(event.stack(), Some(&[3, 2, 1][..]));
        let full = DropEvent::decode(&stacked(&[7; FRAMES], flag::STACK)).unwrap();
        assert_eq!(full.stack(), Some(&[7; FRAMES][..]));
        let mut short = stacked(&[7; 3], flag::STACK);
        short[size_of::<DropRecord>() + 24] = 9;
        assert_eq!(DropEvent::decode(&short).unwrap().stack(), Some(&[7; 3][..]), "what follows is nothing");
        assert_eq!(DropEvent::decode(&stacked(&[0; FRAMES], flag::STACK)).unwrap().stack(), None);
        assert_eq!(DropEvent::decode(&stacked(&[3; FRAMES], 0)).unwrap().stack(), None, "the flag is clear");
    }

    #[test]
    fn a_stack_that_is_cut_off_is_an_error() {
        let bytes = stacked(&[1; FRAMES], flag::STACK);
        let cut = DropEvent::decode(&bytes[..bytes.len() - 1]);
        assert_eq!(cut.map(drop).unwrap_err(), DecodeError::Short(bytes.len() - 1));
        let mut long = [bytes, vec![0; 8]].concat();
        let len = u16::try_from(long.len()).unwrap();
        long[2..4].copy_from_slice(&len.to_ne_bytes());
        assert_eq!(DropEvent::decode(&long).map(drop).unwrap_err(), DecodeError::Length);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_event_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(e) = DropEvent::decode(&bytes) {
                prop_assert!(e.head().len() <= HEAD_MAX);
            }
        }
    }
}
