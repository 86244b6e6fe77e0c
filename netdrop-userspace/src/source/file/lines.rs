//! A file cut into pieces of whole lines by a few threads in turn, each of which then makes something of its piece.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::Maker;
use super::parse::Parsed;

/// Bytes that are read at once.
pub(super) const BUFFER: usize = 256 * 1024;
/// No flow is as long; a longer line is no flow.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;
/// More threads than these would only wait for the printer.
const MOST_THREADS: usize = 4;

/// A piece in its place, as soon as its lines are read.
type Piece<T> = io::Result<oneshot::Receiver<Parsed<T>>>;

/// Pieces in their order.
pub(super) type Pieces<T> = mpsc::Receiver<Piece<T>>;

/// Begins to read. What was read stays with the core that read it: the thread that takes a piece from the file also looks at its lines.
pub(super) fn pieces<M: Maker>(input: Box<dyn Read + Send>, maker: M) -> io::Result<Pieces<M::Made>> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let (order, pieces) = mpsc::channel(threads + 2);
    let cutter = Cutter { input, left: Vec::new(), skipping: false, ended: false };
    let shared = Arc::new((Mutex::new(cutter), maker, order));
    for _ in 0..threads {
        let shared = Arc::clone(&shared);
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            let (cutter, maker, order) = &*shared;
            let mut buffer = Vec::new();
            while let Some((length, done)) = next(cutter, order, &mut buffer) {
                // Nobody waits for it any more: the printer has ended.
                drop(done.send(Parsed::of(&buffer[..length], maker)));
            }
        })?;
    }
    Ok(pieces)
}

/// The next piece: its length in the buffer, and where what is made of it goes. `None`: the file or its reader has ended.
fn next<T: Default>(
    cutter: &Mutex<Cutter>,
    order: &mpsc::Sender<Piece<T>>,
    buffer: &mut Vec<u8>,
) -> Option<(usize, oneshot::Sender<Parsed<T>>)> {
    // Others wait for their turn until this one has its place in the order.
    let mut cutter = cutter.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let cut = cutter.next(buffer);
        if let Cut::End = cut {
            return None;
        }
        let (done, place) = oneshot::channel();
        let (place, cut) = match cut {
            Cut::Failed(e) => (Err(e), Cut::End),
            cut => (Ok(place), cut),
        };
        // What came before an error is shown.
        cutter.ended |= order.blocking_send(place).is_err();
        match cut {
            Cut::Lines(length) => return Some((length, done)),
            Cut::TooLong => drop(done.send(Parsed::too_long())),
            Cut::Failed(_) | Cut::End => return None,
        }
    }
}

enum Cut {
    /// So many bytes of whole lines; the last one may lack its end.
    Lines(usize),
    /// A line that is longer than any flow, and is passed over.
    TooLong,
    Failed(io::Error),
    End,
}

struct Cutter {
    input: Box<dyn Read + Send>,
    /// The beginning of a line whose end was not read yet.
    left: Vec<u8>,
    /// Up to the end of a line that is too long.
    skipping: bool,
    ended: bool,
}

impl Cutter {
    /// Reads on until there is the end of a line. What is in the buffer is written over.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Cut {
        if buffer.len() > 4 * BUFFER {
            // It had to grow for one line.
            *buffer = Vec::new();
        }
        let mut length = self.left.len();
        make_room(buffer, length);
        buffer[..length].copy_from_slice(&self.left);
        self.left.clear();
        // There is no end of a line before this.
        let mut known = 0;
        loop {
            let first = memchr::memchr(b'\n', &buffer[known..length]).map(|at| known + at);
            if self.skipping {
                let after = first.map_or(length, |at| at + 1);
                buffer.copy_within(after..length, 0);
                length -= after;
                self.skipping = first.is_none();
                known = 0;
                if first.is_some() {
                    continue;
                }
            } else if first.unwrap_or(length) >= LONGEST {
                self.left.extend_from_slice(&buffer[known..length]);
                self.skipping = true;
                return Cut::TooLong;
            } else if let Some(last) = first.and_then(|_| memchr::memrchr(b'\n', &buffer[..length])) {
                self.left.extend_from_slice(&buffer[last + 1..length]);
                return Cut::Lines(last + 1);
            }
            if self.ended {
                return if length == 0 { Cut::End } else { Cut::Lines(length) };
            }
            known = length;
            make_room(buffer, length);
            match self.input.read(&mut buffer[length..]) {
                Ok(read) => {
                    length += read;
                    self.ended = read == 0;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.ended = true;
                    return Cut::Failed(e);
                }
            }
        }
    }
}

/// Room behind what is there, which is made once and then stays.
fn make_room(buffer: &mut Vec<u8>, length: usize) {
    if buffer.len() < length + BUFFER {
        buffer.resize(length + BUFFER, 0);
    }
}
