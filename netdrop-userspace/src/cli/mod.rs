//! The command line: what was typed, validated into configs. No logic beyond that.

pub mod agent;
pub mod args;
mod capture;
pub mod config;
pub mod events;
pub mod explain;
mod filters;
mod flags;
pub mod forward;
pub mod list;
mod listen;
pub mod manual;
mod numbers;
pub mod observe;
pub mod output;
pub mod reasons;
pub mod record;
pub mod relay;
pub mod selection;
pub mod server_flags;
mod settings;
pub mod shown;
pub mod status;
pub mod status_local;
pub mod time;
mod values;
mod yaml;
