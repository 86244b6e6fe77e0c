//! History on disk, so that it outlives the agent.
//!
//! A folder holds for each ring (`drops`, `flows`, `benign`) segments, `RING-NUMBER.seg`, and a tail, `RING.tail`. All numbers are little
//! endian. Each file begins with three parts of 32 bytes, each with its CRC-32C in its last four: what the file is, twice (`netdropH`, the
//! version of the format and the number of the ring, four bytes each, and a random number of eight, the file's salt), and the tail's
//! mark. Then come frames ([`frame`]): a marker, length and checksum of what follows, the block's numbers, a checksum of all these; then the
//! block as it is in memory. The salt and the frame's place are in that checksum. A segment's number is that of its first observation.
//!
//! A segment gets each block once it is whole. What is not whole yet is in the tail, a small block for each batch, written as soon as it
//! came: a killed agent loses nothing that was handed to the kernel. The tail starts anew with each whole block. A number says whether
//! an observation of the tail is in a segment already.
//!
//! At the start the beginnings of all frames are read, and the blocks of the tail; of other blocks the checksum is looked at when they are
//! read. Damage costs the frame that it is in: the next one is searched for. What is not whole at a file's end is cut off. How much that
//! was is said.
//!
//! **What is missing is known**, as observations are numbered within their ring, from one run to the next: those that no disk took, and
//! those that are damaged, leave a hole in the numbers, which is told to whoever reads past it. What comes after the last that was written
//! is in the tail's mark, which is written in place: a full disk takes it. The mark also says where the files begin, so that what was
//! removed to make room is no hole.
//!
//! A file of another version is put away.

mod files;
mod frame;
mod load;
pub(super) mod lock;
mod segment;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use files::{Fresh, Unwritten};
pub(super) use load::{Tailed, load};
pub(super) use segment::Location;
pub(super) use writer::Writer;

/// Names of the rings' files.
const RING_NAMES: [&str; super::RINGS] = ["drops", "flows", "benign"];

/// Where and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryDisk {
    /// Folder, made if it is not there.
    pub folder: PathBuf,
    /// Most bytes of all files together.
    pub bytes: u64,
}

/// What the disk holds, for status.
#[derive(Debug, Default)]
pub(super) struct Usage {
    bytes: AtomicU64,
    not_written: AtomicU64,
}

impl Usage {
    pub(super) fn get(self: &Arc<Self>) -> DiskStatus {
        DiskStatus {
            bytes: self.bytes.load(Ordering::Relaxed),
            not_written: self.not_written.load(Ordering::Relaxed),
            lost: 0,
        }
    }
}

/// What the disk holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStatus {
    /// Bytes of all files.
    pub bytes: u64,
    /// Observations since the start that are in memory only: the disk was full, failed or too slow.
    pub not_written: u64,
    /// Observations that are missing between those on disk: an earlier run could not write them, or they are damaged.
    pub lost: u64,
}
