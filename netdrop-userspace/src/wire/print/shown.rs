//! A message as what the formats lay out.

use super::{Options, columns, time};
use crate::flow::NodeState;
use crate::go::quote;
use crate::proto::flow as wire;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::relay::{self, NodeStatusEvent};
use crate::sink::layout::{FlowColumns, LostColumns, StatusColumns, join_with_cut};
use crate::wire::json::{FLOW_LOST_EVENT_SOURCE, RELAY_NODE_STATE};

/// A message, what it is in, and how to print it.
pub(super) struct Shown<'a, T> {
    pub(super) message: &'a T,
    pub(super) response: &'a GetFlowsResponse,
    pub(super) options: Options,
}

impl FlowColumns for Shown<'_, wire::Flow> {
    fn time(&self, out: &mut String) {
        time(self.message.time.as_ref(), self.options, out);
    }

    fn node(&self, out: &mut String) {
        self.options.text().push(&self.message.node_name, out);
    }

    fn source(&self, out: &mut String) {
        columns::source(self.message, self.options, out);
    }

    fn source_identity(&self, out: &mut String) {
        columns::identity(self.message.source.as_ref(), self.options, out);
    }

    fn destination(&self, out: &mut String) {
        columns::destination(self.message, self.options, out);
    }

    fn destination_identity(&self, out: &mut String) {
        columns::identity(self.message.destination.as_ref(), self.options, out);
    }

    fn is_reply(&self) -> Option<bool> {
        self.message.is_reply
    }

    fn kind(&self, out: &mut String) {
        columns::kind(self.message, self.options, out);
    }

    fn verdict(&self, out: &mut String) {
        columns::verdict(self.message, self.options, out);
    }

    fn summary(&self, out: &mut String) {
        columns::summary(self.message, self.options, out);
    }
}

impl LostColumns for Shown<'_, wire::LostEvent> {
    fn time(&self, out: &mut String) {
        time(self.response.time.as_ref(), self.options, out);
    }

    fn node(&self, out: &mut String) {
        let name = self.response.node_name.as_str();
        self.options.text().push(if name.is_empty() { "-" } else { name }, out);
    }

    fn source(&self, out: &mut String) {
        FLOW_LOST_EVENT_SOURCE.push(self.message.source, out);
    }

    fn cpu(&self) -> i32 {
        self.message.cpu.unwrap_or(0)
    }

    fn count(&self) -> u64 {
        self.message.num_events_lost
    }

    fn span(&self, out: &mut String) {
        if self.message.first.is_some() && self.message.last.is_some() {
            out.push_str(" (first: ");
            time(self.message.first.as_ref(), self.options, out);
            out.push_str(", last: ");
            time(self.message.last.as_ref(), self.options, out);
            out.push(')');
        }
    }
}

impl StatusColumns for Shown<'_, NodeStatusEvent> {
    fn time(&self, out: &mut String) {
        time(self.response.time.as_ref(), self.options, out);
    }

    fn reporter(&self, out: &mut String) {
        self.options.text().push(&self.response.node_name, out);
    }

    fn state(&self) -> NodeState {
        match relay::NodeState::try_from(self.message.state_change) {
            Ok(relay::NodeState::NodeConnected) => NodeState::Connected,
            Ok(relay::NodeState::NodeUnavailable) => NodeState::Unavailable,
            Ok(relay::NodeState::NodeGone) => NodeState::Gone,
            Ok(relay::NodeState::NodeError) => NodeState::Error,
            _ => NodeState::Unknown,
        }
    }

    fn name(&self, out: &mut String) {
        RELAY_NODE_STATE.push(self.message.state_change, out);
    }

    fn unknown(&self, out: &mut String) {
        self.name(out);
    }

    fn count(&self) -> usize {
        self.message.node_names.len()
    }

    fn nodes(&self, out: &mut String) {
        join_with_cut(&self.message.node_names, |name| self.options.text().push(name, out));
    }

    fn has_message(&self) -> bool {
        !self.message.message.is_empty()
    }

    fn message(&self, out: &mut String) {
        self.options.text().push(&quote(&self.message.message), out);
    }
}
