//! Blocks in a file: each in a frame that says what it is, and that can be found again behind damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use memchr::memmem::Finder;

use super::super::block::{Block, META, Meta};

/// What a frame begins with. It is no UTF-8, so no name contains it.
const MARKER: [u8; 8] = *b"\xff\xfend\xff\x00\xfeb";
/// Bytes of a frame before its block: marker, length and checksum of the block, its numbers, checksum of all these.
const HEAD: usize = 8 + 4 + 4 + META + 4;
/// No block is larger: a length beyond is damage.
const LARGEST: u32 = 1 << 30;
/// Bytes that are searched at once.
const SEARCHED: usize = 256 << 10;

/// The beginning of a frame that is as it was written. Its block may not be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) meta: Meta,
    pub(super) offset: u64,
    len: u32,
    sum: u32,
}

impl Head {
    /// Where the next frame is.
    pub(super) fn end(&self) -> u64 {
        self.offset + HEAD as u64 + u64::from(self.len)
    }

    /// The block, if it is what was written.
    pub(super) fn block(&self, file: &File) -> io::Result<Block> {
        let mut bytes = vec![0; self.len as usize];
        file.read_exact_at(&mut bytes, self.offset + HEAD as u64)?;
        if crc32c::crc32c(&bytes) != self.sum {
            return Err(damaged("its checksum is wrong"));
        }
        Block::read(self.meta, &bytes).ok_or_else(|| damaged("it makes no sense"))
    }
}

pub(super) fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Checksum of a frame's beginning. `salt` is the file's own, so that bytes which were captured, or lay elsewhere, are no frame.
fn sum_of(head: &[u8], salt: u64, offset: u64) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &offset.to_le_bytes());
    crc32c::crc32c_append(place, head)
}

/// The frame at an offset, if there is a whole one.
pub(super) fn head(file: &File, salt: u64, offset: u64, end: u64) -> io::Result<Option<Head>> {
    if offset + HEAD as u64 > end {
        return Ok(None);
    }
    let mut bytes = [0; HEAD];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(parse(&bytes, salt, offset).filter(|head| head.end() <= end))
}

fn parse(bytes: &[u8; HEAD], salt: u64, offset: u64) -> Option<Head> {
    let (rest, sum) = bytes.split_last_chunk::<4>()?;
    let known = rest.starts_with(&MARKER) && sum_of(rest, salt, offset) == u32::from_le_bytes(*sum);
    let (words, meta) = rest[MARKER.len()..].split_first_chunk::<8>()?;
    let (words, _) = words.as_chunks::<4>();
    let [len, sum] = [words[0], words[1]].map(u32::from_le_bytes);
    let meta = Meta::read(meta).filter(|_| known && len <= LARGEST)?;
    Some(Head { meta, offset, len, sum })
}

/// The next frame from an offset on, wherever it begins.
pub(super) fn search(file: &File, salt: u64, from: u64, end: u64) -> io::Result<Option<Head>> {
    let (marker, mut bytes) = (Finder::new(&MARKER), vec![0; SEARCHED]);
    let mut at = from;
    while at + HEAD as u64 <= end {
        let len = usize::try_from(end - at).map_or(SEARCHED, |left| left.min(SEARCHED));
        file.read_exact_at(&mut bytes[..len], at)?;
        for hit in marker.find_iter(&bytes[..len]) {
            if let Some(head) = head(file, salt, at + hit as u64, end)? {
                return Ok(Some(head));
            }
        }
        // A marker may lie across.
        at += (len - (MARKER.len() - 1)) as u64;
    }
    Ok(None)
}

/// Writes a block at an offset; the bytes it took. What a failure left there is cut off.
pub(super) fn append(
    file: &File,
    salt: u64,
    offset: u64,
    block: &Block,
    scratch: &mut Vec<u8>,
) -> io::Result<u64> {
    scratch.clear();
    scratch.resize(HEAD, 0);
    block.write(scratch);
    let len = u32::try_from(scratch.len() - HEAD).map_err(|_| damaged("a block of more than 4 GiB"))?;
    let sum = crc32c::crc32c(&scratch[HEAD..]);
    let mut head = MARKER.to_vec();
    head.extend_from_slice(&len.to_le_bytes());
    head.extend_from_slice(&sum.to_le_bytes());
    block.meta.write(&mut head);
    head.extend_from_slice(&sum_of(&head, salt, offset).to_le_bytes());
    scratch[..HEAD].copy_from_slice(&head);
    file.write_all_at(scratch, offset).inspect_err(|_| {
        // If that fails, too, the frame is one that is not whole: cut off at the next start.
        drop(file.set_len(offset));
    })?;
    Ok(scratch.len() as u64)
}
