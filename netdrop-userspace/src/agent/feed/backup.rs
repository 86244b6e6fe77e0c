//! Old files of a feed: their names, and the thread that compresses and removes them.
//!
//! `drops.log` becomes `drops-2026-01-02T03-04-05.678.log` (UTC), later `...log.gz`: the names of Hubble's exporter, so that what
//! collects the one's files collects the other's. What is to be done is read from the folder each time, so nothing is left
//! undone by a process that was killed meanwhile.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::tz::Offset;

use super::FileSpec;

/// Shape of the time in a name; digits stand for digits.
const TIME: &[u8] = b"0000-00-00T00-00-00.000";
const GZ: &str = ".gz";

/// How the old files of a path are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    folder: PathBuf,
    /// Up to the time, with its hyphen.
    prefix: String,
    /// With its dot; may be empty.
    extension: String,
}

impl Names {
    pub(super) fn of(path: &Path) -> Self {
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let (stem, extension) = name.rfind('.').map_or((&*name, ""), |dot| name.split_at(dot));
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { folder: folder.to_owned(), prefix: format!("{stem}-"), extension: extension.to_owned() }
    }

    /// A name that is still free: two files of one millisecond must not become one.
    pub(super) fn free(&self, now: Timestamp) -> PathBuf {
        let mut millisecond = now.as_millisecond();
        loop {
            let at = Timestamp::from_millisecond(millisecond).unwrap_or(now);
            let path = self.at(at);
            if !path.exists() && !with_suffix(&path, GZ).exists() {
                return path;
            }
            millisecond += 1;
        }
    }

    fn at(&self, time: Timestamp) -> PathBuf {
        let t = Offset::UTC.to_datetime(time);
        let (date, clock) = (t.date(), t.time());
        self.folder.join(format!(
            "{}{:04}-{:02}-{:02}T{:02}-{:02}-{:02}.{:03}{}",
            self.prefix,
            date.year(),
            date.month(),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.millisecond(),
            self.extension
        ))
    }

    /// Time in the name of an old file, and whether that is compressed. The times' order is that of their texts.
    fn parse<'a>(&self, name: &'a str) -> Option<(&'a str, bool)> {
        let plain = name.strip_suffix(GZ).filter(|n| n.ends_with(&self.extension));
        let (rest, compressed) = plain.map_or((name, false), |n| (n, true));
        let time = rest.strip_prefix(&self.prefix)?.strip_suffix(&self.extension)?;
        let fits =
            |(have, want): (u8, &u8)| if *want == b'0' { have.is_ascii_digit() } else { have == *want };
        (time.len() == TIME.len() && time.bytes().zip(TIME).all(fits)).then_some((time, compressed))
    }

    /// Old files by time, the newest last: compressed, not yet, or both where compression was interrupted.
    fn list(&self) -> io::Result<BTreeMap<String, Vec<(PathBuf, bool)>>> {
        let mut old = BTreeMap::<_, Vec<_>>::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some((time, compressed)) = name.to_str().and_then(|n| self.parse(n)) {
                old.entry(time.to_owned()).or_default().push((entry.path(), compressed));
            }
        }
        Ok(old)
    }
}

/// Compresses and removes old files, on a thread of its own: megabytes to compress must not hold up lines.
#[derive(Debug)]
pub(super) struct Mill(SyncSender<()>);

impl Mill {
    pub(super) fn start(feed: &str, spec: &FileSpec) -> io::Result<Self> {
        let (to, nudges) = sync_channel::<()>(1);
        let (names, spec, feed) = (Names::of(&spec.path), spec.clone(), feed.to_owned());
        std::thread::Builder::new().name("netdrop-old-logs".into()).spawn(move || {
            while nudges.recv().is_ok() {
                if let Err(e) = grind(&names, spec.max_backups, spec.compress) {
                    tracing::warn!(feed, "old files are left as they are: {e}");
                }
            }
        })?;
        Ok(Self(to))
    }

    /// There is something to do. One who is told already looks at all files anyway.
    pub(super) fn nudge(&self) {
        let _ = self.0.try_send(());
    }
}

/// Does what is to be done now.
pub(super) fn grind(names: &Names, keep: usize, compress: bool) -> io::Result<()> {
    let keep = if keep == 0 { usize::MAX } else { keep };
    for (at, files) in names.list()?.into_values().rev().enumerate() {
        if at >= keep {
            for (path, _) in files {
                fs::remove_file(path)?;
            }
        } else if compress && let Some((path, _)) = files.iter().find(|(_, compressed)| !compressed) {
            gzip(path)?;
        }
    }
    Ok(())
}

/// Under its final name a compressed file is always whole.
fn gzip(path: &Path) -> io::Result<()> {
    let (unfinished, finished) = (with_suffix(path, ".gz.part"), with_suffix(path, GZ));
    let result = compress(path, &unfinished).and_then(|()| fs::rename(&unfinished, &finished));
    if result.is_err() {
        // What is there of it only takes room; the file itself stays.
        drop(fs::remove_file(&unfinished));
    } else {
        fs::remove_file(path)?;
    }
    result
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::create(to)?;
    target.set_permissions(source.metadata()?.permissions())?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(&mut BufReader::new(source), &mut encoder)?;
    encoder.finish()?.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn names_are_those_of_hubbles_exporter() {
        let time: Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        for (path, old) in [
            ("/x/drops.log", "/x/drops-2026-01-02T03-04-05.678.log"),
            ("/x/drops", "/x/drops-2026-01-02T03-04-05.678"),
            ("/x/a.b.json", "/x/a.b-2026-01-02T03-04-05.678.json"),
            ("drops.log", "./drops-2026-01-02T03-04-05.678.log"),
        ] {
            assert_eq!(Names::of(Path::new(path)).free(time), Path::new(old), "{path}");
        }
        let names = Names::of(Path::new("/x/drops.log"));
        let time = "2026-01-02T03-04-05.678";
        assert_eq!(names.parse("drops-2026-01-02T03-04-05.678.log"), Some((time, false)));
        assert_eq!(names.parse("drops-2026-01-02T03-04-05.678.log.gz"), Some((time, true)));
        for other in [
            "drops.log",
            "drops-old.log",
            "other-2026-01-02T03-04-05.678.log",
            "drops-2026-01-02T03-04-05.678.gz",
        ] {
            assert_eq!(names.parse(other), None, "{other}");
        }
    }

    #[test]
    fn two_files_of_one_millisecond_stay_two() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::of(&folder.path().join("d.log"));
        let time: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        fs::write(names.free(time), "first").unwrap();
        fs::write(names.free(time), "second").unwrap();
        assert_eq!(
            names_in(folder.path()),
            ["d-2026-01-02T03-04-05.678.log", "d-2026-01-02T03-04-05.679.log"]
        );
    }

    #[test]
    fn the_newest_are_kept_and_compressed_whole() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::of(&folder.path().join("d.log"));
        for second in 1..=4 {
            let name = format!("d-2026-01-02T03-04-0{second}.000.log");
            fs::write(folder.path().join(name), format!("{second}\n").repeat(1000)).unwrap();
        }
        for strange in ["d.log", "d-notes.log", "e-2026-01-02T03-04-01.000.log"] {
            fs::write(folder.path().join(strange), "x").unwrap();
        }
        // One that was interrupted: both are there.
        fs::write(folder.path().join("d-2026-01-02T03-04-03.000.log.gz"), "torn").unwrap();
        grind(&names, 2, true).unwrap();
        assert_eq!(
            names_in(folder.path()),
            [
                "d-2026-01-02T03-04-03.000.log.gz",
                "d-2026-01-02T03-04-04.000.log.gz",
                "d-notes.log",
                "d.log",
                "e-2026-01-02T03-04-01.000.log",
            ]
        );
        let mut text = String::new();
        let file = File::open(folder.path().join("d-2026-01-02T03-04-03.000.log.gz")).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "3\n".repeat(1000));
        grind(&names, 0, false).unwrap();
        assert_eq!(names_in(folder.path()).len(), 5, "0 keeps all");
    }
}
