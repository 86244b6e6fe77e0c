//! cli.

pub mod explain;
pub mod reasons;
pub mod status_local;
