//! Files of blocks.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::block::{Block, Meta};
use super::frame::{self, Head, damaged};
use crate::agent::limits::Complaints;

const MAGIC: [u8; 8] = *b"netdropH";
const VERSION: u32 = 4;
/// What a file says of itself, twice, and then its mark.
const PART: usize = 32;
/// Bytes before the first frame.
pub(super) const HEADER: u64 = 3 * PART as u64;
/// Blocks that can't be read are asked for again and again.
static UNREADABLE: Complaints = Complaints::new();

/// A file that is open for reading, and perhaps for more.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Number of its first observation.
    pub(super) number: u64,
    /// Its own, in all checksums.
    pub(super) salt: u64,
}

/// Where a block lies. The file can be read as long as anybody asks for it, also after it was removed.
#[derive(Clone, Debug)]
pub(in super::super) struct Location {
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
}

impl Location {
    pub(in super::super) fn segment(&self) -> u64 {
        self.segment.number
    }

    /// The block, if it is what was written there.
    pub(in super::super) fn block(&self, meta: &Meta) -> Option<Block> {
        let head = frame::head(&self.segment.file, self.segment.salt, self.offset, u64::MAX);
        let block = head.and_then(|head| match head {
            Some(head) if head.meta == *meta => head.block(&self.segment.file),
            _ => Err(damaged("it is not what was written there")),
        });
        block
            .inspect_err(|why| {
                UNREADABLE.make(|more| {
                    tracing::warn!(
                        file = %self.segment.path.display(), offset = self.offset, observations = meta.count, more,
                        "cannot read a block of the history on disk, it is left out: {why}"
                    );
                });
            })
            .ok()
    }
}

impl Segment {
    /// A new file, empty but for its header.
    pub(super) fn create(path: PathBuf, ring: usize, number: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        // From the system's random numbers, by way of std.
        let salt = RandomState::new().hash_one(number);
        let part = ident(ring, salt);
        file.write_all_at(&[part, part, Mark::default().bytes()].concat(), 0)?;
        Ok(Self { file, path, number, salt })
    }

    /// A file that was there.
    pub(super) fn open(path: &Path, ring: usize, number: u64) -> io::Result<Opened> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut parts = [[0; PART]; 2];
        let begun = file.metadata()?.len() >= HEADER;
        if begun {
            file.read_exact_at(parts.as_flattened_mut(), 0)?;
        }
        let salt = parts.iter().find_map(|part| salt_of(part, ring));
        Ok(match salt {
            Some(salt) => Opened::Ours(Self { file, path: path.to_owned(), number, salt }),
            None if begun => Opened::Unknown,
            None => Opened::Short,
        })
    }

    pub(super) fn append(&self, offset: u64, block: &Block, scratch: &mut Vec<u8>) -> io::Result<u64> {
        frame::append(&self.file, self.salt, offset, block, scratch)
    }

    /// All frames that are whole, and where the last one ends. Of damage between them the bytes are counted.
    pub(super) fn frames(&self) -> io::Result<Frames> {
        let len = self.file.metadata()?.len();
        let mut found = Frames { heads: Vec::new(), end: HEADER, len, damaged: 0 };
        loop {
            let here = frame::head(&self.file, self.salt, found.end, len)?;
            let next = match here {
                Some(head) => Some(head),
                None => frame::search(&self.file, self.salt, found.end, len)?,
            };
            let Some(head) = next else { return Ok(found) };
            found.damaged += head.offset - found.end;
            found.end = head.end();
            found.heads.push(head);
        }
    }

    /// `None`: it is damaged.
    pub(super) fn mark(&self) -> io::Result<Option<Mark>> {
        let mut part = [0; PART];
        self.file.read_exact_at(&mut part, HEADER - PART as u64)?;
        Ok(Mark::read(&part))
    }

    /// In place, so that a full disk takes it.
    pub(super) fn put_mark(&self, mark: &Mark) -> io::Result<()> {
        self.file.write_all_at(&mark.bytes(), HEADER - PART as u64)
    }
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Opened {
    Ours(Segment),
    /// Of another version, or no history at all.
    Unknown,
    /// A file that was only just begun.
    Short,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) heads: Vec<Head>,
    pub(super) end: u64,
    pub(super) len: u64,
    /// Bytes between frames that are of none.
    pub(super) damaged: u64,
}

/// What a tail knows beyond what is written: a ring's observations that no file has are missed after a restart, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// What the ring's files begin with: all before it was removed to make room.
    pub(super) begin_ordinal: u64,
    /// Where the ring's observations ended when some could not be written.
    pub(super) end_ordinal: u64,
    /// The same as a number over all rings.
    pub(super) end_seq: u64,
}

impl Mark {
    fn bytes(&self) -> [u8; PART] {
        let mut part = [0; PART];
        for (bytes, n) in
            part.as_chunks_mut::<8>().0.iter_mut().zip([self.begin_ordinal, self.end_ordinal, self.end_seq])
        {
            *bytes = n.to_le_bytes();
        }
        sealed(part)
    }

    fn read(part: &[u8; PART]) -> Option<Self> {
        let word = |at: usize| part[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let mark = Self { begin_ordinal: word(0)?, end_ordinal: word(8)?, end_seq: word(16)? };
        (sealed(*part) == *part).then_some(mark)
    }
}

fn ident(ring: usize, salt: u64) -> [u8; PART] {
    let mut part = [0; PART];
    part[..8].copy_from_slice(&MAGIC);
    part[8..12].copy_from_slice(&VERSION.to_le_bytes());
    part[12..16].copy_from_slice(&u32::try_from(ring).unwrap_or_default().to_le_bytes());
    part[16..24].copy_from_slice(&salt.to_le_bytes());
    sealed(part)
}

/// The salt, if this is a file of the ring.
fn salt_of(part: &[u8; PART], ring: usize) -> Option<u64> {
    let salt = u64::from_le_bytes(*part[16..].first_chunk()?);
    (ident(ring, salt) == *part).then_some(salt)
}

/// With its checksum in the last four bytes.
fn sealed(mut part: [u8; PART]) -> [u8; PART] {
    let sum = crc32c::crc32c(&part[..PART - 4]);
    part[PART - 4..].copy_from_slice(&sum.to_le_bytes());
    part
}
