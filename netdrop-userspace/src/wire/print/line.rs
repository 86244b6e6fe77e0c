//! One flow's line by itself, for those who print on other threads than the one that writes.

use std::io;

use super::shown::Shown;
use super::{Options, PrintError, Printer, json_line, wide};
use crate::proto::flow as wire;
use crate::proto::observer::GetFlowsResponse;
use crate::sink::{Format, layout};

/// Appends a flow as all formats but tables have it; `records`: how many came before. Nothing after an error.
pub(crate) fn append(
    response: &GetFlowsResponse,
    flow: &wire::Flow,
    records: u64,
    options: Options,
    out: &mut String,
) -> Result<(), PrintError> {
    let (shown, node) = (Shown { message: flow, response, options }, options.print.print_node_name);
    match options.print.format {
        Format::Json if options.legacy_json => json_line(flow, options, out)?,
        Format::Json => json_line(response, options, out)?,
        Format::Dict => layout::dict(&shown, node, records, out),
        format => {
            layout::compact(&shown, node, out);
            if format == Format::Wide {
                wide::add(flow, out);
            }
        }
    }
    Ok(())
}

impl<W: io::Write, E: io::Write> Printer<W, E> {
    /// How [`append`] prints what can be handed to [`Printer::lines`]; `None`: what is shown of a flow takes more than the flow.
    pub(crate) fn by_lines(&self) -> Option<Options> {
        (self.table.is_none() && !self.options.stack).then_some(self.options)
    }

    /// What it was told.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Writes lines of so many flows. In `dict` each has its separator in front.
    pub(crate) fn lines(&mut self, mut text: &str, flows: u64) -> io::Result<()> {
        if self.options.print.format == Format::Dict && self.records == 0 {
            text = text.strip_prefix(layout::SEPARATOR).unwrap_or(text);
        }
        self.records += flows;
        self.flows += flows;
        self.pass_on()?;
        self.out.write_all(text.as_bytes())
    }
}
