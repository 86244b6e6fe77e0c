//! How long it takes from a drop to its line.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::process::ChildStdout;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netdrop_tests::expect;
use rustix::time::ClockId;

use super::Bench;
use super::once::float;
use crate::cpu;
use crate::flood::{Kind, PORT, Packet, Socket, sleep_until, source};
use crate::report::{Figure, Goal, Report};
use crate::sample::Sample;
use crate::talk::{self, Told};
use crate::tracer::{Out, Tracer};

/// How long a line may take.
const LIMIT: Duration = Duration::from_secs(5);
const SECOND: u64 = 1_000_000_000;

/// The figures.
pub fn measure(bench: &Bench) -> Result<Report> {
    let (mut p50, mut p99) = (Sample::default(), Sample::default());
    for _ in 0..bench.repetitions(3) {
        let delays = delays(bench, SECOND / 1000, 5000)?;
        p50.push(percentile(&delays, 50));
        p99.push(percentile(&delays, 99));
    }
    let seldom = delays(bench, SECOND, if bench.quick { 3 } else { 20 })?;
    let one = |p| Sample::from_iter([percentile(&seldom, p)]);
    let figure = |key, what, goal, sample| Figure::new(key, what, "ms", goal, sample);
    let figures = vec![
        figure("latency/p50", "from drop to line at 1,000/s, the middle one", Goal::Below(5.0), p50),
        figure("latency/p99", "the same, 99 of 100 are faster", Goal::Below(25.0), p99),
        figure("latency/seldom_p50", "from drop to line at 1/s, the middle one", Goal::Below(5.0), one(50)),
        figure("latency/seldom_max", "the same, the slowest of 20", Goal::Below(25.0), one(100)),
    ];
    Ok(Report { figures, grids: Vec::new() })
}

/// Sends `count` packets, one each `gap` ns; gives how long each took to its line, ms, in ascending order.
fn delays(bench: &Bench, gap: u64, count: u32) -> Result<Vec<f64>> {
    let netns = bench.bed.inode().to_string();
    let spec = bench.observe("netdrop observe -o json", &["-o", "json", "--netns", &netns]).to(Out::Pipe);
    let mut tracer = Tracer::start(&spec)?;
    let pipe = tracer.stdout().context("netdrop's output is no pipe")?;
    let reader = thread::spawn(move || read(pipe, count as usize, gap));
    let sent = bench.bed.on_client(|server| send(server, gap, count))?;
    let lines = reader.join().map_err(|_| anyhow::anyhow!("the reader has panicked"))??;
    tracer.stop()?;
    let mut arrived = HashMap::new();
    for (time, line) in lines {
        if let Told::Flow(address, port, _) = talk::told(&line, PORT)? {
            arrived.entry((address, port)).or_insert(time);
        }
    }
    let mut delays = Vec::new();
    for (flow, sent) in (0..).zip(sent) {
        let time =
            arrived.get(&source(Kind::Udp, flow)).with_context(|| format!("no line of drop {flow}"))?;
        delays.push(float(time.saturating_sub(sent)) / 1e6);
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}

/// Each packet is a flow of its own; gives when each was sent.
fn send(server: Ipv4Addr, gap: u64, count: u32) -> Result<Vec<u64>> {
    cpu::pin(cpu::FLOOD)?;
    let socket = Socket::connect(server)?;
    let mut packet = Packet::new(Kind::Udp, server);
    let mut sent = Vec::with_capacity(count as usize);
    let start = cpu::now(ClockId::Monotonic);
    for flow in 0..count {
        sleep_until(start + u64::from(flow) * gap)?;
        let mut bytes = [*packet.of_flow(flow)];
        sent.push(cpu::now(ClockId::Monotonic));
        ensure!(socket.send(&mut bytes)? == 1, "the kernel does not take a packet");
    }
    Ok(sent)
}

/// Reads lines, each with the time when it was there; on the flood's CPU, so as not to be in netdrop's way.
fn read(mut pipe: ChildStdout, count: usize, gap: u64) -> Result<Vec<(u64, String)>> {
    cpu::pin(cpu::FLOOD)?;
    let mut lines = Vec::with_capacity(count);
    let mut pending = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let wait = LIMIT + Duration::from_nanos(gap);
    while lines.len() < count && expect::readable(&pipe, Instant::now() + wait)? {
        let n = pipe.read(&mut chunk)?;
        let time = cpu::now(ClockId::Monotonic);
        if n == 0 {
            break;
        }
        pending.extend_from_slice(&chunk[..n]);
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let line = pending.drain(..=end).take(end).collect();
            lines.push((time, String::from_utf8(line)?));
        }
    }
    Ok(lines)
}

/// Of values in ascending order, the one that `p` of 100 are not above.
fn percentile(values: &[f64], p: usize) -> f64 {
    let rank = (values.len() * p).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        let found = [50, 99, 100].map(|p| percentile(&values, p));
        assert_eq!(found.map(f64::to_bits), [100.0, 198.0, 200.0].map(f64::to_bits));
    }
}
