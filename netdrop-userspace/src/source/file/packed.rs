//! Files that are packed, and what is wrong with them in words.

use std::error::Error;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::Path;

type Bytes = Box<dyn Read + Send>;

/// A file's bytes, unpacked as its first bytes say, or else as its name does.
pub(super) fn unpacked(path: &Path, file: Bytes, buffer: usize) -> Bytes {
    let by_name = path.extension().and_then(|e| e.to_str()).and_then(|name| match name {
        "gz" => Some(Packer::Gzip),
        "zst" => Some(Packer::Zstandard),
        _ => None,
    });
    Box::new(Unpacked { input: Some(file), by_name, known: None, buffer })
}

#[derive(Clone, Copy, Debug)]
enum Packer {
    Gzip,
    Zstandard,
}

impl fmt::Display for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstandard => "Zstandard",
        })
    }
}

impl Packer {
    /// What packed files begin with (RFC 1952; RFC 8878, also with a frame to skip); no line of JSON does.
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstandard),
            _ => is_skipped(head).then_some(Self::Zstandard),
        }
    }

    fn unpack(self, file: Bytes, buffer: usize) -> Bytes {
        let input = BufReader::with_capacity(buffer, file);
        match self {
            Self::Gzip => Box::new(Worded { input: flate2::bufread::MultiGzDecoder::new(input), by: self }),
            Self::Zstandard => {
                let input = Some(Ahead { head: Vec::new(), input });
                Box::new(Worded { input: Frames { input, frame: None }, by: self })
            }
        }
    }
}

/// Whether a frame of Zstandard's has nothing but what others wrote for themselves.
fn is_skipped(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Bytes of all these beginnings.
const MAGIC: usize = 4;

/// A file or a pipe. Its first bytes are looked at when they are read, as a pipe may be silent for long.
struct Unpacked {
    input: Option<Bytes>,
    by_name: Option<Packer>,
    known: Option<Bytes>,
    buffer: usize,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(mut input) = self.input.take() {
            let mut head = Vec::with_capacity(MAGIC);
            // Errors come again when the rest is read.
            drop(input.by_ref().take(MAGIC as u64).read_to_end(&mut head));
            let packer = Packer::of(&head).or(self.by_name);
            let whole: Bytes = Box::new(io::Cursor::new(head).chain(input));
            self.known = Some(match packer {
                Some(packer) => packer.unpack(whole, self.buffer),
                None => whole,
            });
        }
        self.known.as_mut().map_or(Ok(0), |known| known.read(buffer))
    }
}

/// An unpacker whose troubles are one sentence.
struct Worded<R> {
    input: R,
    by: Packer,
}

impl<R: Read> Read for Worded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer).map_err(|e| worded(e, self.by))
    }
}

fn worded(e: io::Error, by: Packer) -> io::Error {
    // What the disk or the pipe says stands as it is.
    if e.raw_os_error().is_some() || e.kind() == io::ErrorKind::Interrupted {
        return e;
    }
    if is_early_end(&e) {
        let why = match by {
            Packer::Gzip => "it ends too early: what comes after is missing",
            // The unpacker keeps back what later parts may refer to.
            Packer::Zstandard => {
                "it ends too early: what comes after is missing, and some of what comes before; `zstd -dc FILE` gives that"
            }
        };
        return io::Error::new(io::ErrorKind::UnexpectedEof, why);
    }
    io::Error::new(io::ErrorKind::InvalidData, format!("it is damaged, or was not packed by {by}"))
}

/// Whether an error, or one that led to it, is that there was no more.
fn is_early_end(e: &io::Error) -> bool {
    let early = |e: &io::Error| e.kind() == io::ErrorKind::UnexpectedEof;
    let mut cause: Option<&(dyn Error + 'static)> = e.get_ref().map(|inner| inner as _);
    while let Some(e) = cause {
        if e.downcast_ref::<io::Error>().is_some_and(early) {
            return true;
        }
        cause = e.source();
    }
    early(e)
}

/// What was looked at, and what follows.
struct Ahead {
    head: Vec<u8>,
    input: BufReader<Bytes>,
}

impl Ahead {
    /// The beginning of a frame; shorter at the end.
    fn look(&mut self) -> io::Result<&[u8]> {
        let missing = MAGIC.saturating_sub(self.head.len());
        self.input.by_ref().take(missing as u64).read_to_end(&mut self.head)?;
        Ok(&self.head)
    }

    /// Passes over a frame that was looked at, which says after its beginning how long it is.
    fn skip(&mut self) -> io::Result<()> {
        self.head.clear();
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
        if skipped < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.head.is_empty() {
            return self.input.read(buffer);
        }
        let some = buffer.len().min(self.head.len());
        buffer[..some].copy_from_slice(&self.head[..some]);
        self.head.drain(..some);
        Ok(some)
    }
}

type Frame = ruzstd::decoding::StreamingDecoder<Ahead, ruzstd::decoding::FrameDecoder>;

/// Zstandard's frames, one after the other: a recorder begins a new one now and then.
struct Frames {
    /// Between two frames.
    input: Option<Ahead>,
    frame: Option<Frame>,
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.input = self.frame.take().map(Frame::into_inner);
            }
            let Some(mut input) = self.input.take() else { return Ok(0) };
            let head = input.look()?;
            if head.is_empty() {
                self.input = Some(input);
                return Ok(0);
            }
            if is_skipped(head) {
                input.skip()?;
                self.input = Some(input);
            } else {
                self.frame = Some(Frame::new(input).map_err(io::Error::other)?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn wrong(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut input = unpacked(&path, Box::new(File::open(&path).unwrap()), 4096);
        input.read_to_end(&mut Vec::new()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        use std::io::Write as _;

        let text: String = (0..20_000)
            .map(|i: u32| char::from(b'a' + i.wrapping_mul(2_654_435_761).to_be_bytes()[0] % 26))
            .collect();
        let zstd =
            ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        let skipped = b"\x5a\x2a\x4d\x18\x03\0\0\0abc".as_slice();
        let plain = text.as_bytes();
        for (name, bytes) in [
            ("x.json", &*zstd),
            ("-", &gzip),
            ("x.json", plain),
            ("x.zst", &gzip),
            ("x.gz", &zstd),
            ("x.zst", &[skipped, skipped, &zstd, skipped].concat()),
            ("-", &[skipped, &zstd].concat()),
        ] {
            let mut read = String::new();
            let input: Bytes = Box::new(io::Cursor::new(bytes.to_owned()));
            unpacked(Path::new(name), input, 4096).read_to_string(&mut read).unwrap();
            assert!(read == text, "{name}: as its first bytes say");
        }
        let early = "it ends too early: what comes after is missing";
        for cut in [5, zstd.len() / 2, zstd.len() - 1] {
            let why = wrong("x.zst", &zstd[..cut]);
            assert!(why.starts_with(early) && why.contains("`zstd -dc FILE`"), "{cut}: {why}");
        }
        for cut in [5, skipped.len() - 1] {
            assert!(wrong("x.zst", &[&zstd, &skipped[..cut]].concat()).starts_with(early), "{cut}");
        }
        for cut in [3, gzip.len() / 2, gzip.len() - 1] {
            assert_eq!(wrong("x.gz", &gzip[..cut]), early, "{cut}");
        }
        assert_eq!(wrong("x.zst", b"no such format"), "it is damaged, or was not packed by Zstandard");
        assert_eq!(wrong("x.gz", b"no such format"), "it is damaged, or was not packed by gzip");
        let damaged: Vec<u8> = zstd.iter().enumerate().map(|(i, b)| if i > 20 { !b } else { *b }).collect();
        assert!(!wrong("x.zst", &damaged).contains(": it"));
    }
}
