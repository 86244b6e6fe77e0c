//! The agent's settings: flags before variables before the file before defaults. All that is wrong is told at once.

mod feeds;
mod list;
mod metrics;
mod print;
mod reload;
mod resolve;
mod yaml;

pub(crate) use list::{filters_of_json, unknown_field};
pub use reload::{Reloader, SetLevel, hangups, watch};
pub use resolve::{Loaded, Mistaken, Origin, Problems, Setting, command, load};
pub(crate) use yaml::SyntaxError;
