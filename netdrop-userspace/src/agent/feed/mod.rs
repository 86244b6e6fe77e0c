//! Log feeds: lines of JSON as Hubble's exporter writes them, to stdout or to files that are rotated.
//!
//! Each feed has a thread and a bounded queue of its own: a full disk, a slow file or a log that nobody reads holds up neither
//! capture nor another feed. What a feed does not tell is counted, and said in the feed: drops of its lines + those said to be
//! lost = all that its filter let through.

mod aggregate;
mod backup;
mod file;
mod lines;
mod mask;
mod set;
mod thread;
mod writer;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::explain;
use crate::filter::{Compiled, FilterError, Filters, FlowFilter};
use crate::flow::Flow;

pub use mask::{Mask, MaskError};
pub use set::{Changes, FeedReport, Feeds};
pub use thread::{Event, FeedCounts};

/// One feed, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedSpec {
    /// Unique.
    pub name: String,
    /// Where the lines go.
    pub target: Target,
    /// Which flows; loss and states of nodes are always told.
    pub filters: Filters,
    /// Fields that a line has; empty: all.
    pub field_mask: Vec<String>,
    /// Flows that are alike in these fields become one line; empty: each has its own.
    pub field_aggregate: Vec<String>,
    /// How often the lines of alike flows are written; zero: they are not put together.
    pub interval: Duration,
    /// Writes nothing from then on.
    pub end: Option<Timestamp>,
    /// Most lines a second, ten seconds' worth at once; `None`: all.
    pub rate: Option<NonZeroU32>,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(FileSpec),
}

/// A file and how it is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Path; its folder is made.
    pub path: PathBuf,
    /// It is rotated before it would become larger, in bytes.
    pub max_bytes: u64,
    /// How many old files are kept; 0: all.
    pub max_backups: usize,
    /// Old files are gzipped.
    pub compress: bool,
}

/// Bytes of a megabyte, as Hubble's exporter counts them.
pub const MEGABYTE: u64 = 1024 * 1024;

impl FileSpec {
    /// With the sizes that Hubble's exporter has by default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_bytes: 10 * MEGABYTE, max_backups: 5, compress: false }
    }
}

/// What can be wrong with a feed's fields and filters.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FeedError {
    /// Of a filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Of the field mask or the fields to put together by.
    #[error(transparent)]
    Mask(#[from] MaskError),
}

impl FeedSpec {
    /// Every flow, whole, a line each.
    pub fn new(name: impl Into<String>, target: Target) -> Self {
        Self {
            name: name.into(),
            target,
            filters: Filters::default(),
            field_mask: Vec::new(),
            field_aggregate: Vec::new(),
            interval: Duration::ZERO,
            end: None,
            rate: None,
        }
    }

    /// Checks what can be checked without opening anything.
    pub fn compile(&self) -> Result<Plan, FeedError> {
        let mask = |paths: &[String]| (!paths.is_empty()).then(|| Mask::parse(paths)).transpose();
        let aggregate = mask(&self.field_aggregate)?.filter(|_| !self.interval.is_zero());
        Ok(Plan {
            filter: explain::compile_asking(&self.filters)?,
            benign: explain::is_asked_for(&self.filters),
            events: tells_events(&self.filters),
            mask: mask(&self.field_mask)?,
            aggregate: aggregate.map(|fields| (fields, self.interval)),
        })
    }
}

/// A feed's filters and fields, ready to use.
#[derive(Clone, Debug)]
pub struct Plan {
    filter: Compiled,
    /// Benign drops are told where the filters name reasons.
    benign: bool,
    /// Events of the agent are told.
    pub(super) events: bool,
    mask: Option<Mask>,
    aggregate: Option<(Mask, Duration)>,
}

/// Hubble's number of the type of agent events.
const AGENT: i32 = 130;

/// Filters are for flows: only one that asks for events, and for nothing else, fits them. Without any, everything is told.
fn tells_events(filters: &Filters) -> bool {
    let fits = |filter: &FlowFilter| {
        let alone = FlowFilter { event_type: filter.event_type.clone(), ..FlowFilter::default() } == *filter;
        alone && filter.event_type.iter().any(|t| t.kind == AGENT && !t.match_sub_type)
    };
    (filters.allow.is_empty() || filters.allow.iter().any(fits)) && !filters.deny.iter().any(fits)
}

impl Plan {
    /// Whether a flow is to be told. People who read logs did not ask for noise.
    fn tells(&self, flow: &Flow) -> bool {
        (self.benign || !flow.benign) && self.filter.matches(flow)
    }
}

#[cfg(test)]
mod storm_tests;
