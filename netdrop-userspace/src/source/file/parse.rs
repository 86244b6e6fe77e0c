//! Lines to messages.

use super::Trouble;
use super::lines::LONGEST;
use crate::proto::observer::GetFlowsResponse;
use crate::wire::json::{Unknown, read};

/// What was in a piece of a file.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) responses: Vec<GetFlowsResponse>,
    /// With numbers of lines from the piece's beginning, from 1.
    pub(super) troubles: Vec<Trouble>,
    /// How many lines it had.
    pub(super) lines: u64,
}

/// In place of a line that nobody looks at.
pub(super) fn too_long() -> Parsed {
    let why = format!("longer than {} MiB", LONGEST >> 20);
    Parsed { troubles: vec![Trouble::Bad { line: 1, why }], lines: 1, ..Parsed::default() }
}

impl Parsed {
    /// Of whole lines; the last one may lack its end.
    pub(super) fn of(piece: &[u8]) -> Self {
        let mut parsed = Self::default();
        let mut rest = piece;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (line, after) = end.map_or((rest, &[][..]), |at| (&rest[..at], &rest[at + 1..]));
            // A file of another system's has both; what the last one lacks is no end.
            let line = if end.is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
            parsed.lines += 1;
            parsed.line(line);
            rest = after;
        }
        parsed
    }

    fn line(&mut self, line: &[u8]) {
        let number = self.lines;
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            Err(e) => {
                let why = format!("column {}: no UTF-8", e.valid_up_to() + 1);
                return self.troubles.push(Trouble::Bad { line: number, why });
            }
        };
        let Err(first) = read(text, Unknown::Refuse).map(|response| self.responses.push(response)) else {
            return;
        };
        // A line of a newer Hubble may have fields that are unknown here; the rest of it is as good.
        let trouble = match read(text, Unknown::Ignore) {
            Ok(response) => {
                self.responses.push(response);
                Trouble::Unknown { line: number, why: first.to_string() }
            }
            Err(why) => Trouble::Bad { line: number, why: why.to_string() },
        };
        self.troubles.push(trouble);
    }
}
