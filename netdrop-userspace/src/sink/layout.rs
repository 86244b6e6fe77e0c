//! How the text formats are laid out, whether what is printed is netdrop's own or a message of Hubble's: lines of `compact`, records of
//! `dict`, rows of `table`.

use super::elastic::Elastic;
use super::text::push_number;
use crate::flow::NodeState;

/// What the formats print of a flow.
pub(crate) trait FlowColumns {
    fn time(&self, out: &mut String);
    fn node(&self, out: &mut String);
    fn source(&self, out: &mut String);
    fn source_identity(&self, out: &mut String);
    fn destination(&self, out: &mut String);
    fn destination_identity(&self, out: &mut String);
    fn is_reply(&self) -> Option<bool>;
    fn kind(&self, out: &mut String);
    fn verdict(&self, out: &mut String);
    fn summary(&self, out: &mut String);
}

/// What they print of lost events.
pub(crate) trait LostColumns {
    fn time(&self, out: &mut String);
    fn node(&self, out: &mut String);
    /// Who lost them.
    fn source(&self, out: &mut String);
    fn cpu(&self) -> i32;
    fn count(&self) -> u64;
    /// The first and the last time, where both are known.
    fn span(&self, out: &mut String);
}

/// What they print of the state of nodes.
pub(crate) trait StatusColumns {
    fn time(&self, out: &mut String);
    fn reporter(&self, out: &mut String);
    fn state(&self) -> NodeState;
    /// The state's name, as `dict` has it.
    fn name(&self, out: &mut String);
    /// What stands for a state that is none of those known.
    fn unknown(&self, out: &mut String);
    /// How many nodes.
    fn count(&self) -> usize;
    fn nodes(&self, out: &mut String);
    fn has_message(&self) -> bool;
    /// In quotes.
    fn message(&self, out: &mut String);
}

/// A line of `compact`; `node`: with its name.
pub(crate) fn compact(flow: &impl FlowColumns, node: bool, out: &mut String) {
    flow.time(out);
    if node {
        out.push_str(" [");
        flow.node(out);
        out.push(']');
    }
    out.push_str(": ");
    let left = |out: &mut String| {
        flow.source(out);
        out.push(' ');
        flow.source_identity(out);
    };
    let right = |out: &mut String| {
        flow.destination(out);
        out.push(' ');
        flow.destination_identity(out);
    };
    match flow.is_reply() {
        Some(true) => {
            right(out);
            out.push_str(" <- ");
            left(out);
        }
        reply => {
            left(out);
            out.push_str(if reply.is_none() { " <> " } else { " -> " });
            right(out);
        }
    }
    out.push(' ');
    flow.kind(out);
    out.push(' ');
    flow.verdict(out);
    out.push_str(" (");
    flow.summary(out);
    out.push_str(")\n");
}

/// The same for lost events, whose node it does not name.
pub(crate) fn compact_lost(lost: &impl LostColumns, out: &mut String) {
    lost.time(out);
    out.push_str(" EVENTS LOST: ");
    lost.source(out);
    out.push(' ');
    lost_events(lost, " ", out);
    out.push('\n');
}

/// `CPU(3)`, a joint and how many, and when.
fn lost_events(lost: &impl LostColumns, joint: &str, out: &mut String) {
    out.push_str("CPU(");
    push_number(lost.cpu(), out);
    out.push(')');
    out.push_str(joint);
    push_number(lost.count(), out);
    lost.span(out);
}

/// The same for the state of nodes.
pub(crate) fn compact_status(status: &impl StatusColumns, out: &mut String) {
    status.time(out);
    out.push_str(" [");
    status.reporter(out);
    out.push_str("]: ");
    let count = |out: &mut String| push_number(status.count(), out);
    match status.state() {
        NodeState::Connected => {
            out.push_str("Receiving flows from ");
            count(out);
            out.push_str(" nodes: ");
        }
        NodeState::Unavailable => {
            count(out);
            out.push_str(" nodes are unavailable: ");
        }
        NodeState::Gone => {
            count(out);
            out.push_str(" nodes removed from cluster: ");
        }
        NodeState::Error => {
            out.push_str("Error ");
            status.message(out);
            out.push_str(" on ");
            count(out);
            out.push_str(" nodes: ");
        }
        NodeState::Unknown => {
            out.push_str("unknown node status event ");
            status.unknown(out);
            out.push_str(": ");
        }
    }
    status.nodes(out);
}

/// What stands between two records of `dict`.
pub(crate) const SEPARATOR: &str = "------------\n";

/// What stands before a record of `dict`, if `records` were written before.
fn begin(records: u64, out: &mut String) {
    if records != 0 {
        out.push_str(SEPARATOR);
    }
    out.push_str("  TIMESTAMP: ");
}

/// A record of `dict`.
pub(crate) fn dict(flow: &impl FlowColumns, node: bool, records: u64, out: &mut String) {
    begin(records, out);
    flow.time(out);
    if node {
        out.push_str("\n       NODE: ");
        flow.node(out);
    }
    out.push_str("\n     SOURCE: ");
    flow.source(out);
    out.push_str("\nDESTINATION: ");
    flow.destination(out);
    out.push_str("\n       TYPE: ");
    flow.kind(out);
    out.push_str("\n    VERDICT: ");
    flow.verdict(out);
    out.push_str("\n    SUMMARY: ");
    flow.summary(out);
    out.push('\n');
}

/// The same for lost events.
pub(crate) fn dict_lost(lost: &impl LostColumns, node: bool, records: u64, out: &mut String) {
    begin(records, out);
    lost.time(out);
    if node {
        out.push_str("\n       NODE: ");
        lost.node(out);
    }
    out.push_str("\n     SOURCE: ");
    lost.source(out);
    out.push_str("\n       TYPE: EVENTS LOST\n    VERDICT: -\n    SUMMARY: ");
    lost_events(lost, " - ", out);
    out.push('\n');
}

/// The same for the state of nodes.
pub(crate) fn dict_status(status: &impl StatusColumns, records: u64, out: &mut String) {
    begin(records, out);
    status.time(out);
    out.push_str("\n      STATE: ");
    status.name(out);
    out.push_str("\n      NODES: ");
    status.nodes(out);
    out.push_str("\n    MESSAGE: ");
    if status.has_message() {
        status.message(out);
    } else {
        out.push_str("N/A");
    }
    out.push('\n');
}

/// Rows of `table`, which wait for the widths of their columns.
pub(crate) struct Table {
    cells: Elastic,
    line: String,
    node: bool,
    /// Head of a last column.
    own: Option<&'static str>,
    started: bool,
}

impl Table {
    /// `node`: with a column for its name; `own`: with a last column that Hubble does not have.
    pub(crate) fn new(node: bool, own: Option<&'static str>) -> Self {
        Self { cells: Elastic::new(2, 3), line: String::new(), node, own, started: false }
    }

    fn begin(&mut self) {
        self.line.clear();
        if !self.started {
            self.started = true;
            let node = if self.node { "NODE\t" } else { "" };
            self.line.extend(["TIMESTAMP\t", node, "SOURCE\tDESTINATION\tTYPE\tVERDICT\tSUMMARY"]);
            if let Some(own) = self.own {
                self.line.extend(["\t", own]);
            }
            self.line.push('\n');
        }
    }

    /// Ends a row, with what is in the last column if there is one.
    fn end(&mut self, own: &str) {
        if self.own.is_some() {
            self.line.extend(["\t", if own.is_empty() { "-" } else { own }]);
        }
        self.line.push('\n');
        self.cells.write(&self.line);
    }

    /// Adds a flow, and what is in the last column. Columns have no colours.
    pub(crate) fn flow(&mut self, flow: &impl FlowColumns, own: &str) {
        self.begin();
        let out = &mut self.line;
        flow.time(out);
        out.push('\t');
        if self.node {
            flow.node(out);
            out.push('\t');
        }
        flow.source(out);
        out.push('\t');
        flow.destination(out);
        out.push('\t');
        flow.kind(out);
        out.push('\t');
        flow.verdict(out);
        out.push('\t');
        flow.summary(out);
        self.end(own);
    }

    /// Adds lost events.
    pub(crate) fn lost(&mut self, lost: &impl LostColumns) {
        self.begin();
        let out = &mut self.line;
        lost.time(out);
        out.push('\t');
        if self.node {
            lost.node(out);
            out.push('\t');
        }
        lost.source(out);
        out.push_str("\t-\tEVENTS LOST\t-\t");
        lost_events(lost, " - ", out);
        self.end("");
    }

    /// Appends everything.
    pub(crate) fn finish(&mut self, out: &mut String) {
        self.cells.finish(out);
    }
}

/// Gives as many names as go into 50 bytes, at least one, and how many more there are.
pub(crate) fn join_with_cut<S: AsRef<str>>(names: &[S], mut push: impl FnMut(&str)) {
    let mut length = 0;
    for (i, name) in names.iter().enumerate() {
        length += name.as_ref().len() + 2;
        if length > 50 && i > 0 {
            push(&format!(" (and {} more)", names.len() - i));
            return;
        }
        if i > 0 {
            push(", ");
        }
        push(name.as_ref());
    }
}
