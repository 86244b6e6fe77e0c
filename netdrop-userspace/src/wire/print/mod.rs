//! Hubble's output formats for Hubble's messages, byte for byte as its client 1.19 prints them.

mod agent;
mod columns;
mod debug;
mod events;
mod goish;
mod line;
mod shown;
mod stack;
mod wide;

use std::io;

use prost_types::Timestamp;

use super::json;
use crate::proto::flow as wire;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::relay::{NodeState, NodeStatusEvent};
use crate::sink::{Format, PrintOptions, escape, layout};
use columns::Text;
use shown::Shown;

pub use events::{Event, EventPrinter};
pub(crate) use line::append;

/// What wire messages need beyond [`PrintOptions`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Format, times, colours.
    pub print: PrintOptions,
    /// Name the policies that allowed or denied.
    pub policy_names: bool,
    /// Show call stacks.
    pub stack: bool,
    /// Print the bare flow as JSON (`HUBBLE_COMPAT=legacy-json-output`).
    pub legacy_json: bool,
    /// Print nothing about nodes.
    pub silent: bool,
    /// The output is a terminal: nothing that drives one passes, not even what Hubble's client lets through.
    pub terminal: bool,
}

impl Options {
    fn text(self) -> Text {
        Text { color: self.print.color, terminal: self.terminal }
    }
}

/// Why a message was not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The output takes no more.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The message has no JSON.
    #[error("json: error calling MarshalJSON for type *{0}: proto: {1}")]
    Json(&'static str, json::JsonError),
    /// A server sent a message without what it is for.
    #[error("not {0}")]
    NotAnEvent(&'static str),
}

/// So many bytes of lines are written at once, if nobody flushes before.
const FULL: usize = 64 * 1024;

/// One of the printers: flows and losses to `out`, the state of nodes to `err`.
pub struct Printer<W, E> {
    options: Options,
    out: W,
    err: E,
    /// Lines that wait to be written together.
    lines: String,
    table: Option<layout::Table>,
    records: u64,
    flows: u64,
    /// Of these, those that had a call stack.
    stacks: u64,
}

impl<W: io::Write, E: io::Write> Printer<W, E> {
    /// Prints to `out`, and nodes' troubles to `err`.
    pub fn new(options: Options, out: W, err: E) -> Self {
        let tabular = options.print.format == Format::Table;
        let own = options.stack.then_some("STACK");
        let table = tabular.then(|| layout::Table::new(options.print.print_node_name, own));
        // Columns have no colours.
        let print = PrintOptions { color: options.print.color && !tabular, ..options.print };
        let options = Options { print, ..options };
        let lines = String::with_capacity(FULL + 4096);
        Self { options, out, err, lines, table, records: 0, flows: 0, stacks: 0 }
    }

    /// Writes one.
    pub fn write(&mut self, response: &GetFlowsResponse) -> Result<(), PrintError> {
        let Some(types) = &response.response_types else { return Ok(()) };
        let stack = match types {
            ResponseTypes::Flow(flow) if self.options.stack => stack::of(flow),
            _ => None,
        };
        self.flows += u64::from(matches!(types, ResponseTypes::Flow(_)));
        self.stacks += u64::from(stack.is_some());
        match types {
            ResponseTypes::NodeStatus(status) => return self.node_status(response, status),
            ResponseTypes::Flow(flow) => self.flow(response, flow, stack)?,
            ResponseTypes::LostEvents(lost) => self.lost(response, lost)?,
        }
        self.records += 1;
        if self.lines.len() < FULL { Ok(()) } else { Ok(self.pass_on()?) }
    }

    fn flow(
        &mut self,
        response: &GetFlowsResponse,
        flow: &wire::Flow,
        stack: Option<stack::Stack>,
    ) -> Result<(), PrintError> {
        if let Some(table) = &mut self.table {
            let mut cell = String::new();
            if let Some(stack) = &stack {
                stack.cell(&mut cell);
            }
            table.flow(&Shown { message: flow, response, options: self.options }, &cell);
            return Ok(());
        }
        append(response, flow, self.records, self.options, &mut self.lines)?;
        if let Some(stack) = stack.filter(|_| self.options.print.format != Format::Json) {
            self.stack(&stack);
        }
        Ok(())
    }

    fn lost(&mut self, response: &GetFlowsResponse, lost: &wire::LostEvent) -> Result<(), PrintError> {
        let (options, out) = (self.options, &mut self.lines);
        let (shown, node) = (Shown { message: lost, response, options }, options.print.print_node_name);
        match (options.print.format, &mut self.table) {
            (_, Some(table)) => table.lost(&shown),
            (Format::Json, _) if options.legacy_json => json_line(lost, options, out)?,
            (Format::Json, _) => json_line(response, options, out)?,
            (Format::Dict, _) => layout::dict_lost(&shown, node, self.records, out),
            _ => layout::compact_lost(&shown, out),
        }
        Ok(())
    }

    /// Behind a flow.
    fn stack(&mut self, stack: &stack::Stack) {
        let (begin, indent) = match self.options.print.format {
            Format::Dict => ("      STACK: ", "             "),
            _ => ("    ", "    "),
        };
        self.lines.push_str(begin);
        stack.lines(indent, &mut self.lines);
        self.lines.push('\n');
    }

    /// Whether stacks were to be shown of flows that had none.
    pub fn lacks_stacks(&self) -> bool {
        self.options.stack && self.stacks == 0 && self.flows > 0
    }

    fn node_status(
        &mut self,
        response: &GetFlowsResponse,
        status: &NodeStatusEvent,
    ) -> Result<(), PrintError> {
        let trouble = match status.state_change() {
            NodeState::NodeError | NodeState::NodeUnavailable => true,
            // Back again, as netdrop says of a node that was away; Hubble's servers have no message here.
            NodeState::NodeConnected => !status.message.is_empty(),
            _ => false,
        };
        if self.options.silent || !(trouble || self.options.print.debug) {
            return Ok(());
        }
        let mut line = String::new();
        let shown = Shown { message: status, response, options: self.options };
        match self.options.print.format {
            Format::Json if self.options.legacy_json => {}
            Format::Json => json_line(response, self.options, &mut line)?,
            Format::Dict => {
                layout::dict_status(&shown, self.records, &mut line);
                // Separators stay right where both streams end on one terminal.
                self.records = self.records.max(1);
            }
            _ => {
                layout::compact_status(&shown, &mut line);
                line.push('\n');
            }
        }
        Ok(self.err.write_all(line.as_bytes())?)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let written = self.out.write_all(self.lines.as_bytes());
        self.lines.clear();
        written
    }

    /// Brings what was written to its reader.
    pub fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.out.flush()
    }

    /// Writes what waits for the end (a table).
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(table) = &mut self.table {
            table.finish(&mut self.lines);
        }
        self.flush()
    }
}

/// A line of JSON; none after an error.
fn json_line<M: json::Message>(message: &M, options: Options, out: &mut String) -> Result<(), PrintError> {
    let start = out.len();
    if let Err(e) = one(message, out) {
        out.truncate(start);
        return Err(e);
    }
    if options.terminal {
        escape::tame_json(out, start);
    }
    out.push('\n');
    Ok(())
}

fn one<M: json::Message>(message: &M, out: &mut String) -> Result<(), PrintError> {
    json::write(message, out).map_err(|e| PrintError::Json(M::NAME, e))
}

/// Appends a time, or `N/A` for none and for what is none.
fn time(time: Option<&Timestamp>, options: Options, out: &mut String) {
    let valid = time.and_then(|t| {
        let nanos = u32::try_from(t.nanos).ok().filter(|n| *n < 1_000_000_000)?;
        (-62_135_596_800..=253_402_300_799).contains(&t.seconds).then_some((t.seconds, nanos))
    });
    match valid {
        Some((seconds, nanos)) => options.print.time_format.write_unix(seconds, nanos, out),
        None => out.push_str("N/A"),
    }
}

#[cfg(test)]
mod tests;
