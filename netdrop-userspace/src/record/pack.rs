//! Packing by a file's name. Each part is complete in itself, so that a file is readable up to its last part, whatever happens.

use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pack {
    /// Not at all.
    Plain,
    /// Members of gzip (RFC 1952).
    Gzip,
    /// Frames of Zstandard (RFC 8878).
    Zstd,
}

impl Pack {
    pub(super) fn of(file: &Path) -> Self {
        match file.extension().and_then(|e| e.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// Bytes that are worth a part: a small one packs badly.
    pub(super) fn part(self) -> usize {
        if self == Self::Plain { 64 * 1024 } else { 1024 * 1024 }
    }

    /// A part as it is written.
    pub(super) fn pack(self, part: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(part.to_vec()),
            Self::Gzip => {
                let mut out = GzEncoder::new(Vec::with_capacity(part.len() / 8), Compression::default());
                out.write_all(part)?;
                out.finish()
            }
            Self::Zstd => Ok(compress_to_vec(part, CompressionLevel::Fastest)),
        }
    }
}
