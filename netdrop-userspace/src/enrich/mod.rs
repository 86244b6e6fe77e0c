//! Whose an address was, at the packet's time.

pub mod change;
mod file;
pub mod kube;
mod names;
mod scope;

pub use names::{Names, NamesSource, NamesStatus, Owner};
pub use scope::{NodeScope, Placement};
