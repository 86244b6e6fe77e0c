//! A file cut into pieces of whole lines, in one thread; each piece is parsed in one of a few others.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::parse::{Parsed, too_long};

/// Bytes that are read at once.
pub(super) const BUFFER: usize = 256 * 1024;
/// No flow is as long; a longer line is no flow.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;
/// More threads than these would only wait for the printer.
const MOST_PARSERS: usize = 4;

/// Pieces in their order, each as soon as it is parsed.
pub(super) type Pieces = mpsc::Receiver<io::Result<oneshot::Receiver<Parsed>>>;

/// A piece, and where what is in it goes.
type Work = (Vec<u8>, oneshot::Sender<Parsed>);

/// Begins to read.
pub(super) fn pieces(input: Box<dyn Read + Send>) -> io::Result<Pieces> {
    let parsers = thread::available_parallelism().map_or(1, usize::from).min(MOST_PARSERS);
    let (work, todo) = std_mpsc::sync_channel::<Work>(1);
    let todo = Arc::new(Mutex::new(todo));
    for _ in 0..parsers {
        let todo = Arc::clone(&todo);
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            loop {
                let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((piece, done)) = next else { return };
                // Nobody waits for it any more: the printer has ended.
                drop(done.send(Parsed::of(&piece)));
            }
        })?;
    }
    let (order, pieces) = mpsc::channel(parsers + 2);
    let cutter = Cutter { input, left: Vec::new(), order, work };
    thread::Builder::new().name("file".to_owned()).spawn(move || cutter.run())?;
    Ok(pieces)
}

struct Cutter {
    input: Box<dyn Read + Send>,
    /// The beginning of a line whose end was not read yet.
    left: Vec<u8>,
    order: mpsc::Sender<io::Result<oneshot::Receiver<Parsed>>>,
    work: std_mpsc::SyncSender<Work>,
}

impl Cutter {
    /// Until the end of the file, or until nobody takes pieces any more.
    fn run(mut self) {
        let mut skipping = false;
        loop {
            let known = self.left.len();
            self.left.resize(known + BUFFER, 0);
            let read = match self.input.read(&mut self.left[known..]) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    self.left.truncate(known);
                    continue;
                }
                // What came before the error is shown.
                Err(e) => return drop(self.order.blocking_send(Err(e))),
            };
            self.left.truncate(known + read);
            if read == 0 {
                if !self.left.is_empty() && !skipping {
                    let rest = std::mem::take(&mut self.left);
                    self.send(rest);
                }
                return;
            }
            if !self.cut(known, &mut skipping) {
                return;
            }
        }
    }

    /// Sends off whole lines, if there are any; there is no end of a line before `known`. A line that is too long is told as such at
    /// once, and its rest passed over. `false`: nobody takes them.
    fn cut(&mut self, known: usize, skipping: &mut bool) -> bool {
        let first = memchr::memchr(b'\n', &self.left[known..]).map(|at| known + at);
        if *skipping {
            self.left.drain(..first.map_or(self.left.len(), |at| at + 1));
            *skipping = first.is_none();
            return *skipping || self.left.is_empty() || self.cut(0, skipping);
        }
        if first.unwrap_or(self.left.len()) >= LONGEST {
            let (done, told) = oneshot::channel();
            let sent = self.order.blocking_send(Ok(told)).is_ok() && done.send(too_long()).is_ok();
            *skipping = true;
            return sent && self.cut(known, skipping);
        }
        let Some(last) = first.and_then(|_| memchr::memrchr(b'\n', &self.left)) else { return true };
        let rest = self.left.split_off(last + 1);
        let piece = std::mem::replace(&mut self.left, rest);
        self.send(piece)
    }

    fn send(&self, piece: Vec<u8>) -> bool {
        let (done, parsed) = oneshot::channel();
        self.order.blocking_send(Ok(parsed)).is_ok() && self.work.send((piece, done)).is_ok()
    }
}
