//! Loss, as an item of the stream.

use jiff::Timestamp;

/// Hubble's `flow.LostEventSource`: where events were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum LostSource {
    /// Not stated.
    #[default]
    Unknown = 0,
    /// Between kernel and agent: the ring buffer was full.
    PerfEventRingBuffer = 1,
    /// In the agent: a queue was full.
    ObserverEventsQueue = 2,
    /// In the agent: a reader of the history was too slow.
    HubbleRingBuffer = 3,
}

impl LostSource {
    /// The proto enum's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN_LOST_EVENT_SOURCE",
            Self::PerfEventRingBuffer => "PERF_EVENT_RING_BUFFER",
            Self::ObserverEventsQueue => "OBSERVER_EVENTS_QUEUE",
            Self::HubbleRingBuffer => "HUBBLE_RING_BUFFER",
        }
    }
}

/// Events that could not be kept, exactly counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostEvents {
    /// Where.
    pub source: LostSource,
    /// How many.
    pub count: u64,
    /// On which CPU, where that is known.
    pub cpu: Option<i32>,
    /// When this was noticed.
    pub time: Timestamp,
    /// When the first was lost, where known.
    pub first: Option<Timestamp>,
    /// When the last was lost, where known.
    pub last: Option<Timestamp>,
    /// Node that lost them.
    pub node_name: Option<std::sync::Arc<str>>,
}

impl LostEvents {
    /// A rest ([`super::TallyKind::Rest`]) as lost to whoever asks more of it than it knows. Never silence.
    pub fn of_rest(flow: &super::Flow) -> Self {
        Self {
            source: LostSource::PerfEventRingBuffer,
            count: flow.tally.count,
            cpu: None,
            time: flow.time,
            first: Some(flow.tally.first),
            last: Some(flow.tally.last),
            node_name: flow.node_name.clone(),
        }
    }
}
