//! Archives that the kernel unpacks as its first root file system (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

/// Type bits of a mode (include/uapi/linux/stat.h).
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Writes an archive of the "newc" format, entry by entry. A folder comes before what lies in it.
pub(super) struct Archive<W> {
    out: W,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// An archive without entries.
    pub(super) fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    /// A folder; paths have no leading slash.
    pub(super) fn folder(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// A file that may be run.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.entry(path, REGULAR | 0o755, bytes)
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &str, to: &str) -> io::Result<()> {
        self.entry(path, LINK | 0o777, to.as_bytes())
    }

    /// Writes the mark of the end and gives the writer back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.inode += 1;
        let too_big = |_| io::Error::other(format!("{path} is too big for an archive"));
        let size = u32::try_from(bytes.len()).map_err(too_big)?;
        let name = u32::try_from(path.len() + 1).map_err(too_big)?;
        // inode, mode, uid, gid, links, time, size, device (2), device it stands for (2), length of the name, checksum
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0];
        let mut header = Vec::from(b"070701");
        for field in fields {
            write!(header, "{field:08x}")?;
        }
        self.padded(&[&header, path.as_bytes(), b"\0"])?;
        self.padded(&[bytes])
    }

    /// Parts of one piece, which ends at a multiple of four bytes.
    fn padded(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.out.write_all(part)?;
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.out.write_all(&[0; 3][..length.next_multiple_of(4) - length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_the_end_is_marked() {
        let mut archive = Archive::new(Vec::new());
        archive.folder("bin").unwrap();
        archive.file("bin/x", b"hello").unwrap();
        archive.link("sbin", "bin").unwrap();
        let bytes = archive.finish().unwrap();
        let at = |what: &[u8]| bytes.windows(what.len()).position(|w| w == what).unwrap();
        assert!(bytes.starts_with(b"070701"));
        assert_eq!((bytes.len() % 4, at(b"hello") % 4), (0, 0));
        assert_eq!(at(b"bin\0"), 110);
        assert!(at(b"bin/x\0") < at(b"hello") && at(b"hello") < at(b"TRAILER!!!\0"));
        assert_eq!(&bytes[at(b"bin/x") - 110 + 54..][..8], b"00000005", "its size");
    }
}
