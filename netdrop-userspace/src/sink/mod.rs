//! Where observations go: Hubble's formats, to any `impl Write`.

pub(crate) mod calendar;
mod color;
mod columns;
pub(crate) mod elastic;
pub(crate) mod escape;
mod json;
pub(crate) mod layout;
mod pcapng;
pub(crate) mod text;
pub(crate) mod time;

use std::io;

use crate::flow::{NodeState, NodeStatus, Observation};
use columns::Shown;

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
pub struct Printer<W, E> {
    options: PrintOptions,
    out: W,
    err: E,
    /// Lines that wait to be written together.
    lines: String,
    table: Option<layout::Table>,
    records: u64,
    /// Nothing that drives a terminal passes in JSON, either.
    terminal: bool,
}

/// So many bytes of lines are written at once, if nobody flushes before.
const FULL: usize = 64 * 1024;

impl<W: io::Write, E: io::Write> Printer<W, E> {
    /// Prints to `out`, and nodes' troubles to `err`.
    pub fn new(options: PrintOptions, out: W, err: E) -> Self {
        let tabular = options.format == Format::Table;
        let table = tabular.then(|| layout::Table::new(options.print_node_name, None));
        // Columns have no colours.
        let options = PrintOptions { color: options.color && !tabular, ..options };
        Self {
            options,
            out,
            err,
            lines: String::with_capacity(FULL + 4096),
            table,
            records: 0,
            terminal: false,
        }
    }

    /// The output is a terminal, or not.
    #[must_use]
    pub fn on_terminal(self, terminal: bool) -> Self {
        Self { terminal, ..self }
    }

    fn json(observation: &Observation, terminal: bool, out: &mut String) {
        let start = out.len();
        write_json(observation, out);
        if terminal {
            escape::tame_json(out, start);
        }
    }

    fn status(&mut self, observation: &Observation, status: &NodeStatus) -> io::Result<()> {
        let trouble = matches!(status.state, NodeState::Unavailable | NodeState::Error);
        // Only trouble is news; the client keeps the rest for its debug log.
        if self.options.format != Format::Json && !self.options.debug && !trouble {
            return Ok(());
        }
        let mut line = String::new();
        let shown = Shown(status, self.options);
        match self.options.format {
            Format::Json => Self::json(observation, self.terminal, &mut line),
            Format::Dict => layout::dict_status(&shown, self.records, &mut line),
            _ => {
                layout::compact_status(&shown, &mut line);
                if status.state == NodeState::Unavailable && !status.message.is_empty() {
                    line.extend([" (", &escape(&status.message), ")"]);
                }
                line.push('\n');
            }
        }
        self.err.write_all(line.as_bytes())
    }

    /// Writes the lines that wait.
    fn pass_on(&mut self) -> io::Result<()> {
        let written = self.out.write_all(self.lines.as_bytes());
        self.lines.clear();
        written
    }
}

impl<W: io::Write, E: io::Write> Sink for Printer<W, E> {
    fn write(&mut self, observation: &Observation) -> io::Result<()> {
        if let Observation::Status(status) = observation {
            return self.status(observation, status);
        }
        let (options, out) = (self.options, &mut self.lines);
        let node = options.print_node_name;
        match (options.format, observation, &mut self.table) {
            (_, Observation::Flow(flow), Some(table)) => table.flow(&Shown(flow, options), ""),
            (_, Observation::Lost(lost), Some(table)) => table.lost(&Shown(lost, options)),
            (Format::Json, ..) => Self::json(observation, self.terminal, out),
            (Format::Dict, Observation::Flow(flow), _) => {
                layout::dict(&Shown(flow, options), node, self.records, out);
            }
            (Format::Dict, Observation::Lost(lost), _) => {
                layout::dict_lost(&Shown(lost, options), node, self.records, out);
            }
            (_, Observation::Flow(flow), _) => layout::compact(&Shown(flow, options), node, out),
            (_, Observation::Lost(lost), _) => layout::compact_lost(&Shown(lost, options), out),
            (_, Observation::Status(_), _) => {}
        }
        self.records += 1;
        if self.lines.len() < FULL { Ok(()) } else { self.pass_on() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(table) = &mut self.table {
            table.finish(&mut self.lines);
        }
        self.flush()
    }
}

#[cfg(test)]
mod tests;
