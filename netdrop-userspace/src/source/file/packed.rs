//! Files that are packed, and what is wrong with them in words.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

type Bytes = Box<dyn Read + Send>;

/// A file's bytes, unpacked as its name says, or else as its first bytes do.
pub(super) fn unpacked(path: &Path, file: Bytes, buffer: usize) -> Bytes {
    match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => of_gzip(file, buffer),
        Some("zst") => of_zstd(file, buffer),
        _ => Box::new(Unnamed { input: Some(file), known: None, buffer }),
    }
}

fn of_gzip(file: Bytes, buffer: usize) -> Bytes {
    let input = BufReader::with_capacity(buffer, file);
    Box::new(Worded { input: flate2::bufread::MultiGzDecoder::new(input), by: "gzip" })
}

fn of_zstd(file: Bytes, buffer: usize) -> Bytes {
    let input = BufReader::with_capacity(buffer, file);
    Box::new(Worded { input: Frames { input: Some(input), frame: None }, by: "Zstandard" })
}

/// What packed files begin with (RFC 1952, RFC 8878); no line of JSON does.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A pipe, or a file of another name. Its first bytes are looked at when they are read, as a pipe may be silent for long.
struct Unnamed {
    input: Option<Bytes>,
    known: Option<Bytes>,
    buffer: usize,
}

impl Read for Unnamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(mut input) = self.input.take() {
            let mut head = Vec::with_capacity(ZSTD.len());
            // Errors come again when the rest is read.
            drop(input.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head));
            let (gzip, zstd) = (head.starts_with(&GZIP), head.starts_with(&ZSTD));
            let whole = Box::new(io::Cursor::new(head).chain(input));
            self.known = Some(match (gzip, zstd) {
                (true, _) => of_gzip(whole, self.buffer),
                (_, true) => of_zstd(whole, self.buffer),
                _ => whole,
            });
        }
        self.known.as_mut().map_or(Ok(0), |known| known.read(buffer))
    }
}

/// An unpacker whose troubles are one sentence.
struct Worded<R> {
    input: R,
    by: &'static str,
}

impl<R: Read> Read for Worded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer).map_err(|e| worded(e, self.by))
    }
}

fn worded(e: io::Error, by: &str) -> io::Error {
    // What the disk or the pipe says stands as it is.
    if e.raw_os_error().is_some() || e.kind() == io::ErrorKind::Interrupted {
        return e;
    }
    if is_early_end(&e) {
        let why = "it ends too early: what comes after is missing";
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

type Frame = ruzstd::decoding::StreamingDecoder<BufReader<Bytes>, ruzstd::decoding::FrameDecoder>;

/// Zstandard's frames, one after the other: a recorder begins a new one now and then.
struct Frames {
    /// Between two frames.
    input: Option<BufReader<Bytes>>,
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
            if input.fill_buf()?.is_empty() {
                self.input = Some(input);
                return Ok(0);
            }
            self.frame = Some(Frame::new(input).map_err(io::Error::other)?);
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
        for (name, bytes) in [("x.json", &zstd), ("-", &gzip), ("x.json", &text.clone().into_bytes())] {
            let mut read = String::new();
            let input: Bytes = Box::new(io::Cursor::new(bytes.clone()));
            unpacked(Path::new(name), input, 4096).read_to_string(&mut read).unwrap();
            assert!(read == text, "{name}: as its first bytes say");
        }
        let early = "it ends too early: what comes after is missing";
        for cut in [5, zstd.len() / 2, zstd.len() - 1] {
            assert_eq!(wrong("x.zst", &zstd[..cut]), early, "{cut}");
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
