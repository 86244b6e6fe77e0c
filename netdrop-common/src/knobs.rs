//! The other globals of the BPF object: facts that are not field offsets, and settings. All `u32`, frozen at load.
//!
//! Defaults in the object are such that an agent that sets none gets every drop, without a filter.

/// 1 if the tracepoint passes a reason (5.17 and later).
pub const HAVE_REASON: &str = "HAVE_REASON";
/// `TCP_TIME_WAIT` of this kernel.
pub const TCP_TIME_WAIT: &str = "TCP_TIME_WAIT";
/// `TCP_NEW_SYN_RECV` of this kernel.
pub const TCP_NEW_SYN_RECV: &str = "TCP_NEW_SYN_RECV";
/// Bytes waiting in the ring buffer above which the reader is woken.
pub const WATERMARK: &str = "WATERMARK";
/// Time without a wakeup after which the next record wakes the reader, in microseconds.
pub const QUIET_US: &str = "QUIET_US";
/// Bits of [`crate::filter`] that say which prefilter stages are on.
pub const FILTER_STAGES: &str = "FILTER_STAGES";
/// Records a second that a flow may have, as the ns between two; 0: no limit.
pub const FLOW_INTERVAL_NS: &str = "FLOW_INTERVAL_NS";
/// The reasons of the core below 256 that are turned away as benign: a bit each, 32 in a word, the lowest first.
pub const BENIGN: [&str; 8] =
    ["BENIGN_0", "BENIGN_1", "BENIGN_2", "BENIGN_3", "BENIGN_4", "BENIGN_5", "BENIGN_6", "BENIGN_7"];
/// Bytes of call stack that are read, where one is; at most those of [`crate::stack::Frames`].
pub const STACK_BYTES: &str = "STACK_BYTES";
/// Bytes waiting in the ring buffer above which drops are aggregated.
pub const PRESSURE: &str = "PRESSURE";
