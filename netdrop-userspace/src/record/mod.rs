//! Flows to files that `observe --input-file` and Hubble's client read: a line of JSON each, packed by the file's name, in files of a
//! bounded size and age. One thread packs and writes, so that a slow disk does not hold the stream up before its queue is full.

mod files;
mod pack;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::flow::Observation;
use crate::proto::observer::GetFlowsResponse;
use crate::sink::{Sink, write_json};
use crate::wire::json;
use crate::wire::print::PrintError;
use crate::wire::run::WireSink;
use files::Files;

pub use files::{News, Written};

/// Where to, and how much.
#[derive(Clone, Debug, Default)]
pub struct RecordConfig {
    /// The file that is written; `.gz` and `.zst` are packed.
    pub file: PathBuf,
    /// A new file before this one would grow beyond so many bytes.
    pub max_size: Option<u64>,
    /// A new file after this time.
    pub max_age: Option<Duration>,
    /// So many files are kept, the one that is written among them.
    pub max_files: Option<usize>,
}

/// Lines that are handed to the writer at once, in bytes.
const CHUNK: usize = 64 * 1024;
/// Chunks that may wait for the disk.
const WAITING: usize = 64;
/// What was taken is in the file after this time.
const DELAY: Duration = Duration::from_secs(1);

/// Takes flows; a thread writes them.
#[derive(Debug)]
pub struct Recorder {
    lines: String,
    /// `None`: the end has come.
    send: Option<SyncSender<String>>,
    thread: Option<JoinHandle<Written>>,
}

impl Recorder {
    /// Creates the file. `news` is told what goes wrong, and that it goes on, from the writing thread.
    pub fn start(config: RecordConfig, news: impl FnMut(News) + Send + 'static) -> io::Result<Self> {
        let files = Files::create(config, news)?;
        let (send, chunks) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("record".to_owned()).spawn(move || write(files, &chunks))?;
        Ok(Self { lines: String::with_capacity(CHUNK + 4096), send: Some(send), thread: Some(thread) })
    }

    fn line_ended(&mut self) -> io::Result<()> {
        self.lines.push('\n');
        if self.lines.len() < CHUNK { Ok(()) } else { self.pass_on() }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.lines, String::with_capacity(CHUNK + 4096));
        let sent = self.send.as_ref().is_some_and(|send| send.send(chunk).is_ok());
        if sent { Ok(()) } else { Err(io::Error::other("the writing thread has ended")) }
    }

    /// Writes what waits, closes the file and says what was written.
    pub fn close(mut self) -> io::Result<Written> {
        let passed = self.pass_on();
        self.send = None;
        let written = self.thread.take().map(JoinHandle::join).transpose();
        passed?;
        written.ok().flatten().ok_or_else(|| io::Error::other("the writing thread has failed"))
    }
}

fn write(mut files: Files, chunks: &Receiver<String>) -> Written {
    loop {
        match chunks.recv_timeout(DELAY) {
            Ok(chunk) => files.take(&chunk),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return files.close(),
        }
        files.keep_up(DELAY);
    }
}

impl Sink for Recorder {
    fn write(&mut self, observation: &Observation) -> io::Result<()> {
        write_json(observation, &mut self.lines);
        // The printer's JSON ends its line itself.
        self.lines.truncate(self.lines.trim_end_matches('\n').len());
        self.line_ended()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

impl WireSink for Recorder {
    fn write(&mut self, response: &GetFlowsResponse) -> Result<(), PrintError> {
        let start = self.lines.len();
        if let Err(e) = json::write(response, &mut self.lines) {
            self.lines.truncate(start);
            return Err(PrintError::Json("observer.GetFlowsResponse", e));
        }
        Ok(self.line_ended()?)
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        Ok(self.pass_on()?)
    }
}

#[cfg(test)]
mod tests;
