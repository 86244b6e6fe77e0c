//! What an earlier run left.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::super::RINGS;
use super::super::block::Block;
use super::super::codec::Dictionary;
use super::super::ring::Slot;
use super::files::Stored;
use super::segment::{Frames, Location, Mark, Opened, Segment};
use super::{HistoryDisk, RING_NAMES, lock};
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
    /// Number in the ring that its files begin with.
    pub(in super::super) begin: u64,
    /// Whole blocks, the oldest first.
    pub(in super::super) slots: Vec<Slot>,
    /// What came after them.
    pub(in super::super) fresh: Vec<Tailed>,
    /// Number in the ring of what comes next.
    pub(in super::super) end: u64,
    /// The same over all rings.
    pub(in super::super) end_seq: u64,
    /// Files, the oldest first.
    pub(super) segments: VecDeque<Stored>,
    pub(super) tail: Arc<Segment>,
    pub(super) tail_bytes: u64,
}

/// One of a tail.
#[derive(Debug)]
pub(in super::super) struct Tailed {
    pub(in super::super) ordinal: u64,
    pub(in super::super) seq: u64,
    pub(in super::super) observation: Arc<Observation>,
}

/// Reads the folder. An error is one that a person must mend: no rights, another agent.
pub(in super::super) fn load(disk: &HistoryDisk) -> anyhow::Result<Loaded> {
    let folder = &disk.folder;
    let shown = folder.display();
    let lock = lock::take(folder)?;
    let mut rings = Vec::new();
    for ring in 0..RINGS {
        rings.push(load_ring(folder, ring).with_context(|| format!("cannot read the history in {shown}"))?);
    }
    let rings = rings.try_into().map_err(|_| anyhow::anyhow!("a ring too many"))?;
    Ok(Loaded { rings, lock, folder: folder.clone() })
}

fn load_ring(folder: &Path, ring: usize) -> anyhow::Result<LoadedRing> {
    let (mut segments, mut slots) = (VecDeque::new(), Vec::new());
    let (mut end, mut end_seq) = (0, 0);
    for (number, path) in numbered(folder, RING_NAMES[ring])? {
        let segment = open(&path, ring, number).with_context(|| {
            format!("{} is no file of it; move it elsewhere, or choose another --history-dir", path.display())
        })?;
        let Some(segment) = segment else { continue };
        let found = whole_frames(&segment)?;
        let Some(last) = found.heads.last() else {
            fs::remove_file(&path)?;
            continue;
        };
        let segment = Arc::new(segment);
        for head in &found.heads {
            if head.meta.first_ordinal < end {
                continue;
            }
            (end, end_seq) = (head.meta.end_ordinal(), end_seq.max(head.meta.last_seq + 1));
            slots.push(Slot::on_disk(
                head.meta,
                Location { segment: Arc::clone(&segment), offset: head.offset },
            ));
        }
        // Where the machine went down, the last frame may have its beginning and not all of its bytes.
        if last.block(&segment.file).is_err() && slots.pop_if(|slot| slot.meta == last.meta).is_some() {
            let lost = last.meta.count;
            tracing::warn!(file = %segment.path.display(), lost, "the last block of a file of the history on disk is damaged and left out");
        }
        segments.push_back(Stored { segment, bytes: found.end, end_ordinal: end });
    }
    let (tail, mark) = tail(folder, ring)?;
    let frames = whole_frames(&tail)?;
    let mut fresh = Vec::new();
    for head in &frames.heads {
        let after = end;
        // What is in a segment already, all of it or its beginning.
        if head.meta.end_ordinal() <= after {
            continue;
        }
        (end, end_seq) = (head.meta.end_ordinal(), end_seq.max(head.meta.last_seq + 1));
        match head.block(&tail.file) {
            Ok(block) => read_all(&block, after, &mut fresh),
            Err(why) => tracing::warn!(
                file = %tail.path.display(), lost = head.meta.count,
                "a record of the history on disk is left out: {why}"
            ),
        }
    }
    let first = slots.first().map(|slot| slot.meta.first_ordinal);
    let first = first.or(fresh.first().map(|one: &Tailed| one.ordinal)).unwrap_or(end);
    let begin = mark.map_or(first, |mark| mark.begin_ordinal.min(first));
    let mark = mark.unwrap_or_default();
    Ok(LoadedRing {
        begin,
        slots,
        fresh,
        end: end.max(mark.end_ordinal),
        end_seq: end_seq.max(mark.end_seq),
        segments,
        tail: Arc::new(tail),
        tail_bytes: frames.end,
    })
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

/// A file of this format. What can't be read is put away, and what has only just begun is removed.
fn open(path: &Path, ring: usize, number: u64) -> anyhow::Result<Option<Segment>> {
    match Segment::open(path, ring, number)? {
        Opened::Ours(segment) => return Ok(Some(segment)),
        // The disk was full, or the machine went down.
        Opened::Short => {
            fs::remove_file(path)?;
            tracing::warn!(file = %path.display(), "a file of the history on disk has nothing in it and is removed");
        }
        Opened::Unknown => {
            let away = unused(path);
            fs::rename(path, &away)?;
            tracing::warn!(
                file = %path.display(), now = %away.display(),
                "a file of the history is of another netdrop, or its beginning is damaged: it is put away and not read; remove it if nobody needs it"
            );
        }
    }
    Ok(None)
}

/// A name that no other file has.
fn unused(path: &Path) -> PathBuf {
    let named = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(if n == 0 { ".old".to_owned() } else { format!(".old{n}") });
        PathBuf::from(name)
    };
    (0..1000).map(named).find(|name| !name.exists()).unwrap_or_else(|| named(0))
}

/// The frames of a file. What is not whole at its end is cut off, so that more can be written there.
fn whole_frames(segment: &Segment) -> anyhow::Result<Frames> {
    let found = segment.frames()?;
    let file = segment.path.display();
    if found.damaged > 0 {
        tracing::warn!(%file, bytes = found.damaged, "a part of the history on disk is damaged and left out; what comes after it is kept");
    }
    if found.end < found.len {
        segment.file.set_len(found.end)?;
        let bytes = found.len - found.end;
        tracing::warn!(%file, bytes, "the end of a file of the history on disk is not whole and left out");
    }
    Ok(found)
}

fn tail(folder: &Path, ring: usize) -> anyhow::Result<(Segment, Option<Mark>)> {
    let path = folder.join(format!("{}.tail", RING_NAMES[ring]));
    if path.try_exists()?
        && let Some(tail) = open(&path, ring, 0)?
    {
        let mark = tail.mark()?;
        if mark.is_none() {
            tracing::warn!(file = %path.display(), "what the history on disk lacked at its ends is not known any more: that was damaged");
        }
        return Ok((tail, mark));
    }
    Ok((Segment::create(path, ring, 0)?, None))
}

/// All of a block from an ordinal on.
fn read_all(block: &Block, from: u64, to: &mut Vec<Tailed>) {
    let (mut cursor, mut made) = (block.start(), Vec::new());
    let mut ordinal = block.meta.first_ordinal;
    while let Some(record) = block.next(&mut cursor) {
        let names = &mut Dictionary { written: block.names(), made: &mut made };
        let observation = record.decode(block.meta.base, names).filter(|_| ordinal >= from);
        if let Some(observation) = observation {
            to.push(Tailed { ordinal, seq: record.stamp.seq, observation: Arc::new(observation) });
        }
        ordinal += 1;
    }
}
