//! The state of nodes, as an item of the stream.

use std::sync::Arc;

use jiff::Timestamp;

/// Hubble's `relay.NodeState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum NodeState {
    /// Not stated.
    #[default]
    Unknown = 0,
    /// Flows come from it.
    Connected = 1,
    /// It can't be reached.
    Unavailable = 2,
    /// It has left the cluster.
    Gone = 3,
    /// It failed, see the message.
    Error = 4,
}

impl NodeState {
    /// The proto enum's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN_NODE_STATE",
            Self::Connected => "NODE_CONNECTED",
            Self::Unavailable => "NODE_UNAVAILABLE",
            Self::Gone => "NODE_GONE",
            Self::Error => "NODE_ERROR",
        }
    }
}

/// Nodes changed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// When.
    pub time: Timestamp,
    /// Who says so.
    pub reporter: Option<Arc<str>>,
    /// New state.
    pub state: NodeState,
    /// Which nodes.
    pub nodes: Vec<Arc<str>>,
    /// Free text; may be empty.
    pub message: String,
}
