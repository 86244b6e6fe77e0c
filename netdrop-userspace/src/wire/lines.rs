//! Flows that are printed where they are read: lines of text, of which no more is left to do than to count and to write them.

mod show;

use super::json::{Tree, is_exact, read_some};
use super::look;
use super::matches;
use super::print::{Options, append};
use super::window::{Times, Window};
use crate::filter::Compiled;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::sink::Format;
use crate::source::file::Maker;

pub(crate) use show::Show;

/// Lines of flows, and between them what is for the printer itself: other messages, and what can't be printed.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: String,
    /// Where each of them ends in the text, in the order of the file; where the one before it ends: it is none of lines.
    ends: Vec<usize>,
    /// What is not in the text, by its place among all.
    others: Vec<(usize, GetFlowsResponse)>,
}

impl Lines {
    fn copy(&mut self, line: &str) {
        self.text.reserve(line.len() + 1);
        self.text.push_str(line);
        self.text.push('\n');
        self.ends.push(self.text.len());
    }

    fn other(&mut self, response: GetFlowsResponse) {
        self.others.push((self.ends.len(), response));
        self.ends.push(self.text.len());
    }
}

/// Makes lines of what passes a filter and lies between two times.
#[derive(Debug)]
pub(crate) struct LineMaker {
    filter: Compiled,
    times: Times,
    options: Options,
    /// What is looked at; `None`: all of it.
    wanted: Option<Tree>,
    /// A line that is as it would be written is the line to write.
    copies: bool,
    /// Nothing is asked of a flow.
    all: bool,
}

impl LineMaker {
    pub(crate) fn new(filter: &Compiled, window: &Window, options: Options) -> Self {
        let (times, ..) = window.parts();
        Self {
            filter: filter.clone(),
            times,
            options,
            // As JSON it is copied, or read once more.
            wanted: if options.print.format == Format::Json {
                look::to_filter(filter)
            } else {
                look::to_show(filter, &options)
            },
            // On a terminal some of it would be escaped.
            copies: options.print.format == Format::Json && !options.legacy_json && !options.terminal,
            all: filter.is_empty() && times.are_all(),
        }
    }

    fn passes(&self, response: &GetFlowsResponse) -> bool {
        self.all || (self.times.cover(response) && matches(&self.filter, response))
    }

    /// Prints a flow; `false`: that is for the printer.
    fn print(&self, response: &GetFlowsResponse, made: &mut Lines) -> bool {
        let Some(ResponseTypes::Flow(flow)) = &response.response_types else { return false };
        // As if it were not the first one.
        let printed = append(response, flow, 1, self.options, &mut made.text).is_ok();
        if printed {
            made.ends.push(made.text.len());
        }
        printed
    }
}

impl Maker for LineMaker {
    type Made = Lines;

    fn quickly(&self, line: &str, made: &mut Lines) -> bool {
        let is_copy = || line.starts_with(r#"{"flow":"#) && is_exact::<GetFlowsResponse>(line);
        if self.all && self.copies {
            let copy = is_copy();
            if copy {
                made.copy(line);
            }
            return copy;
        }
        let Some(wanted) = &self.wanted else { return false };
        let Some(response) = read_some(line, wanted) else { return false };
        if !self.passes(&response) {
            return true;
        }
        if self.options.print.format != Format::Json {
            if !self.print(&response, made) {
                made.other(response);
            }
            return true;
        }
        let copy = self.copies && is_copy();
        if copy {
            made.copy(line);
        }
        copy
    }

    fn message(&self, response: GetFlowsResponse, made: &mut Lines) {
        if self.passes(&response) && !self.print(&response, made) {
            made.other(response);
        }
    }
}

#[cfg(test)]
mod tests;
