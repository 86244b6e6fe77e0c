//! The BPF side, as user space holds it: loads it, attaches it, reads it.

mod counters;
mod load;
mod log;
mod reader;

pub use counters::{ReasonCount, Totals};
pub use load::{LoadError, Prefilter, ProbeConfig, ProbeSet};
pub use reader::{Batch, Reader};
