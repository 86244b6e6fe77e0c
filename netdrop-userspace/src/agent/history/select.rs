//! What of the history a query wants.

use super::BENIGN;
use super::block::{Block, Meta};
use super::codec::{Dictionary, Name, Record, What};
use super::plan::{Memory, Plan, Verdicts};
use crate::filter::{Compiled, FilterError, Filters};
use crate::flow::Observation;

/// Filters and times. Times filter everything, filters flows only: a loss is told to all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    filter: Compiled,
    plan: Plan,
    since: Option<i128>,
    until: Option<i128>,
    /// Also of the ring that nobody sees who does not ask.
    benign: bool,
}

impl Selection {
    /// What these filters show.
    pub fn new(filters: &Filters) -> Result<Self, FilterError> {
        filters.compile().map(Self::of)
    }

    /// What this filter shows.
    pub fn of(filter: Compiled) -> Self {
        Self { plan: Plan::new(&filter), filter, ..Self::default() }
    }

    /// One that decodes every record.
    #[cfg(test)]
    pub(super) fn without_plan(self) -> Self {
        Self { plan: Plan::default(), ..self }
    }

    /// Between two times, both included.
    #[must_use]
    pub fn between(self, since: Option<jiff::Timestamp>, until: Option<jiff::Timestamp>) -> Self {
        let ns = |time: Option<jiff::Timestamp>| time.map(jiff::Timestamp::as_nanosecond);
        Self { since: ns(since), until: ns(until), ..self }
    }

    /// With benign drops, or without.
    #[must_use]
    pub fn with_benign(self, benign: bool) -> Self {
        Self { benign, ..self }
    }

    /// Whether benign drops are wanted, too.
    pub(super) fn with_benign_ones(&self) -> bool {
        self.benign
    }

    /// Whether anything of a ring is wanted.
    pub(super) fn wants_ring(&self, ring: usize) -> bool {
        self.benign || ring != BENIGN
    }

    /// The filter alone.
    pub fn filter(&self) -> &Compiled {
        &self.filter
    }

    /// Whether nothing of a block can be wanted.
    pub(super) fn passes_over(&self, meta: &Meta) -> bool {
        self.since.is_some_and(|since| meta.latest < since)
            || self.until.is_some_and(|until| meta.earliest > until)
    }

    /// Whether nothing between two times can be wanted.
    pub(super) fn passes_over_times(
        &self,
        first: Option<jiff::Timestamp>,
        last: Option<jiff::Timestamp>,
    ) -> bool {
        let ns = jiff::Timestamp::as_nanosecond;
        self.since.zip(last).is_some_and(|(since, last)| ns(last) < since)
            || self.until.zip(first).is_some_and(|(until, first)| ns(first) > until)
    }

    /// What can be said of a block before its records are read.
    pub(super) fn reading(&self, block: &Block) -> Reading {
        let mut made = Vec::new();
        let verdicts = self.plan.verdicts(block, &mut made);
        Reading { made, verdicts }
    }

    /// Whether a record can be wanted; looked up without decoding it.
    pub(super) fn may_want(
        &self,
        record: &Record<'_>,
        block: &Block,
        reading: &mut Reading,
        memory: &mut Memory,
    ) -> bool {
        let time = record.stamp.time;
        if self.since.is_some_and(|since| time < since) || self.until.is_some_and(|until| time > until) {
            return false;
        }
        if record.tag.what() != Some(What::Flow) || record.tag.is_rest() || self.plan.is_all() {
            return true;
        }
        let names = &mut Dictionary { written: block.names(), made: &mut reading.made };
        self.plan.may_match(record, names, &mut reading.verdicts, memory)
    }

    /// What is shown for an observation.
    pub(super) fn shown(&self, observation: Observation) -> Option<Observation> {
        match &observation {
            Observation::Flow(flow) if !self.filter.matches(flow) => {
                self.filter.undecided(flow).map(Observation::Lost)
            }
            _ => Some(observation),
        }
    }
}

/// What is known of a block that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) made: Vec<Option<Name>>,
    pub(super) verdicts: Verdicts,
}
