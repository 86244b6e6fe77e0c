//! Where lines are written: standard output, or a file that is rotated.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};

use jiff::Timestamp;

use super::FileSpec;
use super::backup::{Mill, Names};

/// Flows tell who talks to whom: they are for the owner alone, unless the file was made otherwise before.
const MODE: u32 = 0o600;

/// Takes whole lines.
pub(super) trait Out: Send {
    /// Makes ready to write; what fails here is tried again with the first lines.
    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes all of them or, as far as a reader can tell, none.
    fn write(&mut self, lines: &str) -> io::Result<()>;

    /// Whether so many bytes more may be written before [`Out::rotate`].
    fn has_room(&self, _bytes: usize) -> bool {
        true
    }

    /// Begins a new file.
    fn rotate(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Lets go of the file; what is written later opens it anew.
    fn close(&mut self) {}
}

/// A stream that can't be taken back.
pub(super) struct Stream<W>(pub(super) W);

impl<W: Write + Send> Out for Stream<W> {
    fn write(&mut self, lines: &str) -> io::Result<()> {
        self.0.write_all(lines.as_bytes())?;
        self.0.flush()
    }
}

/// A file that is renamed before it would become too large.
#[derive(Debug)]
pub(super) struct Rotating {
    spec: FileSpec,
    names: Names,
    mill: Mill,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes of whole lines.
    size: u64,
    /// Not a pipe or a device, which are neither rotated nor cut.
    regular: bool,
    /// A piece of a line stands at the end and could not be taken back.
    torn: bool,
}

impl Rotating {
    /// Not yet open.
    pub(super) fn new(feed: &str, spec: &FileSpec) -> io::Result<Self> {
        let names = Names::of(&spec.path);
        Ok(Self { spec: spec.clone(), names, mill: Mill::start(feed, spec)?, open: None })
    }

    /// The open file; one that could not be opened is tried again.
    fn ready(&mut self) -> io::Result<&mut Open> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => Ok(none.insert(Open::new(&self.spec, MODE)?)),
        }
    }
}

impl Open {
    fn new(spec: &FileSpec, mode: u32) -> io::Result<Self> {
        if let Some(folder) = spec.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(mode).open(&spec.path)?;
        let about = file.metadata()?;
        let regular = about.is_file();
        Ok(Self { file, size: if regular { about.len() } else { 0 }, regular, torn: false })
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
            self.size += 1;
        }
        let result = self.file.write_all(lines.as_bytes());
        if result.is_ok() {
            self.size += lines.len() as u64;
        } else if self.regular {
            // A line that is not whole would make the next one unreadable, too.
            self.torn = self.file.set_len(self.size).is_err();
        }
        result
    }
}

impl Out for Rotating {
    fn open(&mut self) -> io::Result<()> {
        self.ready()?;
        // What a process before this one left undone.
        self.mill.nudge();
        Ok(())
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        self.ready()?.write(lines)
    }

    fn has_room(&self, bytes: usize) -> bool {
        match &self.open {
            // An empty file has room for any line.
            Some(open) if open.regular && open.size > 0 => open.size + bytes as u64 <= self.spec.max_bytes,
            _ => true,
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mode =
            self.open.take().and_then(|o| o.file.metadata().ok()).map(|m| m.permissions().mode() & 0o777);
        match fs::rename(&self.spec.path, self.names.free(Timestamp::now())) {
            Ok(()) => self.mill.nudge(),
            // Somebody has removed it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        self.open = Some(Open::new(&self.spec, mode.unwrap_or(MODE))?);
        Ok(())
    }

    fn close(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(folder: &std::path::Path, max_bytes: u64) -> FileSpec {
        FileSpec { max_bytes, ..FileSpec::new(folder.join("made/here/d.log")) }
    }

    fn opened(spec: &FileSpec) -> Rotating {
        let mut file = Rotating::new("test", spec).unwrap();
        file.open().unwrap();
        file
    }

    fn files(spec: &FileSpec) -> Vec<String> {
        let mut all: Vec<_> = fs::read_dir(spec.path.parent().unwrap())
            .unwrap()
            .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_file_never_grows_over_its_size_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path(), 10);
        let mut file = opened(&spec);
        fs::set_permissions(&spec.path, fs::Permissions::from_mode(0o640)).unwrap();
        for line in ["aaaa\n", "bbbb\n", "longer than a file may be\n", "cccc\n"] {
            if !file.has_room(line.len()) {
                file.rotate().unwrap();
            }
            file.write(line).unwrap();
        }
        assert_eq!(files(&spec), ["aaaa\nbbbb\n", "cccc\n", "longer than a file may be\n"]);
        assert_eq!(fs::read_to_string(&spec.path).unwrap(), "cccc\n");
        assert_eq!(fs::metadata(&spec.path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_is_there_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path(), 12);
        opened(&spec).write("aaaa\n").unwrap();
        let mut file = opened(&spec);
        file.write("bbbb\n").unwrap();
        assert_eq!(fs::read_to_string(&spec.path).unwrap(), "aaaa\nbbbb\n");
        assert!(file.has_room(2) && !file.has_room(3));
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path(), 100);
        let mut file = opened(&spec);
        file.write("old\n").unwrap();
        fs::rename(&spec.path, folder.path().join("moved")).unwrap();
        file.write("still old\n").unwrap();
        file.close();
        file.open().unwrap();
        assert_eq!(fs::read_to_string(&spec.path).unwrap(), "");
        file.write("new\n").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("moved")).unwrap(), "old\nstill old\n");
        assert_eq!(fs::read_to_string(&spec.path).unwrap(), "new\n");
        fs::remove_file(&spec.path).unwrap();
        file.rotate().unwrap();
        file.write("newer\n").unwrap();
        assert_eq!(files(&spec), ["newer\n"]);
    }

    #[test]
    fn a_device_is_neither_rotated_nor_cut() {
        let spec = FileSpec { max_bytes: 1, ..FileSpec::new("/dev/full") };
        let mut file = opened(&spec);
        assert!(file.has_room(1000));
        assert_eq!(file.write("x\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(file.has_room(1000));
    }
}
