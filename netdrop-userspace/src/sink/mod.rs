//! Where observations go: Hubble's formats, to any `impl Write`.

pub(crate) mod calendar;
mod color;
mod columns;
mod compact;
mod dict;
pub(crate) mod escape;
mod json;
mod pcapng;
mod table;
pub(crate) mod text;
pub(crate) mod time;

use std::io;

use crate::flow::{NodeState, Observation};

pub use color::{ColorWhen, Painter};
pub use escape::escape;
pub use json::write_json;
pub use pcapng::Pcapng;
pub use time::{TIME_FORMATS, TimeFormat};

/// Takes observations; writes to any `impl Write`.
pub trait Sink {
    /// Writes one.
    fn write(&mut self, observation: &Observation) -> io::Result<()>;
    /// Brings what was written to its reader.
    fn flush(&mut self) -> io::Result<()>;
    /// Writes what waits for the end (a table).
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Hubble's output formats, and netdrop's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A line a flow, for people.
    #[default]
    Compact,
    /// Keys and values, for people.
    Dict,
    /// `GetFlowsResponse` as JSON, a line each.
    Json,
    /// Aligned columns, printed at the end.
    Table,
    /// netdrop's own: compact, and place, process, namespace and device behind it.
    Wide,
    /// netdrop's own: the packets, for Wireshark.
    Pcapng,
}

impl Format {
    /// By the name that `--output` takes.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "compact" => Self::Compact,
            "dict" => Self::Dict,
            "json" | "JSON" | "jsonpb" => Self::Json,
            "table" | "tab" => Self::Table,
            "wide" => Self::Wide,
            "pcapng" => Self::Pcapng,
            _ => return None,
        })
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrintOptions {
    /// Which format.
    pub format: Format,
    /// How times look in text formats.
    pub time_format: TimeFormat,
    /// Colours, in compact and dict.
    pub color: bool,
    /// Addresses in place of names.
    pub numeric: bool,
    /// Name the node that saw the flow.
    pub print_node_name: bool,
    /// Tell what is no trouble about nodes, too.
    pub debug: bool,
}

/// One of the printers: observations to `out`, the state of nodes to `err`.
pub struct Printer<W: io::Write, E> {
    options: PrintOptions,
    out: Out<W>,
    err: E,
    /// Lines that wait to be written together.
    lines: String,
    /// Up to here they are for `out`.
    written: usize,
    records: u64,
}

/// So many bytes of lines are written at once, if nobody flushes before.
const FULL: usize = 64 * 1024;

enum Out<W: io::Write> {
    Plain(W),
    Table(table::Table<W>),
}

impl<W: io::Write, E: io::Write> Printer<W, E> {
    /// Prints to `out`, and nodes' troubles to `err`.
    pub fn new(options: PrintOptions, out: W, err: E) -> Self {
        let out = match options.format {
            Format::Table => Out::Table(table::Table::new(out, options)),
            _ => Out::Plain(out),
        };
        Self { options, out, err, lines: String::with_capacity(FULL + 4096), written: 0, records: 0 }
    }
}

impl<W: io::Write, E: io::Write> Sink for Printer<W, E> {
    fn write(&mut self, observation: &Observation) -> io::Result<()> {
        if let Observation::Status(status) = observation {
            // Only trouble is news; the client keeps the rest for its debug log.
            if self.options.format != Format::Json
                && !self.options.debug
                && !matches!(status.state, NodeState::Unavailable | NodeState::Error)
            {
                return Ok(());
            }
        }
        match (self.options.format, &mut self.out) {
            (_, Out::Table(table)) if !matches!(observation, Observation::Status(_)) => {
                return table.write(observation);
            }
            (Format::Json, _) => write_json(observation, &mut self.lines),
            (Format::Dict, _) => dict::write(observation, self.options, self.records, &mut self.lines),
            _ => compact::write(observation, self.options, &mut self.lines),
        }
        match (observation, &mut self.out) {
            (Observation::Status(_), _) | (_, Out::Table(_)) => {
                let line = self.lines.split_off(self.written);
                self.err.write_all(line.as_bytes())
            }
            (_, Out::Plain(_)) => {
                self.records += 1;
                self.written = self.lines.len();
                if self.written < FULL { Ok(()) } else { self.pass_on() }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        match &mut self.out {
            Out::Plain(out) => out.flush(),
            Out::Table(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.pass_on()?;
        match &mut self.out {
            Out::Plain(out) => out.flush(),
            Out::Table(table) => table.finish(),
        }
    }
}

impl<W: io::Write, E> Printer<W, E> {
    /// Writes the lines that wait.
    fn pass_on(&mut self) -> io::Result<()> {
        let Out::Plain(out) = &mut self.out else {
            return Ok(());
        };
        let written = out.write_all(self.lines.as_bytes());
        self.lines.clear();
        self.written = 0;
        written
    }
}

#[cfg(test)]
mod tests;
