//! What happened to an agent, and what its programs tell of themselves, in Hubble's formats.
//!
//! Behaviour of Hubble's client 1.19.4 (hubble/pkg/printer).

use std::io;

use prost_types::Timestamp;

use super::{FULL, Options, PrintError, agent, debug, one, time};
use crate::proto::observer::{GetAgentEventsResponse, GetDebugEventsResponse};
use crate::sink::Format;
use crate::sink::elastic::Elastic;
use crate::sink::escape;
use crate::wire::json::Message;

const SEPARATOR: &str = "------------";

/// A response that holds one event.
pub trait Event: Message {
    /// What it is called where it should be there and is not.
    const KIND: &'static str;
    /// Heads of the columns behind time and node.
    #[doc(hidden)]
    const COLUMNS: &'static str;
    /// Time, and name of the node.
    fn envelope(&self) -> (Option<&Timestamp>, &str);
    /// Whether there is an event in it.
    fn is_there(&self) -> bool;
    /// The bare event as JSON.
    fn bare(&self, out: &mut String) -> Result<(), PrintError>;
    /// What `compact` has behind `TIME: `.
    fn compact(&self, options: Options, out: &mut String);
    /// Key and value of each line that `dict` has behind time and node.
    fn dict(&self, options: Options) -> Vec<(&'static str, String)>;
    /// What `table` has behind time and node.
    fn row(&self, options: Options, out: &mut String);
}

impl Event for GetAgentEventsResponse {
    const KIND: &'static str = "an agent event";
    const COLUMNS: &'static str = "TYPE\tDETAILS\n";

    fn envelope(&self) -> (Option<&Timestamp>, &str) {
        (self.time.as_ref(), &self.node_name)
    }

    fn is_there(&self) -> bool {
        self.agent_event.is_some()
    }

    fn bare(&self, out: &mut String) -> Result<(), PrintError> {
        self.agent_event.as_ref().map_or(Ok(()), |event| one(event, out))
    }

    fn compact(&self, options: Options, out: &mut String) {
        let [kind, details] = agent::columns(self, options);
        out.extend([&kind, " (", &details, ")"]);
    }

    fn dict(&self, options: Options) -> Vec<(&'static str, String)> {
        let [kind, details] = agent::columns(self, options);
        vec![("       TYPE: ", kind), ("    DETAILS: ", details)]
    }

    fn row(&self, options: Options, out: &mut String) {
        let [kind, details] = agent::columns(self, options);
        out.extend([&kind, "\t", &details]);
    }
}

impl Event for GetDebugEventsResponse {
    const KIND: &'static str = "a debug event";
    const COLUMNS: &'static str = "FROM\t\tTYPE\tCPU/MARK\tMESSAGE\n";

    fn envelope(&self) -> (Option<&Timestamp>, &str) {
        (self.time.as_ref(), &self.node_name)
    }

    fn is_there(&self) -> bool {
        self.debug_event.is_some()
    }

    fn bare(&self, out: &mut String) -> Result<(), PrintError> {
        self.debug_event.as_ref().map_or(Ok(()), |event| one(event, out))
    }

    fn compact(&self, options: Options, out: &mut String) {
        let debug::Columns { from, kind, mark, cpu, message } = debug::columns(self, options);
        out.extend([&from, " ", &kind, " MARK: ", &mark, " CPU: ", &cpu, " (", &message, ")"]);
    }

    fn dict(&self, options: Options) -> Vec<(&'static str, String)> {
        let debug::Columns { from, kind, mark, cpu, message } = debug::columns(self, options);
        vec![
            ("       TYPE: ", kind),
            ("       FROM: ", from),
            ("       MARK: ", mark),
            ("        CPU: ", cpu),
            ("    MESSAGE: ", message),
        ]
    }

    fn row(&self, options: Options, out: &mut String) {
        let debug::Columns { from, kind, mark, cpu, message } = debug::columns(self, options);
        out.extend([&from, "\t\t", &kind, "\t", &cpu, " ", &mark, "\t", &message]);
    }
}

/// Prints events of one kind to `out`.
pub struct EventPrinter<W> {
    options: Options,
    out: W,
    /// Lines that wait to be written together.
    lines: String,
    table: Elastic,
    records: u64,
}

impl<W: io::Write> EventPrinter<W> {
    /// Nothing is printed yet.
    pub fn new(options: Options, out: W) -> Self {
        Self { options, out, lines: String::new(), table: Elastic::new(2, 3), records: 0 }
    }

    /// Writes one.
    pub fn write<E: Event>(&mut self, event: &E) -> Result<(), PrintError> {
        if !event.is_there() {
            return Err(PrintError::NotAnEvent(E::KIND));
        }
        let start = self.lines.len();
        match self.options.print.format {
            Format::Json => {
                let legacy = self.options.legacy_json;
                let written = if legacy { event.bare(&mut self.lines) } else { one(event, &mut self.lines) };
                if let Err(e) = written {
                    self.lines.truncate(start);
                    return Err(e);
                }
                if self.options.terminal {
                    escape::tame_json(&mut self.lines, start);
                }
                self.lines.push('\n');
            }
            Format::Dict => self.dict(event),
            Format::Table => self.row(event),
            _ => self.compact(event),
        }
        self.records += 1;
        if self.lines.len() < FULL { Ok(()) } else { Ok(self.pass_on()?) }
    }

    fn compact(&mut self, event: &impl Event) {
        let (options, out) = (self.options, &mut self.lines);
        let (at, node) = event.envelope();
        time(at, options, out);
        if options.print.print_node_name {
            out.push_str(" [");
            options.text().push(node, out);
            out.push(']');
        }
        out.push_str(": ");
        event.compact(options, out);
        out.push('\n');
    }

    fn dict(&mut self, event: &impl Event) {
        let (options, out) = (self.options, &mut self.lines);
        if self.records != 0 {
            // The client begins no new line here, other than between flows.
            out.push_str(SEPARATOR);
        }
        let (at, node) = event.envelope();
        out.push_str("  TIMESTAMP: ");
        time(at, options, out);
        if options.print.print_node_name {
            out.push_str("\n       NODE: ");
            options.text().push(node, out);
        }
        out.push('\n');
        for (key, value) in event.dict(options) {
            out.extend([key, &value, "\n"]);
        }
    }

    fn row<E: Event>(&mut self, event: &E) {
        let options = self.options;
        let names = options.print.print_node_name;
        let mut line = String::new();
        if self.records == 0 {
            line.extend(["TIMESTAMP\t", if names { "NODE\t" } else { "" }, E::COLUMNS]);
        }
        let (at, node) = event.envelope();
        time(at, options, &mut line);
        line.push('\t');
        if names {
            options.text().push(node, &mut line);
            line.push('\t');
        }
        event.row(options, &mut line);
        line.push('\n');
        self.table.write(&line);
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
        self.table.finish(&mut self.lines);
        self.flush()
    }
}
