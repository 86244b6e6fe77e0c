//! A bounded flood of packets, each of which is dropped, and what it took to send them.
//!
//! A packet that goes out by a veth device is carried on by the sender, up to the peer's firewall, where it is freed: so the
//! kernel's work for it, and that of every tracer of drops, is CPU time of the sending thread or of its CPU's ksoftirqd. (That
//! holds without CONFIG_IRQ_TIME_ACCOUNTING, where an interrupt's time is the interrupted task's.)

mod packet;
mod socket;

use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, Timespec};

use crate::cpu::{self, Ksoftirqd};
pub use packet::{Kind, PORT, Packet, source};
pub use socket::Socket;

/// Packets handed to the kernel with one call, flat out.
const BATCH: u32 = 64;
/// At a given rate, no more calls than this in a second.
const CALLS_PER_SECOND: u32 = 10_000;
/// No flood goes on for longer, whatever was asked for.
const LIMIT: Duration = Duration::from_mins(1);

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which packets.
    pub kind: Kind,
    /// Different 5-tuples, sent in turn.
    pub flows: u32,
    /// Packets in all.
    pub count: u64,
    /// Packets in a second; `None`: as many as one CPU can.
    pub rate: Option<u32>,
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Packets that the kernel took.
    pub packets: u64,
    /// From the first to the last, ns.
    pub wall_ns: u64,
    /// CPU time of the sending thread and of its CPU's ksoftirqd, ns.
    pub cpu_ns: u64,
}

impl Sent {
    /// CPU time for each packet, ns.
    pub fn cpu_ns_per_packet(&self) -> f64 {
        ratio(self.cpu_ns, self.packets)
    }

    /// Packets in a second.
    pub fn rate(&self) -> f64 {
        ratio(self.packets, self.wall_ns) * 1e9
    }
}

fn ratio(a: u64, b: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let ratio = a as f64 / b.max(1) as f64;
    ratio
}

/// Sends from the calling thread, which stays on [`cpu::FLOOD`], in its network namespace.
pub fn run(plan: Plan, to: Ipv4Addr) -> Result<Sent> {
    cpu::pin(cpu::FLOOD)?;
    // Without effect on what is measured if refused.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    let socket = Socket::connect(to)?;
    let batch = plan.rate.map_or(BATCH, |rate| (rate / CALLS_PER_SECOND).clamp(1, BATCH));
    let mut packets = vec![Packet::new(plan.kind, to); usize::try_from(batch)?];
    let mut bytes = vec![[0; packet::LEN]; packets.len()];
    let ksoftirqd = Ksoftirqd::of(cpu::FLOOD);
    let (soft, thread) = (ksoftirqd.ns(), cpu::now(ClockId::ThreadCPUTime));
    let start = cpu::now(ClockId::Monotonic);
    let end = start + u64::try_from(LIMIT.as_nanos())?;
    let mut sent = 0;
    while sent < plan.count {
        let left = usize::try_from(plan.count - sent).unwrap_or(usize::MAX).min(packets.len());
        for (n, (packet, bytes)) in (sent..).zip(packets.iter_mut().zip(&mut bytes)).take(left) {
            *bytes = *packet.of_flow(u32::try_from(n % u64::from(plan.flows.max(1)))?);
        }
        sent += socket.send(&mut bytes[..left]).context("the flood can't send")? as u64;
        if let Some(rate) = plan.rate {
            sleep_until(start + sent * 1_000_000_000 / u64::from(rate))?;
        }
        ensure!(cpu::now(ClockId::Monotonic) < end, "the flood takes longer than {LIMIT:?}: {sent} sent");
    }
    Ok(Sent {
        packets: sent,
        wall_ns: cpu::now(ClockId::Monotonic) - start,
        cpu_ns: cpu::now(ClockId::ThreadCPUTime) - thread + ksoftirqd.ns() - soft,
    })
}

/// Sleeps until `CLOCK_MONOTONIC` shows this many ns.
pub fn sleep_until(ns: u64) -> Result<()> {
    let time =
        Timespec { tv_sec: i64::try_from(ns / 1_000_000_000)?, tv_nsec: i64::try_from(ns % 1_000_000_000)? };
    // Cut short by a signal, the next one sleeps longer.
    match clock_nanosleep_absolute(ClockId::Monotonic, &time) {
        Ok(()) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e).context("can't sleep"),
    }
}
