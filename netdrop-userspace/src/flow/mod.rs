//! Plain domain types: what netdrop observes. No aya, no protobuf, no printing.

mod endpoint;
mod extension;
pub mod hubble;
mod lost;
mod nearest;
mod packet;
mod reason;
mod stack;
mod status;
mod summary;

use std::sync::Arc;

use jiff::Timestamp;

pub use endpoint::{Endpoint, EndpointInfo, Identity, ServiceName, Workload};
pub use extension::{Value, apply_extension, extension};
pub use lost::{LostEvents, LostSource};
pub use nearest::{event_type, nearest, shown_as};
pub use packet::{
    Arp, Ethernet, Fragment, IcmpMessage, Inner, Ip, L4, Packet, ParseProblem, TcpFlags, Vlan, write_address,
    write_mac,
};
pub use reason::{DropReason, DropSite};
pub use stack::Stack;
pub use status::{NodeState, NodeStatus};
pub(crate) use summary::{arp_text, icmp_type, inner_text};
pub use summary::{summary, write_summary};

/// One item of a stream of observations.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every item is a flow; a box each would be an allocation per record"
)]
pub enum Observation {
    /// A flow, or a packet of one.
    Flow(Flow),
    /// Observations that could not be kept, and how many.
    Lost(LostEvents),
    /// A node came, went or failed.
    Status(NodeStatus),
}

/// Hubble's `flow.Verdict`, same names and numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Verdict {
    /// Not stated.
    #[default]
    Unknown = 0,
    /// Passed on.
    Forwarded = 1,
    /// Died here.
    Dropped = 2,
    /// Failed.
    Error = 3,
    /// Would have been dropped, had policy been enforced.
    Audit = 4,
    /// Sent to a proxy.
    Redirected = 5,
    /// Seen by a socket trace.
    Traced = 6,
    /// Address translated.
    Translated = 7,
}

impl Verdict {
    /// All, in number order.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Forwarded,
        Self::Dropped,
        Self::Error,
        Self::Audit,
        Self::Redirected,
        Self::Traced,
        Self::Translated,
    ];

    /// The proto enum's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "VERDICT_UNKNOWN",
            Self::Forwarded => "FORWARDED",
            Self::Dropped => "DROPPED",
            Self::Error => "ERROR",
            Self::Audit => "AUDIT",
            Self::Redirected => "REDIRECTED",
            Self::Traced => "TRACED",
            Self::Translated => "TRANSLATED",
        }
    }
}

/// Hubble's `flow.TrafficDirection`, seen from the local endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum TrafficDirection {
    /// No local endpoint is known.
    #[default]
    Unknown = 0,
    /// To the local endpoint.
    Ingress = 1,
    /// From the local endpoint.
    Egress = 2,
}

/// Hubble's `CiliumEventType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventType {
    /// 1 drop, 3 capture, 4 trace, 5 policy verdict, 7 trace-sock, 129 l7.
    pub kind: i32,
    /// For a drop: a number of Hubble's drop reasons, never the kernel's.
    pub sub_type: i32,
}

/// Why one observation stands for several packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TallyKind {
    /// It does not: one packet, one observation.
    #[default]
    Packet,
    /// Packets of one flow, added up where they came faster than one observation each makes sense.
    Flow,
    /// Packets of more flows than could be kept apart: reason and namespace are all that they have in common.
    Rest,
}

impl TallyKind {
    /// As formats write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Flow => "flow",
            Self::Rest => "rest",
        }
    }
}

/// How many packets one observation stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Why.
    pub kind: TallyKind,
    /// Packets (skbs), at least 1.
    pub count: u64,
    /// Sum of their lengths.
    pub bytes: u64,
    /// Wall time of the first.
    pub first: Timestamp,
    /// Wall time of the last.
    pub last: Timestamp,
}

impl Tally {
    /// Hubble's `flow.Aggregate` (ingress, egress, unknown direction), of what stands for several; each holds 32 bits.
    pub fn aggregate(&self, direction: TrafficDirection) -> Option<[u32; 3]> {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        (self.kind != TallyKind::Packet).then_some(match direction {
            TrafficDirection::Ingress => [count, 0, 0],
            TrafficDirection::Egress => [0, count, 0],
            TrafficDirection::Unknown => [0, 0, count],
        })
    }
}

/// The beginning of a packet as an Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// From the MAC header on.
    pub bytes: Box<[u8]>,
    /// Bytes of the whole packet.
    pub length: u32,
    /// It had no MAC header when it died; zeroes stand for the addresses.
    pub without_mac: bool,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    /// Inode of `/proc/PID/ns/net`.
    pub inode: u32,
    /// A name a person gave it (`ip netns`), where known.
    pub name: Option<Arc<str>>,
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Index in its namespace.
    pub index: u32,
    /// Name, where known.
    pub name: Option<Arc<str>>,
}

/// The task that was running when the packet died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id in the root pid namespace.
    pub pid: u32,
    /// Thread id in the root pid namespace.
    pub tid: u32,
    /// Task name, at most 15 bytes; not escaped.
    pub comm: Arc<str>,
    /// Whether the packet was its own; false: a bystander that the softirq interrupted.
    pub owner: bool,
}

/// One observed flow event. Unknown is `None`, never zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Wall time; where it stands for several packets, when they were told: after the last, and after all that was told before.
    pub time: Timestamp,
    /// Kernel monotonic time, ns; absent for a flow from another machine.
    pub monotonic_ns: Option<u64>,
    /// Random, version 4.
    pub uuid: Option<uuid::Uuid>,
    /// What happened.
    pub verdict: Verdict,
    /// How many packets this stands for.
    pub tally: Tally,
    /// The kernel's reason, whole.
    pub reason: Option<DropReason>,
    /// Number of Hubble's `DropReason`; 0 where none means the same.
    pub drop_reason_desc: i32,
    /// Where the packet died.
    pub site: Option<DropSite>,
    /// Who called, where that was asked for; of a tally the first packet's.
    pub stack: Option<Arc<Stack>>,
    /// Normal operation in every case; not shown unless asked for.
    pub benign: bool,
    /// What a vague reason means at this place, where that is known.
    pub meaning: Option<Arc<str>>,
    /// Parsed headers.
    pub packet: Packet,
    /// The recorded bytes, where they were asked for.
    pub frame: Option<Box<Frame>>,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// DNS names of the source address.
    pub source_names: Vec<Arc<str>>,
    /// DNS names of the destination address.
    pub destination_names: Vec<Arc<str>>,
    /// Service whose ClusterIP the source address is.
    pub source_service: Option<Arc<ServiceName>>,
    /// Service whose ClusterIP the destination address is.
    pub destination_service: Option<Arc<ServiceName>>,
    /// Kubernetes node (or host) that saw it.
    pub node_name: Option<Arc<str>>,
    /// Hubble's event type.
    pub event_type: EventType,
    /// Seen from the local endpoint.
    pub direction: TrafficDirection,
    /// Direction in the connection; drops don't know it.
    pub is_reply: Option<bool>,
    /// Device the packet was on.
    pub interface: Option<Interface>,
    /// Index of the device the packet was received by.
    pub incoming_ifindex: Option<u32>,
    /// Where it died.
    pub netns: Option<Netns>,
    /// Who was running.
    pub process: Option<Process>,
    /// cgroup v2 id of the owning socket.
    pub cgroup_id: Option<u64>,
    /// `skb->mark`.
    pub mark: Option<u32>,
    /// Length in bytes of the (last) packet.
    pub length: Option<u32>,
    /// Text that another server wrote into `Summary`; `None`: [`summary`] makes it.
    pub remote_summary: Option<Box<str>>,
    /// What another server told of ARP, where the packet itself is not here.
    pub remote_arp: Option<Box<str>>,
    /// What another server told of the packet inside this one.
    pub remote_inner: Option<Box<str>>,
}

impl Flow {
    /// A flow of which only the time and the verdict are known.
    pub fn new(time: Timestamp, verdict: Verdict) -> Self {
        Self {
            time,
            monotonic_ns: None,
            uuid: None,
            verdict,
            tally: Tally { kind: TallyKind::Packet, count: 1, bytes: 0, first: time, last: time },
            reason: None,
            drop_reason_desc: 0,
            site: None,
            stack: None,
            benign: false,
            meaning: None,
            packet: Packet::default(),
            frame: None,
            source: Endpoint::default(),
            destination: Endpoint::default(),
            source_names: Vec::new(),
            destination_names: Vec::new(),
            source_service: None,
            destination_service: None,
            node_name: None,
            event_type: EventType::default(),
            direction: TrafficDirection::Unknown,
            is_reply: None,
            interface: None,
            incoming_ifindex: None,
            netns: None,
            process: None,
            cgroup_id: None,
            mark: None,
            length: None,
            remote_summary: None,
            remote_arp: None,
            remote_inner: None,
        }
    }
}
