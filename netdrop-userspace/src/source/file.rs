//! A file of flows as a source: a `GetFlowsResponse` as JSON on each line, as `observe -o json` and Hubble's exporter write them.
//! One thread reads and parses, so that printing goes on beside it; what is in memory does not grow with the file.

mod packed;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::wire::WireSource;
use crate::proto::observer::GetFlowsResponse;
use crate::wire::json::{JsonError, Unknown, read};

/// Messages that are handed on at once.
const BATCH: usize = 256;
/// Bytes of lines that are handed on at once, where these are long.
const BATCH_BYTES: usize = 1024 * 1024;
/// Batches that wait for the printer.
const WAITING: usize = 4;
/// No flow is as long; a longer line is no flow.
const LONGEST: u64 = 16 * 1024 * 1024;
/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

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

/// A file, or standard input, whose lines are read as messages.
#[derive(Debug)]
pub struct FileSource {
    batches: mpsc::Receiver<io::Result<Vec<GetFlowsResponse>>>,
    name: PathBuf,
}

impl FileSource {
    /// Opens a file; `-` is standard input. Names that end in `.gz` and `.zst` are decompressed. `report` is told of bad lines as
    /// they come, on another thread.
    pub fn open(path: &Path, report: impl FnMut(Trouble) + Send + 'static) -> anyhow::Result<Self> {
        let lines = open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let (send, batches) = mpsc::channel(WAITING);
        thread::Builder::new()
            .name("file".to_owned())
            .spawn(move || Lines { input: lines, line: 0, unknown: Unknown::Refuse, report }.send_all(&send))
            .context("cannot start a thread")?;
        Ok(Self { batches, name: path.to_owned() })
    }
}

impl WireSource for FileSource {
    async fn next(&mut self, batch: &mut Vec<GetFlowsResponse>) -> anyhow::Result<bool> {
        match self.batches.recv().await {
            None => Ok(false),
            Some(read) => {
                batch.append(&mut read.with_context(|| format!("cannot read {}", self.name.display()))?);
                Ok(true)
            }
        }
    }
}

type Input = BufReader<Box<dyn Read + Send>>;

fn open(path: &Path) -> io::Result<Input> {
    if path == Path::new("-") {
        return Ok(buffered(Box::new(io::stdin())));
    }
    let file = File::open(path)?;
    Ok(buffered(packed::unpacked(path, file, BUFFER)))
}

fn buffered(input: Box<dyn Read + Send>) -> Input {
    BufReader::with_capacity(BUFFER, input)
}

/// Lines under way to messages.
struct Lines<F> {
    input: Input,
    line: u64,
    /// After the first unknown field nobody is told again.
    unknown: Unknown,
    report: F,
}

impl<F: FnMut(Trouble)> Lines<F> {
    fn send_all(mut self, send: &mpsc::Sender<io::Result<Vec<GetFlowsResponse>>>) {
        let mut batch = Vec::with_capacity(BATCH);
        let (mut text, mut bytes) = (Vec::new(), 0);
        loop {
            let more = match self.next_line(&mut text) {
                Ok(more) => more,
                Err(e) => {
                    // What came before the error is shown.
                    if send.blocking_send(Ok(batch)).is_ok() {
                        drop(send.blocking_send(Err(e)));
                    }
                    return;
                }
            };
            if more {
                batch.extend(self.parse(&text));
                bytes += text.len();
            }
            // Standard input may be a pipe that says something only now and then.
            let waits = !more || self.input.buffer().is_empty();
            if batch.len() >= BATCH || bytes >= BATCH_BYTES || (waits && !batch.is_empty()) {
                bytes = 0;
                let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                if send.blocking_send(Ok(full)).is_err() {
                    return;
                }
            }
            if !more {
                return;
            }
        }
    }

    /// The next line without its end, past those that are too long; `false`: there is none.
    fn next_line(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            text.clear();
            let read = (&mut self.input).take(LONGEST).read_until(b'\n', text)?;
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            if text.last() == Some(&b'\n') {
                text.pop();
                if text.last() == Some(&b'\r') {
                    text.pop();
                }
                return Ok(true);
            }
            if (read as u64) < LONGEST {
                return Ok(true);
            }
            self.input.skip_until(b'\n')?;
            self.bad(format!("longer than {} MiB", LONGEST >> 20));
        }
    }

    fn bad(&mut self, why: String) {
        (self.report)(Trouble::Bad { line: self.line, why });
    }

    fn parse(&mut self, text: &[u8]) -> Option<GetFlowsResponse> {
        let text = match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(e) => {
                self.bad(format!("column {}: no UTF-8", e.valid_up_to() + 1));
                return None;
            }
        };
        let first = match read(text, self.unknown) {
            Ok(response) => return Some(response),
            Err(e) => e,
        };
        self.again(text, &first)
    }

    /// A line of a newer Hubble may have fields that are unknown here; the rest of it is as good.
    fn again(&mut self, text: &str, first: &JsonError) -> Option<GetFlowsResponse> {
        let second =
            if self.unknown == Unknown::Refuse { read(text, Unknown::Ignore) } else { Err(first.clone()) };
        match second {
            Ok(response) => {
                self.unknown = Unknown::Ignore;
                (self.report)(Trouble::Unknown { line: self.line, why: first.to_string() });
                Some(response)
            }
            Err(why) => {
                self.bad(why.to_string());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
