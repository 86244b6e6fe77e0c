//! netdrop: why did this packet die, who killed it, and whose was it?
//!
//! Data goes one way: probe, decode, flow, enrich, filter, sink. See ARCHITECTURE.md.

pub mod agent;
pub mod app;
pub mod balance;
pub mod cli;
pub mod clock;
mod complaints;
pub mod config;
pub mod connect;
pub mod convert;
pub mod decode;
pub mod enrich;
pub mod explain;
pub mod filter;
pub mod flow;
pub mod go;
pub mod identity;
pub mod kernel;
pub mod ledger;
pub mod merge;
pub mod observe;
pub mod probe;
pub mod proto;
pub mod record;
pub mod relay;
pub mod sink;
pub mod source;
pub mod wire;
