//! Live capture in this process.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::assemble::Assembler;
use super::{LiveTally, Source};
use crate::enrich::{Names, NodeScope, Placement};
use crate::flow::{Flow, LostEvents, LostSource, NodeStatus, Observation};
use crate::kernel::KernelInfo;
use crate::probe::{Batch, ProbeConfig, ProbeSet, Reader};

/// How often loss is looked for.
const LOSS_TICK: Duration = Duration::from_secs(1);

/// How to capture.
pub struct LiveConfig {
    /// Ring buffer and prefilter.
    pub probe: ProbeConfig,
    /// Where names come from.
    pub names: Names,
    /// This node's name.
    pub node_name: Option<Arc<str>>,
    /// Which drops are this node's, where several nodes share one kernel.
    pub scope: Option<NodeScope>,
    /// Keep the recorded bytes of packets.
    pub keep_frames: bool,
    /// News of where names come from.
    pub news: Option<mpsc::Receiver<NodeStatus>>,
}

/// The capture.
pub struct LiveSource {
    probe: ProbeSet,
    reader: Reader,
    assembler: Assembler,
    have_reason: bool,
    scope: Option<NodeScope>,
    elsewhere: u64,
    /// Reasons that the kernel side turns away as benign.
    hidden: Arc<[u32]>,
    reported_lost: u64,
    since: Timestamp,
    tick: Interval,
    news: Option<mpsc::Receiver<NodeStatus>>,
}

impl LiveSource {
    /// Loads, attaches and starts to read. Must be called within a tokio runtime.
    pub fn start(kernel: &KernelInfo, config: LiveConfig) -> anyhow::Result<Self> {
        let mut probe = ProbeSet::attach(kernel, &config.probe)?;
        let (ring, flows) = probe.take_buffers().context("the buffers were taken already")?;
        let reader = Reader::spawn(ring, flows).context("cannot start to read the ring buffer")?;
        let mut tick = interval_at(Instant::now() + LOSS_TICK, LOSS_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            probe,
            reader,
            assembler: Assembler::new(
                kernel,
                config.names,
                config.node_name,
                config.keep_frames,
                config.probe.stack_depth,
            ),
            have_reason: kernel.have_reason,
            scope: config.scope,
            elsewhere: 0,
            hidden: config.probe.hidden.clone().into(),
            reported_lost: 0,
            since: Timestamp::now(),
            tick,
            news: config.news,
        })
    }

    /// Exact counts so far.
    pub fn tally(&self) -> anyhow::Result<LiveTally> {
        Ok(LiveTally {
            reasons: Arc::clone(&self.assembler.reasons),
            totals: self.probe.totals()?,
            elsewhere: self.elsewhere,
            undecodable: self.reader.undecodable(),
            hidden: Arc::clone(&self.hidden),
        })
    }

    /// Observations whose call stack was asked for and is not known: the kernel had none, or no room for it.
    pub fn without_stack(&self) -> u64 {
        self.assembler.without_stack()
    }

    fn assemble(&mut self, read: Batch, batch: &mut Vec<Observation>) {
        match read {
            Batch::Records(records) => {
                for event in &records {
                    let flow = self.assembler.flow(event, &mut self.probe);
                    self.place(flow, event.local_addr(), batch);
                }
                self.reader.recycle(records);
            }
            Batch::Flows(told, counts) => {
                for count in &counts {
                    let flow = self.assembler.flow_count(told, count, &mut self.probe);
                    self.place(flow, count.event.local_addr(), batch);
                }
            }
            Batch::Rest(told, rests) => {
                for rest in &rests {
                    let flow = self.assembler.rest(told, rest, self.have_reason);
                    self.place(flow, None, batch);
                }
            }
        }
    }

    /// Leaves out what is known to be another node's.
    fn place(&mut self, flow: Flow, local: Option<Ipv4Addr>, batch: &mut Vec<Observation>) {
        let elsewhere = self.scope.as_mut().is_some_and(|s| s.place(&flow, local) == Placement::Other);
        if elsewhere {
            self.elsewhere += flow.tally.count;
        } else {
            batch.push(Observation::Flow(flow));
        }
    }

    /// Loss since the last look, as an item of the stream.
    fn look_for_loss(&mut self, batch: &mut Vec<Observation>) -> anyhow::Result<()> {
        let lost = self.tally()?.lost();
        let now = Timestamp::now();
        let new = lost.saturating_sub(self.reported_lost);
        if new > 0 {
            batch.push(Observation::Lost(LostEvents {
                source: LostSource::PerfEventRingBuffer,
                count: new,
                cpu: None,
                time: now,
                first: Some(self.since),
                last: Some(now),
                node_name: self.assembler.node_name.clone(),
            }));
            self.reported_lost = lost;
        }
        self.since = now;
        Ok(())
    }
}

/// The next news; never, where there is no source of them.
async fn receive(news: &mut Option<mpsc::Receiver<NodeStatus>>) -> Option<NodeStatus> {
    match news {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

impl Source for LiveSource {
    async fn next(&mut self, batch: &mut Vec<Observation>) -> anyhow::Result<bool> {
        let before = batch.len();
        while batch.len() == before {
            tokio::select! {
                biased;
                records = self.reader.next() => {
                    let Some(records) = records else {
                        self.look_for_loss(batch)?;
                        return Ok(batch.len() > before);
                    };
                    self.assemble(records, batch);
                }
                _ = self.tick.tick() => {
                    self.probe.flush_log();
                    self.look_for_loss(batch)?;
                    if let Some(advice) = self.assembler.take_advice() {
                        tracing::warn!("{advice}");
                    }
                }
                Some(status) = receive(&mut self.news) => batch.push(Observation::Status(status)),
            }
        }
        Ok(true)
    }

    fn tally(&self) -> anyhow::Result<Option<LiveTally>> {
        LiveSource::tally(self).map(Some)
    }

    fn stop(&mut self) -> anyhow::Result<bool> {
        self.probe.detach()?;
        self.reader.stop();
        Ok(true)
    }
}

/// Inode of this process's network namespace: on a node, the host's.
pub fn own_netns() -> Option<u32> {
    crate::identity::inode_of(std::path::Path::new("/proc/self/ns/net"))
}
