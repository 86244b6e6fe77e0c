//! Lines to what is made of them.

use super::lines::LONGEST;
use super::{Maker, Trouble};
use crate::proto::observer::GetFlowsResponse;
use crate::wire::json::{Tree, Unknown, read, read_some};

/// What was in a piece of a file.
#[derive(Debug)]
pub(super) struct Parsed<T> {
    pub(super) made: T,
    /// Whether a line could be read.
    pub(super) any: bool,
    /// With numbers of lines from the piece's beginning, from 1.
    pub(super) troubles: Vec<Trouble>,
    /// How many lines it had.
    pub(super) lines: u64,
}

impl<T: Default> Parsed<T> {
    fn nothing() -> Self {
        Self { made: T::default(), any: false, troubles: Vec::new(), lines: 0 }
    }

    /// In place of a line that nobody looks at.
    pub(super) fn too_long() -> Self {
        let why = format!("longer than {} MiB", LONGEST >> 20);
        Self { troubles: vec![Trouble::Bad { line: 1, why }], lines: 1, ..Self::nothing() }
    }

    /// Of whole lines; the last one may lack its end.
    pub(super) fn of(piece: &[u8], maker: &impl Maker<Made = T>) -> Self {
        let mut parsed = Self::nothing();
        // Looked at once for all lines, where nothing is wrong with them.
        let text = str::from_utf8(piece).ok();
        let mut from = 0;
        while from < piece.len() {
            let end = memchr::memchr(b'\n', &piece[from..]).map(|at| from + at);
            let mut to = end.unwrap_or(piece.len());
            // A file of another system's has both; what the last one lacks is no end.
            to -= usize::from(end.is_some() && piece[from..to].ends_with(b"\r"));
            parsed.lines += 1;
            match text.and_then(|text| text.get(from..to)) {
                Some(line) => parsed.line(line, maker),
                None => parsed.bytes(&piece[from..to], maker),
            }
            from = end.map_or(piece.len(), |end| end + 1);
        }
        parsed
    }

    fn bytes(&mut self, line: &[u8], maker: &impl Maker<Made = T>) {
        match str::from_utf8(line) {
            Ok(line) => self.line(line, maker),
            Err(e) => {
                let why = format!("column {}: no UTF-8", e.valid_up_to() + 1);
                self.troubles.push(Trouble::Bad { line: self.lines, why });
            }
        }
    }

    fn line(&mut self, line: &str, maker: &impl Maker<Made = T>) {
        if maker.quickly(line, &mut self.made) {
            self.any = true;
            return;
        }
        let number = self.lines;
        let mut take = |response| {
            maker.message(response, &mut self.made);
            self.any = true;
        };
        let Err(first) = read(line, Unknown::Refuse).map(&mut take) else { return };
        // A line of a newer Hubble may have fields that are unknown here; the rest of it is as good.
        self.troubles.push(match read(line, Unknown::Ignore).map(take) {
            Ok(()) => Trouble::Unknown { line: number, why: first.to_string() },
            Err(why) => Trouble::Bad { line: number, why: why.to_string() },
        });
    }
}

/// Messages as they are, or as much of them as is looked at.
#[derive(Debug, Default)]
pub struct Messages {
    /// `None`: all of it.
    pub(crate) wanted: Option<Tree>,
}

impl Maker for Messages {
    type Made = Vec<GetFlowsResponse>;

    fn quickly(&self, line: &str, made: &mut Self::Made) -> bool {
        let some = self.wanted.as_ref().and_then(|wanted| read_some(line, wanted));
        let read = some.is_some();
        made.extend(some);
        read
    }

    fn message(&self, response: GetFlowsResponse, made: &mut Self::Made) {
        made.push(response);
    }
}
