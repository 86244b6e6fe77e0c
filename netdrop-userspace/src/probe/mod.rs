//! The BPF side, as user space holds it: loads it, attaches it, reads it.

mod batch;
mod counters;
mod flows;
mod load;
mod log;
mod memory;
mod reader;
mod stacks;

pub use counters::{ReasonCount, Totals};
pub use flows::FlowMaps;
pub use load::{LoadError, Prefilter, ProbeConfig, ProbeSet, stack_frames};
pub use memory::{MemoryAsked, MemoryPlan, PlanError};
pub use reader::{Batch, Reader};
