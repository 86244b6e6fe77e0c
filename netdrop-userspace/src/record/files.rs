//! The file that is written, and those that were.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::{memchr, memchr_iter, memrchr};

use super::RecordConfig;
use super::pack::Pack;
use crate::convert::to_wire;
use crate::flow::{LostEvents, LostSource, Observation};
use crate::wire::json;

/// Bytes of a line that says that lines are missing, at most.
const GAP: usize = 512;

/// What a person should know while it goes on.
#[derive(Debug)]
pub enum News {
    /// A file of that name was there; it has another name now.
    Earlier(PathBuf, PathBuf),
    /// Nothing can be written; flows are counted until it can.
    Stuck(PathBuf, io::Error),
    /// It goes on; so many lines are missing.
    GoesOn(PathBuf, u64),
    /// An older file could not be renamed or removed.
    Left(PathBuf, io::Error),
    /// What was written may not survive that the machine goes down.
    Unsure(PathBuf, io::Error),
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earlier(file, away) => {
                write!(f, "an earlier {} was there; it is {} now", file.display(), away.display())
            }
            Self::Stuck(file, e) => write!(
                f,
                "cannot write {}: {e}; flows are only counted until it can be written again",
                file.display()
            ),
            Self::GoesOn(file, lost) => {
                write!(f, "{} can be written again; {lost} lines are missing in it", file.display())
            }
            Self::Left(file, e) => write!(f, "cannot put {} away: {e}", file.display()),
            Self::Unsure(file, e) => write!(f, "the disk may not have all of {}: {e}", file.display()),
        }
    }
}

/// What was written in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Lines, whole ones.
    pub lines: u64,
    /// Lines among these that say that others are missing there.
    pub gaps: u64,
    /// Bytes in files, as packed.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Files among these that were removed, as there were too many.
    pub removed: u64,
    /// Lines that no file has, as it could not be written.
    pub lost: u64,
    /// Why the first of them was lost.
    pub why: Option<String>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, gaps, bytes, files, removed, .. } = self;
        let some = |n: u64, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
        write!(f, "{} recorded", some(*lines, "line", "lines"))?;
        match gaps {
            0 => {}
            1 => f.write_str(" (1 of them says that others are missing there)")?,
            n => write!(f, " ({n} of them say that others are missing there)")?,
        }
        write!(f, " in {} of {}", some(*files, "file", "files"), some(*bytes, "byte", "bytes"))?;
        match removed {
            0 => Ok(()),
            1 => f.write_str(", the oldest of which was removed"),
            n => write!(f, ", the {n} oldest of which were removed"),
        }
    }
}

/// The file at hand.
pub(super) struct Files {
    config: RecordConfig,
    pack: Pack,
    file: File,
    /// Bytes of complete parts in it.
    size: u64,
    opened: Instant,
    /// Lines for the next part.
    part: Vec<u8>,
    /// Since when the oldest of them waits.
    waits: Option<Instant>,
    /// Lines since it is stuck; `None`: it is not.
    stuck: Option<u64>,
    written: Written,
    news: Box<dyn FnMut(News) + Send>,
}

impl Files {
    /// A file of that name from an earlier time is put away first.
    pub(super) fn create(
        config: RecordConfig,
        mut news: impl FnMut(News) + Send + 'static,
    ) -> io::Result<Self> {
        if fs::metadata(&config.file).is_ok_and(|m| m.is_file() && m.len() > 0) {
            let earlier = away(&config.file, Timestamp::now());
            fs::rename(&config.file, &earlier)?;
            news(News::Earlier(config.file.clone(), earlier));
        }
        let file = open(&config.file)?;
        let mut files = Self {
            pack: Pack::of(&config.file),
            config,
            file,
            size: 0,
            opened: Instant::now(),
            part: Vec::new(),
            waits: None,
            stuck: None,
            written: Written { files: 1, ..Written::default() },
            news: Box::new(news),
        };
        files.remove_oldest();
        Ok(files)
    }

    /// Takes whole lines.
    pub(super) fn take(&mut self, text: &str) {
        self.part.extend_from_slice(text.as_bytes());
        self.waits.get_or_insert_with(Instant::now);
        if self.part.len() >= self.pack.part() {
            self.write_part();
        }
    }

    /// Writes what has waited so long, and begins a new file when this one is old.
    pub(super) fn keep_up(&mut self, delay: Duration) {
        if self.waits.is_some_and(|since| since.elapsed() >= delay) {
            self.write_part();
        }
        if self.size > 0 && self.config.max_age.is_some_and(|most| self.opened.elapsed() >= most) {
            self.write_part();
            self.rotate();
        }
    }

    /// Writes what waits.
    pub(super) fn close(mut self) -> Written {
        self.write_part();
        // Stuck to the end: what is missing was told, and is in the sum.
        if let Err(e) = self.file.sync_all()
            // A pipe or a device has no disk.
            && !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
        {
            (self.news)(News::Unsure(self.config.file.clone(), e));
        }
        self.written
    }

    /// Writes what waits, cut where a file may hold less than that.
    fn write_part(&mut self) {
        self.waits = None;
        let mut part = std::mem::take(&mut self.part);
        let most =
            self.config.max_size.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let mut rest = &part[..];
        while !rest.is_empty() {
            let room = if self.stuck.is_some() { most.saturating_sub(GAP) } else { most };
            let (lines, after) = rest.split_at(whole_lines(rest, room));
            self.write_lines(lines.to_vec());
            rest = after;
        }
        part.clear();
        self.part = part;
    }

    fn write_lines(&mut self, mut part: Vec<u8>) {
        let lines = memchr_iter(b'\n', &part).count() as u64;
        if let Some(lost) = self.stuck {
            // At its place: what comes next was taken after what is missing.
            part.splice(..0, gap(lost).into_bytes());
        }
        match self.put(&part) {
            Ok(()) => {
                self.written.lines += lines;
                if let Some(lost) = self.stuck.take() {
                    self.written.lines += 1;
                    self.written.gaps += 1;
                    (self.news)(News::GoesOn(self.config.file.clone(), lost));
                }
            }
            Err(e) => {
                self.written.lost += lines;
                self.written.why.get_or_insert_with(|| e.to_string());
                if self.stuck.is_none() {
                    (self.news)(News::Stuck(self.config.file.clone(), e));
                }
                *self.stuck.get_or_insert(0) += lines;
            }
        }
    }

    /// Writes a part whole, or not at all.
    fn put(&mut self, part: &[u8]) -> io::Result<()> {
        let packed = self.pack.pack(part)?;
        let length = packed.len() as u64;
        if self.size > 0 && self.config.max_size.is_some_and(|most| self.size + length > most) {
            self.rotate();
        }
        if self.size == 0 {
            // A file is as old as what it begins with.
            self.opened = Instant::now();
        }
        if let Err(e) = self.file.write_all(&packed) {
            // Half a part would spoil what comes after it.
            drop(self.file.set_len(self.size));
            drop(self.file.seek(SeekFrom::Start(self.size)));
            return Err(e);
        }
        self.size += length;
        self.written.bytes += length;
        Ok(())
    }

    /// Puts the file away and begins a new one. Where that fails, the file just grows on.
    fn rotate(&mut self) {
        let away = away(&self.config.file, Timestamp::now());
        let fresh = fs::rename(&self.config.file, &away).and_then(|()| open(&self.config.file));
        match fresh {
            Ok(file) => {
                self.file = file;
                self.size = 0;
                self.written.files += 1;
                self.remove_oldest();
            }
            Err(e) => {
                drop(fs::rename(&away, &self.config.file));
                (self.news)(News::Left(self.config.file.clone(), e));
            }
        }
        self.opened = Instant::now();
    }

    fn remove_oldest(&mut self) {
        let Some(most) = self.config.max_files else { return };
        let mut old = put_away(&self.config.file);
        old.sort();
        let keep = most.saturating_sub(1);
        for file in old.iter().take(old.len().saturating_sub(keep)) {
            match fs::remove_file(file) {
                // The first look finds those of an earlier run.
                Ok(()) => self.written.removed += u64::from(self.written.files > 1),
                Err(e) => (self.news)(News::Left(file.clone(), e)),
            }
        }
    }
}

/// Bytes of the lines that fit, one at least.
fn whole_lines(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let end = memrchr(b'\n', &text[..most]).or_else(|| memchr(b'\n', text));
    end.map_or(text.len(), |at| at + 1)
}

fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(file)
}

/// A line that says that lines are missing.
fn gap(lost: u64) -> String {
    let lost = LostEvents {
        source: LostSource::ObserverEventsQueue,
        count: lost,
        cpu: None,
        time: Timestamp::now(),
        first: None,
        last: None,
        node_name: None,
    };
    let mut line = String::new();
    // Loss has no field that JSON could not say.
    drop(json::write(&to_wire(&Observation::Lost(lost)), &mut line));
    line.push('\n');
    line
}

/// Name and ending of a file: `flows` and `.json.zst`.
fn split(file: &Path) -> (String, String) {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let dot = name[name.len().min(1)..].find('.').map_or(name.len(), |at| at + 1);
    (name[..dot].to_owned(), name[dot..].to_owned())
}

/// The name of a file that is put away: with the time, which no other has.
fn away(file: &Path, now: Timestamp) -> PathBuf {
    let (name, ending) = split(file);
    let time = now.strftime("%Y-%m-%dT%H-%M-%S.%9f");
    file.with_file_name(format!("{name}-{time}{ending}"))
}

/// The files that were put away.
fn put_away(file: &Path) -> Vec<PathBuf> {
    let (name, ending) = split(file);
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let is_one = |found: &str| {
        let time = found.strip_prefix(&name)?.strip_prefix('-')?.strip_suffix(&ending)?;
        let digits = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'T' | b'.');
        (time.len() == 29 && time.bytes().all(digits)).then_some(())
    };
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|n| is_one(n).is_some()))
        .map(|entry| entry.path())
        .collect()
}
