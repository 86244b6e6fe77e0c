//! The command line: what was typed, validated into configs. No logic beyond that.

mod filters;
mod flags;
pub mod observe;
pub mod time;
mod values;
