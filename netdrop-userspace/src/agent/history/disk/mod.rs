//! History on disk, so that it outlives the agent.
//!
//! A folder holds for each ring (`drops`, `flows`, `benign`) segments, `RING-NUMBER.seg`, and a tail, `RING.tail`. Each file begins with 16 bytes:
//! `netdropH`, the version of the format and the number of the ring, four bytes each, little endian. Then come frames: length and CRC-32C
//! of what follows, four bytes each, and a block as it is in memory. A segment's number is that of its first observation.
//!
//! A segment gets each block once it is whole. What is not whole yet is in the tail, a small block for each batch, written as soon as it
//! came: a killed agent loses nothing that was handed to the kernel. The tail starts anew with each whole block. A number says whether
//! an observation of the tail is in a segment already.
//!
//! At the start only the numbers of each block are read; its checksum is looked at when the block is. A frame that is not whole ends its
//! file: it is cut off there, and how much that was is said. A file of another version is left alone.

mod load;
mod segment;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use load::load;
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
}
