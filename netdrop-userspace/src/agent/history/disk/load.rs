//! What an earlier run left.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use super::super::RINGS;
use super::super::codec::Dictionary;
use super::super::ring::Slot;
use super::segment::{HEADER, Header, Location, Segment, create, header, read_frame, walk};
use super::{HistoryDisk, RING_NAMES};
use crate::flow::Observation;

/// What is on disk.
#[derive(Debug)]
pub(in super::super) struct Loaded {
    pub(in super::super) rings: [LoadedRing; RINGS],
    /// Held as long as the folder is used.
    pub(super) lock: File,
    pub(super) folder: PathBuf,
}

/// Files of a ring.
#[derive(Debug)]
pub(in super::super) struct LoadedRing {
    /// Whole blocks, the oldest first.
    pub(in super::super) slots: Vec<Slot>,
    /// What came after them.
    pub(in super::super) fresh: Vec<(u64, Observation)>,
    /// Files and their bytes, the oldest first.
    pub(super) segments: Vec<(Arc<Segment>, u64)>,
    pub(super) tail: Arc<Segment>,
    pub(super) tail_bytes: u64,
}

/// Reads the folder. An error is one that a person must mend: no rights, another agent.
pub(in super::super) fn load(disk: &HistoryDisk) -> anyhow::Result<Loaded> {
    let folder = &disk.folder;
    let shown = folder.display();
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {shown}; choose another --history-dir"))?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("lock"))
        .with_context(|| format!("cannot write to {shown}; choose another --history-dir"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).with_context(|| {
        format!("another netdrop agent keeps its history in {shown}; choose another --history-dir")
    })?;
    let mut rings = Vec::new();
    for ring in 0..RINGS {
        rings.push(load_ring(folder, ring).with_context(|| format!("cannot read the history in {shown}"))?);
    }
    let rings = rings.try_into().map_err(|_| anyhow::anyhow!("a ring too many"))?;
    Ok(Loaded { rings, lock, folder: folder.clone() })
}

fn load_ring(folder: &Path, ring: usize) -> anyhow::Result<LoadedRing> {
    let mut segments = Vec::new();
    let mut slots: Vec<Slot> = Vec::new();
    for (number, path) in numbered(folder, RING_NAMES[ring])? {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        if !is_ours(&file, &path)? {
            continue;
        }
        let segment = Arc::new(Segment { file, path, number });
        let (found, bytes) = blocks(&segment)?;
        let after = slots.last().map_or(0, |slot| slot.meta.last_seq + 1);
        slots.extend(found.into_iter().filter(|slot| slot.meta.first_seq >= after));
        segments.push((segment, bytes));
    }
    let (tail, tail_bytes, mut fresh) = tail(folder, ring)?;
    let after = slots.last().map_or(0, |slot| slot.meta.last_seq + 1);
    fresh.retain(|(seq, _)| *seq >= after);
    Ok(LoadedRing { slots, fresh, segments, tail, tail_bytes })
}

/// Segments by their number.
fn numbered(folder: &Path, ring: &str) -> anyhow::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix(ring)?.strip_prefix('-')?.strip_suffix(".seg"))
            .and_then(|number| number.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort_unstable();
    Ok(found)
}

fn is_ours(file: &File, path: &Path) -> anyhow::Result<bool> {
    match header(file)? {
        Header::Ours => Ok(true),
        Header::Short => {
            // Begun, and nothing written: the disk was full, or the machine went down.
            fs::remove_file(path)?;
            Ok(false)
        }
        Header::Unknown(version) => {
            tracing::warn!(
                file = %path.display(), version,
                "a file of the history is of another netdrop and left alone; remove it if nobody needs it"
            );
            Ok(false)
        }
    }
}

/// All blocks of a segment, and its bytes. What comes after the last whole one is cut off.
fn blocks(segment: &Arc<Segment>) -> anyhow::Result<(Vec<Slot>, u64)> {
    let file = &segment.file;
    let end = file.metadata()?.len();
    let (mut slots, mut offset, mut last) = (Vec::new(), HEADER, HEADER);
    while let Some((meta, next)) = walk(file, offset, end)? {
        slots.push(Slot::on_disk(meta, Location { segment: Arc::clone(segment), offset }));
        last = offset;
        offset = next;
    }
    // Where the machine went down, the last frame may have its length and not all of its bytes, and zeroes may come after it.
    if slots.pop_if(|_| read_frame(file, last).is_err()).is_some() {
        offset = last;
    }
    cut(segment, offset, end)?;
    Ok((slots, offset))
}

fn cut(segment: &Segment, whole: u64, end: u64) -> anyhow::Result<()> {
    if whole < end {
        segment.file.set_len(whole)?;
        tracing::warn!(
            file = %segment.path.display(), bytes = end - whole,
            "the last record of the history on disk is not whole and left out"
        );
    }
    Ok(())
}

type Tail = (Arc<Segment>, u64, Vec<(u64, Observation)>);

fn tail(folder: &Path, ring: usize) -> anyhow::Result<Tail> {
    let path = folder.join(format!("{}.tail", RING_NAMES[ring]));
    let known = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => is_ours(&file, &path)?.then_some(file),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(e.into()),
    };
    let Some(file) = known else {
        if path.exists() {
            // Of another version: kept beside.
            fs::rename(&path, path.with_extension("tail.old"))?;
        }
        let file = create(&path, ring)?;
        return Ok((Arc::new(Segment { file, path, number: 0 }), HEADER, Vec::new()));
    };
    let segment = Arc::new(Segment { file, path, number: 0 });
    let end = segment.file.metadata()?.len();
    let (mut offset, mut fresh) = (HEADER, Vec::new());
    while let Some((_, next)) = walk(&segment.file, offset, end)? {
        let Ok(block) = read_frame(&segment.file, offset) else { break };
        let (mut cursor, mut made) = (block.start(), Vec::new());
        while let Some(record) = block.next(&mut cursor) {
            let names = &mut Dictionary { written: block.names(), made: &mut made };
            fresh.extend(record.decode(block.meta.base, names).map(|o| (record.stamp.seq, o)));
        }
        offset = next;
    }
    cut(&segment, offset, end)?;
    Ok((segment, offset, fresh))
}
