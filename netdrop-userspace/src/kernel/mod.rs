//! What the running kernel has and what things are called in it. Everything is read from the kernel, nothing typed in.

pub mod btf;
pub mod features;
pub mod fields;
mod info;
pub mod reasons;
pub mod symbols;

pub use btf::Btf;
pub use features::Features;
pub use info::{KernelInfo, release};
pub use reasons::Reasons;
pub use symbols::{Sites, SymbolTable, site_from_text};
