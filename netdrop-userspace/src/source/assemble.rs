//! From a checked record to a flow with names.

use std::sync::Arc;

use jiff::Timestamp;
use netdrop_common::event::flag;

use super::interner::{Interner, Memo, kernel_name};
use super::stacks::Stacks;
use crate::clock::Clock;
use crate::decode::{self, DropEvent, FlowCount, RestCount};
use crate::enrich::Names;
use crate::explain::{self, kernels::Release};
use crate::flow::{
    DropReason, DropSite, Flow, Identity, Interface, Process, Tally, TallyKind, TrafficDirection, Verdict,
    event_type, hubble, nearest,
};
use crate::identity::Locals;
use crate::kernel::{KernelInfo, Reasons, Sites};
use crate::probe::ProbeSet;

/// All that turns records into flows. Bounded caches; a call may read files of `/proc` and its like, for a small share of the time.
pub(super) struct Assembler {
    pub(super) reasons: Arc<Reasons>,
    pub(super) names: Names,
    pub(super) node_name: Option<Arc<str>>,
    /// Keep the recorded bytes.
    keep_frames: bool,
    /// Of the running kernel; `None`: places are not judged.
    release: Option<Release>,
    clock: Clock,
    sites: Sites,
    /// Where stacks were asked for.
    stacks: Option<Stacks>,
    locals: Locals,
    strings: Interner,
    last: Last,
}

/// Whether a drop is benign, and what its place means.
type Judged = (bool, Option<Arc<str>>);

/// What the last record had, and what that is called.
#[derive(Default)]
struct Last {
    device: Memo<[u8; 16], Arc<str>>,
    comm: Memo<[u8; 16], Arc<str>>,
    reason: Memo<Option<u32>, (Option<DropReason>, i32)>,
    site: Memo<u64, DropSite>,
    judged: Memo<(u32, Option<u64>), Judged>,
}

impl Assembler {
    pub(super) fn new(
        kernel: &KernelInfo,
        names: Names,
        node_name: Option<Arc<str>>,
        keep_frames: bool,
        stack_depth: usize,
    ) -> Self {
        Self {
            reasons: Arc::clone(&kernel.reasons),
            locals: Locals::of_machine(names.clone()),
            names,
            node_name,
            keep_frames,
            release: Release::of_uname(&kernel.release),
            clock: Clock::new(),
            sites: Sites::default(),
            stacks: (stack_depth > 0).then(|| Stacks::new(stack_depth)),
            strings: Interner::default(),
            last: Last::default(),
        }
    }

    /// What to tell the user of hidden symbols; once.
    pub(super) fn take_advice(&mut self) -> Option<&'static str> {
        self.sites.take_advice()
    }

    /// Observations whose call stack was asked for and is not known.
    pub(super) fn without_stack(&self) -> u64 {
        self.stacks.as_ref().map_or(0, Stacks::without)
    }

    /// The flow of a record.
    pub(super) fn flow(&mut self, event: &DropEvent, probe: &mut ProbeSet) -> Flow {
        let record = event.record();
        let time = self.clock.wall(event.time_ns());
        let mut flow = Flow::new(time, Verdict::Dropped);
        flow.monotonic_ns = Some(event.time_ns());
        flow.uuid = Some(uuid::Uuid::new_v4());
        flow.tally = Tally { bytes: u64::from(record.skb_len), ..flow.tally };
        self.why(&mut flow, event, probe);
        flow.packet = decode::parse(event);
        if self.keep_frames {
            flow.frame = decode::frame(event).map(Box::new);
        }
        flow.length = Some(record.skb_len);
        flow.mark = (record.mark != 0).then_some(record.mark);
        flow.cgroup_id = event.cgroup_id();
        flow.netns = event.netns().map(|inode| self.locals.netns(inode));
        flow.interface = event.ifindex().map(|index| Interface {
            index,
            name: Some(
                self.last.device.get(record.dev_name, || self.strings.get(&kernel_name(&record.dev_name))),
            )
            .filter(|n| !n.is_empty()),
        });
        flow.incoming_ifindex = event.skb_iif();
        flow.process = Some(Process {
            pid: record.pid,
            tid: record.tid,
            comm: self.last.comm.get(record.comm, || self.strings.get(&kernel_name(&record.comm))),
            owner: event.has(flag::OWNER),
        });
        flow.node_name.clone_from(&self.node_name);
        flow.direction = direction(event, &flow);
        self.who(&mut flow, time);
        self.hosted(&mut flow, event);
        flow
    }

    /// Names the pod of the host's network that sent or was to receive: its address is the node's.
    fn hosted(&mut self, flow: &mut Flow, event: &DropEvent) {
        let (Some(ip), Some(netns)) = (flow.packet.ip, &flow.netns) else { return };
        let (end, address) = match flow.direction {
            TrafficDirection::Egress => (&mut flow.source, ip.source),
            TrafficDirection::Ingress => (&mut flow.destination, ip.destination),
            TrafficDirection::Unknown => return,
        };
        let is_pod = end.info.as_ref().is_some_and(|info| !info.pod_name.is_empty());
        if end.identity != Identity::HOST
            && !is_pod
            && let Some(own) = self.locals.own_end(netns.inode, address, flow.time)
        {
            *end = own;
        }
        if end.identity != Identity::HOST {
            return;
        }
        let owner = event.has(flag::OWNER).then(|| event.record().pid);
        if let Some(pod) = self.locals.hosted_pod(event.cgroup_id(), owner) {
            end.info = Some(pod);
        }
    }

    /// The flow that drops were added up to, told at `told`. Of what may differ between them only what the last or all have is told.
    pub(super) fn flow_count(&mut self, told: u64, of: &FlowCount, probe: &mut ProbeSet) -> Flow {
        let mut flow = self.flow(&of.event, probe);
        let (first, last) = (flow.time, self.clock.wall(of.last_ns));
        flow.tally = Tally { kind: TallyKind::Flow, count: of.count, bytes: of.bytes, first, last };
        self.at(&mut flow, told.max(of.last_ns));
        if of.count > 1 {
            flow.packet.inner = None;
            flow.length = None;
            // Bystanders come and go.
            flow.process = flow.process.filter(|p| p.owner);
        }
        flow
    }

    /// The place in time of what stands for several packets: where it is told, as no later one was told before.
    fn at(&mut self, flow: &mut Flow, ns: u64) {
        (flow.time, flow.monotonic_ns) = (self.clock.wall(ns), Some(ns));
    }

    /// The rest of a reason and namespace, told at `told`.
    pub(super) fn rest(&mut self, told: u64, of: &RestCount, have_reason: bool) -> Flow {
        let (first, last) = (self.clock.wall(of.first_ns), self.clock.wall(of.last_ns));
        let mut flow = Flow::new(last, Verdict::Dropped);
        self.at(&mut flow, told.max(of.last_ns));
        flow.uuid = Some(uuid::Uuid::new_v4());
        flow.tally = Tally { kind: TallyKind::Rest, count: of.count, bytes: of.bytes, first, last };
        self.reason(&mut flow, have_reason.then_some(of.reason));
        self.judge(&mut flow);
        flow.netns = of.netns.map(|inode| self.locals.netns(inode));
        flow.node_name.clone_from(&self.node_name);
        flow
    }

    fn reason(&mut self, flow: &mut Flow, code: Option<u32>) {
        (flow.reason, flow.drop_reason_desc) = self.last.reason.get(code, || {
            let reason = code.map(|code| self.reasons.name(code));
            let desc = reason.as_ref().map_or(0, |r| nearest(&r.name));
            (reason, desc)
        });
        flow.event_type = event_type(flow.drop_reason_desc);
        debug_assert_ne!(flow.event_type.sub_type, 0, "prints as Success; {} is free", hubble::UNMAPPED);
    }

    fn why(&mut self, flow: &mut Flow, event: &DropEvent, probe: &mut ProbeSet) {
        self.reason(flow, event.reason());
        let address = event.location();
        let Self { last, sites, stacks, .. } = self;
        let site = last.site.get(address, || name(sites, probe, address));
        if let Some(stacks) = stacks {
            flow.stack = stacks.name(event.stack(), &site, |address| name(sites, probe, address));
        }
        flow.site = Some(site);
        self.judge(flow);
    }

    /// Whether it is benign, and what it means.
    fn judge(&mut self, flow: &mut Flow) {
        let (Some(reason), Some(release)) = (&flow.reason, self.release) else { return };
        let site = flow.site.as_ref();
        let key = (reason.code, site.map(|s| s.address));
        (flow.benign, flow.meaning) = self.last.judged.get(key, || {
            let judged = explain::judge(&reason.name, site.and_then(|s| s.symbol.as_deref()), release);
            (judged.benign, judged.meaning.map(Arc::from))
        });
    }

    fn who(&self, flow: &mut Flow, at: Timestamp) {
        let Some(ip) = flow.packet.ip else {
            return;
        };
        let [source, destination] = self.names.ends([ip.source, ip.destination], at);
        (flow.source, flow.source_service) = source;
        (flow.destination, flow.destination_service) = destination;
    }
}

/// What an address is called: by the kernel's own text first, which is there for an agent that may not read kallsyms.
fn name(sites: &mut Sites, probe: &mut ProbeSet, address: u64) -> DropSite {
    if !sites.knows(address)
        && let Ok(text) = probe.symbol_text(address)
    {
        sites.learn(address, &text);
    }
    sites.name(address)
}

/// Seen from the endpoint whose namespace the packet died in. A router's namespace is nobody's end: unknown there.
fn direction(event: &DropEvent, flow: &Flow) -> TrafficDirection {
    if event.has(flag::SOCKET) && event.skb_iif().is_none() {
        return TrafficDirection::Egress;
    }
    match (event.local_addr(), flow.packet.ip) {
        (Some(local), Some(ip)) if ip.destination == local => TrafficDirection::Ingress,
        (Some(local), Some(ip)) if ip.source == local => TrafficDirection::Egress,
        _ => TrafficDirection::Unknown,
    }
}
