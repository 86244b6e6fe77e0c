//! Log statements of the BPF programs, for bring-up: off, and then pruned away by the verifier, unless asked for.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// `AYA_LOG_LEVEL` when off.
pub(super) const OFF: u8 = 0;
/// `AYA_LOG_LEVEL` when on: debug.
pub(super) const DEBUG: u8 = log::LevelFilter::Debug as u8;

/// Hands what the programs say to tracing, as all diagnostics.
pub(super) struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        tracing::info!(target: "netdrop::bpf", "{}", record.args());
    }
    fn flush(&self) {}
}

/// Must be held from before the programs are loaded.
pub(super) fn start(ebpf: &mut Ebpf) -> anyhow::Result<EbpfLogger<ToTracing>> {
    Ok(EbpfLogger::init_with_logger(ebpf, ToTracing)?)
}
