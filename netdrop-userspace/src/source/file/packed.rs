//! Files that are packed, and what is wrong with them in words.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

/// What a file's name says of how it is packed: its bytes, unpacked.
pub(super) fn unpacked(path: &Path, file: File, buffer: usize) -> Box<dyn Read + Send> {
    let packed = |file| BufReader::with_capacity(buffer, file);
    match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => {
            Box::new(Worded { input: flate2::bufread::MultiGzDecoder::new(packed(file)), by: "gzip" })
        }
        Some("zst") => {
            Box::new(Worded { input: Frames { input: Some(packed(file)), frame: None }, by: "Zstandard" })
        }
        _ => Box::new(file),
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

type Frame = ruzstd::decoding::StreamingDecoder<BufReader<File>, ruzstd::decoding::FrameDecoder>;

/// Zstandard's frames, one after the other: a recorder begins a new one now and then.
struct Frames {
    /// Between two frames.
    input: Option<BufReader<File>>,
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
    use super::*;

    fn wrong(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut input = unpacked(&path, File::open(&path).unwrap(), 4096);
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
