//! `table`: aligned columns, printed at the end.
//!
//! tabwriter is Go's text/tabwriter in Rust: same minimum width and padding, so the same bytes.

use std::io::{self, Write};

use tabwriter::TabWriter;

use super::columns::{self, put};
use super::{Painter, PrintOptions, escape};
use crate::flow::Observation;

pub(super) struct Table<W: Write> {
    out: TabWriter<W>,
    options: PrintOptions,
    line: String,
    started: bool,
}

impl<W: Write> Table<W> {
    pub(super) fn new(out: W, options: PrintOptions) -> Self {
        let out = TabWriter::new(out).minwidth(2).padding(3);
        Self { out, options: PrintOptions { color: false, ..options }, line: String::new(), started: false }
    }

    pub(super) fn write(&mut self, observation: &Observation) -> io::Result<()> {
        self.line.clear();
        if !self.started {
            self.started = true;
            let node = if self.options.print_node_name { "NODE\t" } else { "" };
            put(
                &mut self.line,
                format_args!("TIMESTAMP\t{node}SOURCE\tDESTINATION\tTYPE\tVERDICT\tSUMMARY\n"),
            );
        }
        self.row(observation);
        self.out.write_all(self.line.as_bytes())
    }

    fn row(&mut self, observation: &Observation) {
        let (options, out) = (self.options, &mut self.line);
        match observation {
            Observation::Flow(flow) => {
                options.time_format.write(flow.time, out);
                out.push('\t');
                node(flow.node_name.as_deref(), options, out);
                columns::source(flow, options, out);
                out.push('\t');
                columns::destination(flow, options, out);
                out.push('\t');
                columns::kind(flow, out);
                out.push('\t');
                columns::verdict(flow, Painter(false), out);
                out.push('\t');
                columns::summary(flow, out);
            }
            Observation::Lost(lost) => {
                options.time_format.write(lost.time, out);
                out.push('\t');
                node(lost.node_name.as_deref(), options, out);
                put(out, format_args!("{}\t-\tEVENTS LOST\t-\t", lost.source.name()));
                columns::lost(lost, options, out);
            }
            Observation::Status(_) => return,
        }
        out.push('\n');
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn node(name: Option<&str>, options: PrintOptions, out: &mut String) {
    if options.print_node_name {
        put(out, format_args!("{}\t", escape(name.unwrap_or(""))));
    }
}
