//! What there is to say of nodes: told together where it happens together.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::wire::Wire;
use crate::convert::to_wire;
use crate::flow::{LostEvents, LostSource, NodeState, NodeStatus, Observation};

/// What comes within this time is told in one.
const TOGETHER: Duration = Duration::from_millis(100);

/// News that were not told yet.
#[derive(Debug)]
pub(super) struct News {
    reporter: Arc<str>,
    told: Vec<(NodeState, String, Vec<Arc<str>>)>,
    since: Option<Duration>,
}

impl News {
    /// In the name of this node.
    pub(super) fn new(reporter: Arc<str>) -> Self {
        Self { reporter, told: Vec::new(), since: None }
    }

    /// A node has changed its state.
    pub(super) fn add(&mut self, now: Duration, node: &Arc<str>, state: NodeState, message: String) {
        self.since.get_or_insert(now);
        match self.told.iter_mut().find(|(s, m, _)| *s == state && *m == message) {
            Some((.., nodes)) if nodes.contains(node) => {}
            Some((.., nodes)) => nodes.push(Arc::clone(node)),
            None => self.told.push((state, message, vec![Arc::clone(node)])),
        }
    }

    /// When to tell them.
    pub(super) fn due(&self) -> Option<Duration> {
        self.since.map(|since| since + TOGETHER)
    }

    /// All of them, as responses.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Wire> + use<> {
        self.since = None;
        let reporter = Arc::clone(&self.reporter);
        std::mem::take(&mut self.told).into_iter().map(move |(state, message, nodes)| {
            let reporter = Some(Arc::clone(&reporter));
            let status = NodeStatus { time: Timestamp::now(), reporter, state, nodes, message };
            Wire::of(&to_wire(&Observation::Status(status)))
        })
    }
}

/// Flows of a node that were asked for and are not told.
pub(super) fn lost(node: &Arc<str>, count: u64) -> Wire {
    let lost = LostEvents {
        source: LostSource::ObserverEventsQueue,
        count,
        cpu: None,
        time: Timestamp::now(),
        first: None,
        last: None,
        node_name: Some(Arc::clone(node)),
    };
    Wire::of(&to_wire(&Observation::Lost(lost)))
}
