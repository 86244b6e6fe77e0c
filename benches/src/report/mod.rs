//! What was measured, and where it goes: a table, BENCHMARKS.md, a chart, a history.

mod chart;
mod history;
mod machine;
mod markdown;
mod write;

use std::fmt;

use crate::sample::{Number, Sample, Summary};

pub use machine::Machine;
pub use markdown::tables;
pub use write::write;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
    /// No less than this.
    AtLeast(f64),
    /// Shown for what it is.
    None,
}

impl Goal {
    /// Whether the middle of a sample is there; `None`: there is no goal.
    pub fn met(self, median: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(median <= most),
            Self::Below(end) => Some(median < end),
            Self::AtLeast(least) => Some(median >= least),
            Self::None => None,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) if *most == 0.0 => f.pad("0"),
            Self::AtMost(most) => f.pad(&format!("<= {}", Number(*most))),
            Self::Below(end) => f.pad(&format!("< {}", Number(*end))),
            Self::AtLeast(least) => f.pad(&format!(">= {}", Number(*least))),
            Self::None => f.pad(""),
        }
    }
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name in the history: never changed.
    pub key: String,
    /// What it is, for people.
    pub what: String,
    /// Unit.
    pub unit: &'static str,
    /// What it should be.
    pub goal: Goal,
    /// One value for each repetition.
    pub sample: Sample,
}

impl Figure {
    /// A figure with a goal.
    pub fn new(key: &str, what: &str, unit: &'static str, goal: Goal, sample: Sample) -> Self {
        Self { key: key.to_owned(), what: what.to_owned(), unit, goal, sample }
    }
}

/// One thing beside others.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// A sample for each column; an empty one where it can't be measured.
    pub cells: Vec<Sample>,
}

/// Things side by side.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// Name in the history.
    pub key: &'static str,
    /// What each row is.
    pub of: &'static str,
    /// What it compares.
    pub title: String,
    /// (name in the history, heading with its unit)
    pub columns: Vec<(&'static str, &'static str)>,
    /// The things.
    pub rows: Vec<Row>,
}

/// All of one run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Figures one by one.
    pub figures: Vec<Figure>,
    /// Figures side by side.
    pub grids: Vec<Grid>,
}

impl Report {
    /// Adds what another one has.
    pub fn extend(&mut self, other: Self) {
        self.figures.extend(other.figures);
        self.grids.extend(other.grids);
    }
}

/// The middle of a sample and its ends: `12.3 (11.9..13.0)`.
struct Shown(Option<Summary>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.pad("-"),
            Some(s) if s.n == 1 || s.min.total_cmp(&s.max).is_eq() => f.pad(&Number(s.median).to_string()),
            Some(s) => f.pad(&format!("{} ({}..{})", Number(s.median), Number(s.min), Number(s.max))),
        }
    }
}
