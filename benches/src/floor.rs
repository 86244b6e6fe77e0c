//! The floor, as a program of its own: loads, attaches, reads, counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};
use clap::ValueEnum;
use netdrop::kernel::KernelInfo;
use netdrop_tests::expect;

use crate::say;

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netdrop-bench-ebpf"));

/// How often the reader looks where nobody wakes it.
const POLL: Duration = Duration::from_millis(10);

/// What to do for each drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Nothing.
    Empty,
    /// One parsed record; the reader polls.
    Record,
    /// One parsed record and one wakeup.
    Wakeup,
}

/// Runs until a signal; says when it is attached and, at the end, what was counted.
pub fn run(mode: Mode) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut ebpf = load(mode)?;
    let mut ring = RingBuf::try_from(ebpf.take_map("RECORDS").context("the object has no map RECORDS")?)?;
    say(format_args!("floor: capturing"));
    let (mut read, mut sum) = (0_u64, 0_u64);
    while !stop.load(Ordering::Relaxed) {
        if mode == Mode::Wakeup {
            expect::readable(&ring, Instant::now() + POLL * 10)?;
        } else {
            std::thread::sleep(POLL);
        }
        drain(&mut ring, &mut read, &mut sum);
    }
    // Detached by dropping it, at the end of this function: what comes until then is in both counts or in none.
    let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(ebpf.map("COUNTS").context("no map COUNTS")?)?;
    let total = |slot: u32| Ok::<u64, anyhow::Error>(counts.get(&slot, 0)?.iter().sum());
    say(format_args!("floor: {} recorded, {} lost, {read} read, sum {sum:x}", total(0)?, total(1)?));
    Ok(())
}

fn load(mode: Mode) -> Result<Ebpf> {
    let kernel = KernelInfo::load()?;
    let btf = Btf::from_sys_fs()?;
    let mut loader = EbpfLoader::new();
    loader.btf(Some(&btf));
    for (name, offset) in &kernel.fields {
        loader.override_global(name, offset, false);
    }
    let wake = u32::from(mode == Mode::Wakeup);
    loader.override_global("WAKE", &wake, true);
    let mut ebpf = loader.load(OBJECT).context("can't load the floor")?;
    let name = if mode == Mode::Empty { "empty" } else { "record" };
    let program: &mut BtfTracePoint =
        ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?.try_into()?;
    program.load("kfree_skb", &btf)?;
    program.attach()?;
    Ok(ebpf)
}

/// Reads what is there, and touches it as a reader would.
fn drain(ring: &mut RingBuf<MapData>, read: &mut u64, sum: &mut u64) {
    while let Some(record) = ring.next() {
        let time = record.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        *sum = sum.wrapping_add(time);
        *read += 1;
    }
}
