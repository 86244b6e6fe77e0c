//! `table`: aligned columns, printed at the end.

use super::columns;
use super::elastic::Elastic;
use super::stack::Stack;
use super::{Options, time};
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::sink::PrintOptions;
use crate::wire::json::FLOW_LOST_EVENT_SOURCE;

pub(super) struct Table {
    options: Options,
    cells: Elastic,
    line: String,
    started: bool,
}

impl Table {
    /// Columns have no colours.
    pub(super) fn new(options: Options) -> Self {
        let options = Options { print: PrintOptions { color: false, ..options.print }, ..options };
        Self { options, cells: Elastic::new(2, 3), line: String::new(), started: false }
    }

    pub(super) fn write(
        &mut self,
        response: &GetFlowsResponse,
        types: &ResponseTypes,
        stack: Option<&Stack>,
    ) {
        self.line.clear();
        if !self.started {
            self.started = true;
            let node = if self.options.print.print_node_name { "NODE\t" } else { "" };
            let own = if self.options.stack { "\tSTACK" } else { "" };
            let line = ["TIMESTAMP\t", node, "SOURCE\tDESTINATION\tTYPE\tVERDICT\tSUMMARY", own, "\n"];
            self.line.extend(line);
        }
        self.row(response, types, stack);
        self.cells.write(&self.line);
    }

    fn row(&mut self, response: &GetFlowsResponse, types: &ResponseTypes, stack: Option<&Stack>) {
        let (options, out) = (self.options, &mut self.line);
        match types {
            ResponseTypes::Flow(flow) => {
                time(flow.time.as_ref(), options, out);
                out.push('\t');
                if options.print.print_node_name {
                    options.text().push(&flow.node_name, out);
                    out.push('\t');
                }
                columns::source(flow, options, out);
                out.push('\t');
                columns::destination(flow, options, out);
                out.push('\t');
                columns::kind(flow, options, out);
                out.push('\t');
                columns::verdict(flow, options, out);
                out.push('\t');
                columns::summary(flow, options, out);
            }
            ResponseTypes::LostEvents(lost) => {
                time(response.time.as_ref(), options, out);
                out.push('\t');
                if options.print.print_node_name {
                    columns::lost_node(&response.node_name, options, out);
                    out.push('\t');
                }
                FLOW_LOST_EVENT_SOURCE.push(lost.source, out);
                out.push_str("\t-\tEVENTS LOST\t-\t");
                columns::lost(lost, " - ", options, out);
            }
            ResponseTypes::NodeStatus(_) => return,
        }
        if options.stack {
            out.push('\t');
            match stack {
                Some(stack) => stack.cell(out),
                None => out.push('-'),
            }
        }
        out.push('\n');
    }

    pub(super) fn finish(&mut self, out: &mut String) {
        self.cells.finish(out);
    }
}
