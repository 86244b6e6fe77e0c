//! A file of flows as a source: a `GetFlowsResponse` as JSON on each line, as `observe -o json` and Hubble's exporter write them.
//! A few threads read and parse, so that printing goes on beside them; what is in memory does not grow with the file.

mod foreign;
mod lines;
mod packed;
mod parse;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::wire::WireSource;
use crate::proto::observer::GetFlowsResponse;
use lines::{BUFFER, Pieces};
use parse::Parsed;

pub use parse::Messages;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The line was left out.
    Bad {
        /// Its number, from 1.
        line: u64,
        /// Why it can't be read.
        why: String,
    },
    /// The line, and those after it, have fields that this build does not know; they are left out.
    Unknown {
        /// Its number, from 1.
        line: u64,
        /// Which one.
        why: String,
    },
}

/// What is made of lines, on the thread that reads them.
pub trait Maker: Send + Sync + 'static {
    /// Of the lines of one piece.
    type Made: Default + Send + 'static;
    /// Takes a line if a look at a part of it is enough. `false`: it takes a full reading, also to say what is wrong with the line.
    fn quickly(&self, line: &str, made: &mut Self::Made) -> bool;
    /// Takes what was read in full.
    fn message(&self, response: GetFlowsResponse, made: &mut Self::Made);
}

/// A file, or standard input, of whose lines something is made: messages, mostly.
pub struct FileSource<M: Maker = Messages> {
    pieces: Pieces<M::Made>,
    /// The piece whose turn it is.
    next: Option<oneshot::Receiver<Parsed<M::Made>>>,
    name: PathBuf,
    /// Lines of the pieces before it.
    lines: u64,
    /// Whether one of them could be read.
    any: bool,
    /// After the first unknown field nobody is told again.
    unknown_told: bool,
    report: Box<dyn FnMut(Trouble) + Send>,
}

impl<M: Maker> std::fmt::Debug for FileSource<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FileSource {
    /// Opens a file for all that is in it, as [`FileSource::of`] does.
    pub fn open(path: &Path, report: impl FnMut(Trouble) + Send + 'static) -> anyhow::Result<Self> {
        Self::of(path, Messages::default(), report)
    }
}

impl<M: Maker> FileSource<M> {
    /// Opens a file; `-` is standard input. What is packed by gzip or Zstandard, by its first bytes or by its name, is unpacked. `report`
    /// is told of bad lines as they come.
    pub fn of(path: &Path, maker: M, report: impl FnMut(Trouble) + Send + 'static) -> anyhow::Result<Self> {
        let input = open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let pieces = lines::pieces(input, maker).context("cannot start a thread")?;
        let report = Box::new(report);
        Ok(Self {
            pieces,
            next: None,
            name: path.to_owned(),
            lines: 0,
            any: false,
            unknown_told: false,
            report,
        })
    }

    /// Whether any line could be read so far.
    pub fn has_any(&self) -> bool {
        self.any
    }

    /// What is wrong with a piece's lines, by their numbers in the file.
    fn tell(&mut self, troubles: Vec<Trouble>) {
        for mut trouble in troubles {
            match &mut trouble {
                Trouble::Bad { line, .. } => *line += self.lines,
                Trouble::Unknown { .. } if self.unknown_told => continue,
                Trouble::Unknown { line, .. } => {
                    *line += self.lines;
                    self.unknown_told = true;
                }
            }
            (self.report)(trouble);
        }
    }
}

impl<M: Maker> FileSource<M> {
    /// What is made of the next piece; `None`: the file has ended. Safe to cancel.
    pub(crate) async fn piece(&mut self) -> anyhow::Result<Option<M::Made>> {
        let next = match &mut self.next {
            Some(next) => next,
            none => match self.pieces.recv().await {
                None => return Ok(None),
                Some(piece) => {
                    let piece = piece.with_context(|| format!("cannot read {}", shown(&self.name)))?;
                    none.insert(piece)
                }
            },
        };
        let parsed = next.await.context("a thread that reads the file has ended")?;
        self.next = None;
        self.tell(parsed.troubles);
        self.lines += parsed.lines;
        self.any |= parsed.any;
        Ok(Some(parsed.made))
    }
}

impl WireSource for FileSource {
    async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool> {
        let Some(made) = self.piece().await? else { return Ok(false) };
        if batch.is_empty() {
            *batch = made;
        } else {
            batch.extend(made);
        }
        Ok(true)
    }
}

/// How a file is called to a person.
pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let input: Box<dyn Read + Send> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    Ok(Box::new(foreign::Text::of(packed::unpacked(path, input, BUFFER))))
}

#[cfg(test)]
mod same;
#[cfg(test)]
mod tests;
