//! Files of blocks.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::block::{Block, META, Meta};

const MAGIC: [u8; 8] = *b"netdropH";
const VERSION: u32 = 1;
/// Bytes before the first frame.
pub(super) const HEADER: u64 = HEADER_LEN as u64;
const HEADER_LEN: usize = 16;
/// Bytes of a frame before its block.
const FRAME: usize = 8;
/// No block is larger: a length beyond is damage.
const LARGEST: u32 = 1 << 30;

/// A file that is open for reading, and perhaps for more.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Number of its first observation.
    pub(super) number: u64,
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
        let block = read_frame(&self.segment.file, self.offset);
        let same = |block: &Block| block.meta.first_seq == meta.first_seq && block.meta.count == meta.count;
        match block {
            Ok(mut block) if same(&block) => {
                block.meta.first_ordinal = meta.first_ordinal;
                Some(block)
            }
            other => {
                let why = other.err().unwrap_or_else(|| damaged("another block"));
                tracing::warn!(
                    file = %self.segment.path.display(), offset = self.offset, observations = meta.count,
                    "cannot read a block of the history on disk, it is left out: {why}"
                );
                None
            }
        }
    }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Length and checksum of a frame.
fn frame_header(file: &File, offset: u64) -> io::Result<[u32; 2]> {
    let mut header = [0; FRAME];
    file.read_exact_at(&mut header, offset)?;
    let (words, _) = header.as_chunks::<4>();
    Ok([u32::from_le_bytes(words[0]), u32::from_le_bytes(words[1])])
}

pub(super) fn read_frame(file: &File, offset: u64) -> io::Result<Block> {
    let [len, sum] = frame_header(file, offset)?;
    if len > LARGEST {
        return Err(damaged("its length makes no sense"));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, offset + FRAME as u64)?;
    if crc32c::crc32c(&bytes) != sum {
        return Err(damaged("its checksum is wrong"));
    }
    Block::read(&bytes).ok_or_else(|| damaged("it makes no sense"))
}

/// Numbers of the block at an offset, and where the next frame is. `None`: there is no whole frame.
pub(super) fn walk(file: &File, offset: u64, end: u64) -> io::Result<Option<(Meta, u64)>> {
    if offset + (FRAME + META) as u64 > end {
        return Ok(None);
    }
    let [len, _] = frame_header(file, offset)?;
    let next = offset + FRAME as u64 + u64::from(len);
    if next > end || (len as usize) < META {
        return Ok(None);
    }
    let mut meta = [0; META];
    file.read_exact_at(&mut meta, offset + FRAME as u64)?;
    Ok(Block::meta_of(&meta).map(|meta| (meta, next)))
}

/// Writes a block at an offset; the bytes it took. What a failure left there is cut off.
pub(super) fn append(file: &File, offset: u64, block: &Block, scratch: &mut Vec<u8>) -> io::Result<u64> {
    scratch.clear();
    scratch.extend_from_slice(&[0; FRAME]);
    block.write(scratch);
    let len = u32::try_from(scratch.len() - FRAME).map_err(|_| damaged("a block of more than 4 GiB"))?;
    let sum = crc32c::crc32c(&scratch[FRAME..]);
    scratch[..4].copy_from_slice(&len.to_le_bytes());
    scratch[4..FRAME].copy_from_slice(&sum.to_le_bytes());
    file.write_all_at(scratch, offset).inspect_err(|_| {
        // If that fails, too, the frame is one that is not whole: cut off at the next start.
        drop(file.set_len(offset));
    })?;
    Ok(scratch.len() as u64)
}

/// A new file, empty but for its header.
pub(super) fn create(path: &Path, ring: usize) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..].copy_from_slice(&u32::try_from(ring).unwrap_or_default().to_le_bytes());
    file.write_all_at(&header, 0)?;
    Ok(file)
}

/// What a file's first bytes say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Ours,
    /// Of another version, or no history at all.
    Unknown(u32),
    /// A file that was only just begun.
    Short,
}

pub(super) fn header(file: &File) -> io::Result<Header> {
    let mut header = [0; HEADER_LEN];
    match file.read_exact_at(&mut header, 0) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(Header::Short),
        other => other?,
    }
    let version = header[8..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Ok(if header[..8] == MAGIC && version == VERSION { Header::Ours } else { Header::Unknown(version) })
}
