//! Loading and attaching.

use std::fs;
use std::num::NonZeroU32;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};
use aya_log::EbpfLogger;
use ipnet::IpNet;
use netdrop_common::filter::{self, PREFIX_BITS_BEFORE_ADDRESS, PrefixKey};
use netdrop_common::{knobs, stack, symbol};
use thiserror::Error;

use super::counters::{self, Slot};
use super::stacks::StackMap;
use super::{FlowMaps, MemoryPlan, Totals, log};
use crate::kernel::KernelInfo;
use crate::kernel::features::lacking_capabilities;

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netdrop-ebpf"));

/// Of two programs one is loaded: the second also reads call stacks.
const HOOK: &str = "kfree_skb";
const HOOK_WITH_STACKS: &str = "kfree_skb_stack";

/// The two maps that take turns.
const FLOW_MAPS: [&str; 2] = ["FLOWS_A", "FLOWS_B"];

/// Why the programs could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The build left no BPF object.
    #[error("this netdrop was built without its BPF object (AYA_BUILD_SKIP); build it again without")]
    NoObject,
    /// EPERM.
    #[error("the kernel refuses BPF to this process: {}", way_in(.lacking))]
    Permission {
        /// Capabilities that it would need and does not have.
        lacking: Vec<&'static str>,
        /// The kernel's refusal.
        #[source]
        source: anyhow::Error,
    },
    /// ENOMEM: the machine, or the memory limit of this cgroup.
    #[error(
        "the kernel has no memory for buffers of {} bytes (ring buffer {}, two flow maps of {} entries): ask for less with \
         --memory-budget, or raise the memory limit of this cgroup",
        .plan.total, .plan.ring_size, .plan.flows
    )]
    Memory {
        /// As asked.
        plan: MemoryPlan,
        /// The kernel's refusal.
        #[source]
        source: anyhow::Error,
    },
    /// No `bpf_get_stack`, or nothing behind it.
    #[error(
        "this kernel does not let a BPF program read call stacks (it takes CONFIG_PERF_EVENTS): leave out --stack"
    )]
    Stacks(#[source] anyhow::Error),
    /// Anything else.
    #[error("cannot load the BPF programs")]
    Other(#[source] anyhow::Error),
}

impl LoadError {
    fn from_any(e: impl Into<anyhow::Error>) -> Self {
        let source = e.into();
        if is_kind(&source, std::io::ErrorKind::PermissionDenied) {
            return Self::Permission { lacking: lacking_capabilities(), source };
        }
        Self::Other(source)
    }

    /// For what may also fail for want of memory.
    fn of_maps(e: impl Into<anyhow::Error>, plan: MemoryPlan) -> Self {
        let source = e.into();
        if is_kind(&source, std::io::ErrorKind::OutOfMemory) {
            return Self::Memory { plan, source };
        }
        Self::from_any(source)
    }
}

/// What a process without rights has to do.
fn way_in(lacking: &[&str]) -> String {
    if lacking.is_empty() {
        return "it holds the capabilities BPF and PERFMON, so a seccomp filter, a security module, lockdown or a user namespace \
                (a rootless container) forbids it; `netdrop status --local` tells more"
            .to_owned();
    }
    let (noun, names) =
        (if lacking.len() == 1 { "capability" } else { "capabilities" }, lacking.join(" and "));
    let list = lacking.join(", ");
    format!(
        "run as root, or grant the {noun} {names} that it lacks (in a container: securityContext.capabilities.add: [{list}])"
    )
}

fn is_kind(e: &anyhow::Error, kind: std::io::ErrorKind) -> bool {
    e.chain().any(|c| c.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == kind))
}

pub use crate::filter::Prefilter;

/// How to load.
#[derive(Clone, Debug, Default)]
pub struct ProbeConfig {
    /// Sizes of the buffers.
    pub memory: MemoryPlan,
    /// Records a second that one flow may have; `None`: as many as there are.
    pub events_per_flow: Option<NonZeroU32>,
    /// What the kernel may turn away.
    pub prefilter: Prefilter,
    /// Reasons of the core that the kernel turns away as benign.
    pub hidden: Vec<u32>,
    /// Most frames of a call stack that are wanted; 0: no stacks.
    pub stack_depth: usize,
    /// Let the programs' log statements speak; for bring-up, it doubles their cost.
    pub bpf_log: bool,
}

/// What the kernel says of a program.
#[derive(Clone, Copy, Debug, Default)]
struct HookInfo {
    /// `recursion_misses`: runs that it skipped.
    missed: u64,
    runs: Option<(u64, Duration)>,
}

impl HookInfo {
    fn parse(text: &str) -> Self {
        let number = |key: &str| -> Option<u64> {
            text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')?.trim().parse().ok())
        };
        let runs = number("run_cnt").zip(number("run_time_ns").map(Duration::from_nanos));
        Self { missed: number("recursion_misses").unwrap_or(0), runs }
    }
}

/// The loaded programs; dropping it detaches them.
pub struct ProbeSet {
    ebpf: Ebpf,
    /// Name of the program that is attached.
    hook: &'static str,
    counters: PerCpuArray<MapData, Slot>,
    symbol_text: Array<MapData, [u8; symbol::TEXT_MAX]>,
    buffers: Option<(RingBuf<MapData>, FlowMaps)>,
    /// What the kernel said of the hook when it was detached.
    hook_at_end: Option<HookInfo>,
    log: Option<EbpfLogger<log::ToTracing>>,
}

impl ProbeSet {
    /// Loads and attaches; from here on every drop is counted.
    pub fn attach(kernel: &KernelInfo, config: &ProbeConfig) -> Result<Self, LoadError> {
        if OBJECT.is_empty() {
            return Err(LoadError::NoObject);
        }
        let stages = stages(&config.prefilter);
        let mut loader = EbpfLoader::new();
        // The object has no relocations by BTF; all types of the kernel, parsed for them, would be megabytes.
        loader.btf(None).map_max_entries("RECORDS", config.memory.ring_size);
        for name in FLOW_MAPS {
            loader.map_max_entries(name, config.memory.flows);
        }
        loader.map_max_entries("STACKS", config.memory.stacks.max(1));
        for (name, offset) in &kernel.fields {
            loader.override_global(name, offset, true);
        }
        let interval = config.events_per_flow.map_or(0, |n| 1_000_000_000 / n.get());
        let values: [(&str, u32); 7] = [
            (knobs::HAVE_REASON, u32::from(kernel.have_reason)),
            (knobs::TCP_TIME_WAIT, kernel.tcp_time_wait),
            (knobs::TCP_NEW_SYN_RECV, kernel.tcp_new_syn_recv),
            (knobs::WATERMARK, config.memory.ring_size / 4),
            (knobs::PRESSURE, config.memory.ring_size / 2),
            (knobs::FLOW_INTERVAL_NS, interval),
            (knobs::FILTER_STAGES, stages),
        ];
        let benign = bits(&config.hidden);
        for (name, value) in values.iter().chain(&benign) {
            loader.override_global(name, value, true);
        }
        let stack_bytes = stack_frames(config.stack_depth) * size_of::<u64>();
        let stack_bytes = u32::try_from(stack_bytes).unwrap_or_default();
        loader.override_global(knobs::STACK_BYTES, &stack_bytes, true);
        let quiet_us = u32::try_from(super::reader::QUIET.as_micros()).unwrap_or(u32::MAX);
        loader.override_global(knobs::QUIET_US, &quiet_us, true);
        let log_level = if config.bpf_log { log::DEBUG } else { log::OFF };
        loader.override_global("AYA_LOG_LEVEL", &log_level, true);
        let mut ebpf = loader.load(OBJECT).map_err(|e| LoadError::of_maps(e, config.memory))?;
        fill_filter(&mut ebpf, &config.prefilter, stages).map_err(LoadError::from_any)?;
        let mut log = None;
        if config.bpf_log {
            log = Some(log::start(&mut ebpf).map_err(LoadError::from_any)?);
        }
        let name = if config.stack_depth > 0 { HOOK_WITH_STACKS } else { HOOK };
        load_programs(&mut ebpf, name)?;
        give_memory_back();
        let mut set = Self::take_maps(ebpf, name, log)?;
        let hook: &mut BtfTracePoint =
            program(&mut set.ebpf, name).and_then(TryInto::try_into).map_err(LoadError::from_any)?;
        hook.attach().map_err(LoadError::from_any)?;
        Ok(set)
    }

    fn take_maps(
        mut ebpf: Ebpf,
        hook: &'static str,
        log: Option<EbpfLogger<log::ToTracing>>,
    ) -> Result<Self, LoadError> {
        let mut take = |name: &str| {
            ebpf.take_map(name)
                .ok_or_else(|| LoadError::Other(anyhow::anyhow!("the BPF object has no map {name}")))
        };
        let counters = PerCpuArray::try_from(take("COUNTERS")?).map_err(LoadError::from_any)?;
        let symbol_text = Array::try_from(take("SYMBOL_TEXT")?).map_err(LoadError::from_any)?;
        let ring = RingBuf::try_from(take("RECORDS")?).map_err(LoadError::from_any)?;
        let active = ArrayOfMaps::try_from(take("ACTIVE_FLOWS")?).map_err(LoadError::from_any)?;
        let rests = HashMap::try_from(take("RESTS")?).map_err(LoadError::from_any)?;
        let maps = [flow_map(take(FLOW_MAPS[0])?)?, flow_map(take(FLOW_MAPS[1])?)?];
        let stacks = if hook == HOOK_WITH_STACKS { Some(take("STACKS")?) } else { None };
        let stacks = stacks.map(StackMap::new).transpose().map_err(LoadError::from_any)?;
        let flows = FlowMaps::new(active, maps, rests, stacks).map_err(LoadError::from_any)?;
        Ok(Self { ebpf, hook, counters, symbol_text, buffers: Some((ring, flows)), hook_at_end: None, log })
    }

    /// The buffers, for the one who reads them; `None` the second time.
    pub fn take_buffers(&mut self) -> Option<(RingBuf<MapData>, FlowMaps)> {
        self.buffers.take()
    }

    /// Passes on what the programs logged.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Exact totals so far.
    pub fn totals(&self) -> anyhow::Result<Totals> {
        let hook = self.hook()?;
        Ok(Totals { by_reason: counters::read(&self.counters)?, missed: hook.missed, runs: hook.runs })
    }

    /// What the kernel itself says of the hook, in its fdinfo.
    fn hook(&self) -> anyhow::Result<HookInfo> {
        if let Some(at_end) = self.hook_at_end {
            return Ok(at_end);
        }
        let Some(hook) = self.ebpf.program(self.hook) else {
            return Ok(HookInfo::default());
        };
        let hook: &BtfTracePoint = hook.try_into()?;
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", hook.fd()?.as_fd().as_raw_fd()))?;
        Ok(HookInfo::parse(&text))
    }

    /// Detaches the hook: no drop is counted from here on. The maps stay.
    pub fn detach(&mut self) -> anyhow::Result<()> {
        if self.hook_at_end.is_none() {
            self.hook_at_end = Some(self.hook()?);
            let hook: &mut BtfTracePoint = program(&mut self.ebpf, self.hook)?.try_into()?;
            hook.unload()?;
        }
        Ok(())
    }

    /// The kernel's own text for an instruction address: `symbol+0xoff/0xsize [module]`.
    pub fn symbol_text(&mut self, address: u64) -> anyhow::Result<String> {
        let resolver: &mut RawTracePoint = program(&mut self.ebpf, "resolve_symbol")?.try_into()?;
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = address;
        resolver.test_run(options)?;
        let text = self.symbol_text.get(&0, 0)?;
        let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
        Ok(String::from_utf8_lossy(&text[..end]).into_owned())
    }
}

fn flow_map(map: Map) -> Result<MapData, LoadError> {
    match map {
        Map::HashMap(data) => Ok(data),
        other => Err(LoadError::Other(anyhow::anyhow!("a flow map is no hash but {other:?}"))),
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::programs::Program, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)
}

fn load_programs(ebpf: &mut Ebpf, hook: &str) -> Result<(), LoadError> {
    let resolver: &mut RawTracePoint =
        program(ebpf, "resolve_symbol").and_then(TryInto::try_into).map_err(LoadError::from_any)?;
    resolver.load().map_err(LoadError::from_any)?;
    let program: &mut BtfTracePoint =
        program(ebpf, hook).and_then(TryInto::try_into).map_err(LoadError::from_any)?;
    // Dropped at once: it holds all types of the kernel.
    let btf = Btf::from_sys_fs().map_err(LoadError::from_any)?;
    program.load("kfree_skb", &btf).map_err(|e| match LoadError::from_any(e) {
        LoadError::Other(e) if hook == HOOK_WITH_STACKS => LoadError::Stacks(e),
        other => other,
    })
}

/// Reading the kernel's types took ten times the memory that is needed from here on; glibc keeps what was freed.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "glibc's own call, which has no wrapper")]
    // SAFETY: without preconditions; it looks at free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// So many addresses are read for a stack of so many frames.
pub fn stack_frames(depth: usize) -> usize {
    (depth + stack::OWN).min(stack::FRAMES)
}

/// A set of reasons as the words of [`knobs::BENIGN`]; larger ones have no place there, so they pass.
fn bits(reasons: &[u32]) -> [(&'static str, u32); knobs::BENIGN.len()] {
    let mut words = knobs::BENIGN.map(|name| (name, 0));
    for reason in reasons {
        if let Some((_, word)) = words.get_mut(*reason as usize / 32) {
            *word |= 1 << (reason % 32);
        }
    }
    words
}

/// Which stages are on. One with more values than its map holds is off: the user's filter decides alone then.
fn stages(p: &Prefilter) -> u32 {
    fn bit<T>(values: Option<&Vec<T>>, bit: u32) -> u32 {
        match values {
            Some(v) if v.len() <= filter::MAX_ENTRIES as usize => bit,
            _ => 0,
        }
    }
    bit(p.reasons.as_ref(), filter::REASON)
        | bit(p.netns.as_ref(), filter::NETNS)
        | bit(p.interfaces.as_ref(), filter::IFINDEX)
        | bit(p.protocols.as_ref(), filter::PROTOCOL)
        | bit(p.prefixes.as_ref(), filter::PREFIX)
        | bit(p.ports.as_ref(), filter::PORT)
}

fn fill_filter(ebpf: &mut Ebpf, p: &Prefilter, stages: u32) -> anyhow::Result<()> {
    let mut fill = |name: &str, stage: u32, keys: Vec<u32>| -> anyhow::Result<()> {
        if stages & stage != 0 {
            let map =
                ebpf.map_mut(name).ok_or_else(|| anyhow::anyhow!("the BPF object has no map {name}"))?;
            let mut set: HashMap<_, u32, u8> = HashMap::try_from(map)?;
            for key in keys {
                set.insert(key, 1, 0)?;
            }
        }
        Ok(())
    };
    fill("FILTER_REASONS", filter::REASON, p.reasons.clone().unwrap_or_default())?;
    fill("FILTER_NETNS", filter::NETNS, p.netns.clone().unwrap_or_default())?;
    fill("FILTER_IFINDEX", filter::IFINDEX, p.interfaces.clone().unwrap_or_default())?;
    fill("FILTER_PROTOCOLS", filter::PROTOCOL, widen(p.protocols.as_deref()))?;
    fill("FILTER_PORTS", filter::PORT, widen(p.ports.as_deref()))?;
    if stages & filter::PREFIX != 0 {
        let map = ebpf.map_mut("FILTER_PREFIXES").ok_or_else(|| anyhow::anyhow!("no map FILTER_PREFIXES"))?;
        let mut trie: LpmTrie<_, [u8; size_of::<PrefixKey>()], u8> = LpmTrie::try_from(map)?;
        for prefix in p.prefixes.iter().flatten() {
            trie.insert(&prefix_key(*prefix), 1, 0)?;
        }
    }
    Ok(())
}

fn widen<T: Copy + Into<u32>>(values: Option<&[T]>) -> Vec<u32> {
    values.unwrap_or_default().iter().map(|v| (*v).into()).collect()
}

fn prefix_key(prefix: IpNet) -> Key<[u8; size_of::<PrefixKey>()]> {
    let mut data = [0; size_of::<PrefixKey>()];
    match prefix {
        IpNet::V4(p) => {
            data[0] = 4;
            data[4..8].copy_from_slice(&p.network().octets());
        }
        IpNet::V6(p) => {
            data[0] = 6;
            data[4..].copy_from_slice(&p.network().octets());
        }
    }
    Key::new(PREFIX_BITS_BEFORE_ADDRESS + u32::from(prefix.prefix_len()), data)
}
