//! GetFlows: Hubble's semantics over the history.
//!
//! `since` begins at a time, and beats the number, which then is a limit; else `first` begins at the oldest; else the last `number` flows that
//! match are sent, and with `follow` all that come. Losses are always sent, and never counted.

use std::sync::Arc;

use jiff::Timestamp;
use tonic::Status;

use super::history::{History, Position, Selection, Wanted};
use super::mask::Mask;
use super::request::affordable;
use crate::convert::{asks_for_benign, filter_from_wire, filters_from_extension, time_from_wire};
use crate::explain;
use crate::filter::Filters;
use crate::proto::flow::FlowFilter;
use crate::proto::observer::GetFlowsRequest;

/// A checked request.
#[derive(Clone, Debug)]
pub struct Query {
    pub(super) selection: Arc<Selection>,
    filters: Arc<Filters>,
    pub(super) mask: Mask,
    number: u64,
    first: bool,
    pub(super) follow: bool,
    pub(super) since: Option<Timestamp>,
    /// Of a follower; else it is part of the selection.
    pub(super) until: Option<Timestamp>,
}

/// Most bytes of a status' text. It travels in a header, of which many clients take 8 KiB; what is quoted in it may be as long as a request.
const LONGEST_TEXT: usize = 1_000;

/// What a request asks for can't be. Without a code, as Hubble's server has it: its client then prints the text alone.
pub(super) fn invalid(why: impl Into<String>) -> Status {
    let mut why = why.into();
    if why.len() > LONGEST_TEXT {
        why.truncate(why.floor_char_boundary(LONGEST_TEXT));
        why.push_str(" ...");
    }
    Status::unknown(why)
}

impl Query {
    /// Checks a request.
    pub fn new(request: GetFlowsRequest) -> Result<Self, Status> {
        let GetFlowsRequest { number, first, follow, .. } = request;
        if first && follow {
            return Err(Status::invalid_argument("first cannot be specified with follow"));
        }
        let list = |list: Vec<FlowFilter>| {
            list.into_iter().map(filter_from_wire).collect::<Result<Vec<_>, _>>().map_err(invalid)
        };
        let filters = match filters_from_extension(request.extensions.as_ref()) {
            Some(filters) => filters.map_err(invalid)?,
            None => Filters { allow: list(request.whitelist)?, deny: list(request.blacklist)? },
        };
        affordable(&filters)?;
        let time = |name: &str, t: Option<prost_types::Timestamp>| {
            t.map(|t| time_from_wire(&t).ok_or_else(|| invalid(format!("invalid {name}: not a time"))))
                .transpose()
        };
        let (since, until) = (time("since", request.since)?, time("until", request.until)?);
        let all_benign = asks_for_benign(request.extensions.as_ref());
        let benign = all_benign || explain::is_asked_for(&filters);
        let mask = Mask::new(request.field_mask.as_ref())?;
        let filter = if all_benign { filters.compile() } else { explain::compile_asking(&filters) };
        let selection = Selection::of(filter.map_err(|e| invalid(e.to_string()))?);
        // What a follower is sent ends with the first flow that is later; a loss may be told late.
        let selection = Arc::new(selection.between(since, until.filter(|_| !follow)).with_benign(benign));
        let filters = Arc::new(filters);
        Ok(Self { selection, filters, mask, number, first, follow, since, until: until.filter(|_| follow) })
    }

    /// Where it begins and, unless it follows, ends. May read from disk, for as long as it is `wanted`.
    pub fn range(&self, history: &History, wanted: &dyn Fn() -> bool) -> (Position, Option<Position>) {
        let newest = || history.position();
        let [from, end] = match (self.since, self.first, self.number) {
            (Some(since), ..) => [history.oldest(Some(since)), newest()],
            (None, false, 0) if self.follow => [newest(); 2],
            (None, true, _) | (None, false, 0) => [history.oldest(None), newest()],
            // Hubble's server goes back by what matches, whatever the time until which it sends.
            (None, false, number) => {
                history.last(number, &(*self.selection).clone().between(None, None), wanted)
            }
        };
        (from, (!self.follow).then_some(end))
    }

    /// What one that follows asks for.
    pub(super) fn wanted(&self) -> Wanted {
        let (filters, selection) = (Arc::clone(&self.filters), Arc::clone(&self.selection));
        Wanted { filters, selection, mask: self.mask.clone() }
    }

    /// Most flows that are sent; following, or having rewound by their number, there is no limit.
    pub fn limit(&self) -> Option<u64> {
        let counts = !self.follow && self.number != 0 && (self.first || self.since.is_some());
        counts.then_some(self.number)
    }
}
