//! The history beside what it is to be: a list of all that was pushed, and what of it is left.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use prost_types::Timestamp as WireTime;

use super::super::{History, Missed, Reader, Selection, ring_of};
use super::{history, made, read, seconds};
use crate::agent::Query;
use crate::convert::{filter_to_wire, filters_to_extension};
use crate::filter::{Filters, FlowFilter};
use crate::flow::Observation;
use crate::proto::observer::GetFlowsRequest;

/// All that was pushed, with which of it is a ring's how-manieth.
#[derive(Default)]
pub(super) struct Model(pub(super) Vec<Arc<Observation>>);

impl Model {
    /// What the history still has: of each ring the newest so many.
    pub(super) fn kept(&self, h: &History) -> Vec<Arc<Observation>> {
        let status = h.status();
        let mut left = [status.drops.len, status.flows.len, status.benign.len];
        let mut kept: Vec<_> = self
            .0
            .iter()
            .rev()
            .filter(|o| {
                let left = &mut left[ring_of(o)];
                let has = *left > 0;
                *left = left.saturating_sub(1);
                has
            })
            .cloned()
            .collect();
        kept.reverse();
        kept
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) number: u64,
    pub(super) first: bool,
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) filter: Option<FlowFilter>,
    pub(super) room: usize,
}

impl Ask {
    pub(super) fn request(&self) -> GetFlowsRequest {
        let time = |second: Option<i64>| second.map(|seconds| WireTime { seconds, nanos: 0 });
        GetFlowsRequest {
            number: self.number,
            first: self.first,
            since: time(self.since),
            until: time(self.until),
            whitelist: self.filter.iter().map(filter_to_wire).collect(),
            extensions: filters_to_extension(&self.filters()),
            ..GetFlowsRequest::default()
        }
    }

    pub(super) fn compiled(&self) -> crate::filter::Compiled {
        self.filters().compile().unwrap()
    }

    fn filters(&self) -> Filters {
        Filters { allow: self.filter.iter().cloned().collect(), deny: vec![] }
    }

    /// What Hubble's server sends: straight from the words of its rules.
    pub(super) fn expected(&self, kept: &[Arc<Observation>]) -> Vec<Observation> {
        let filter = self.compiled();
        let fits = |o: &Observation| matches!(o, Observation::Flow(f) if filter.matches(f));
        let mut start = 0;
        if self.since.is_none() && !self.first && self.number > 0 {
            let mut left = self.number;
            start = kept.len();
            while start > 0 && left > 0 {
                start -= 1;
                left -= u64::from(fits(&kept[start]));
            }
        }
        let second = |o: &Observation| super::codec::time_of(o).as_second();
        let within = kept[start..].iter().filter(|o| {
            self.since.is_none_or(|since| second(o) >= since)
                && self.until.is_none_or(|until| second(o) <= until)
        });
        let limit =
            if self.number > 0 && (self.first || self.since.is_some()) { self.number } else { u64::MAX };
        let mut sent = Vec::new();
        let mut flows = 0;
        for o in within {
            match &**o {
                Observation::Flow(_) if !fits(o) => {}
                Observation::Flow(_) if flows == limit => break,
                Observation::Flow(_) => {
                    flows += 1;
                    sent.push((**o).clone());
                }
                _ => sent.push((**o).clone()),
            }
        }
        sent
    }

    /// What the history gives.
    pub(super) fn got(&self, h: &Arc<History>) -> (Vec<Observation>, Missed) {
        let query = Query::new(self.request()).unwrap();
        let (from, end) = query.range(h, &|| true);
        let (mut items, missed) = read(&mut h.reader(from, end), &query.selection, self.room);
        if let Some(limit) = query.limit() {
            let mut flows = 0;
            let past = items.iter().position(|o| {
                flows += u64::from(matches!(o, Observation::Flow(_)));
                flows > limit
            });
            items.truncate(past.unwrap_or(items.len()));
        }
        (items, missed)
    }
}

fn filter() -> impl Strategy<Value = FlowFilter> {
    let of = FlowFilter::default;
    prop_oneof![
        (0u16..12).prop_map(move |p| FlowFilter { destination_port: vec![(5000 + p).to_string()], ..of() }),
        (0u8..110).prop_map(move |a| FlowFilter { source_ip: vec![format!("10.244.{a}.0")], ..of() }),
        (0u8..8).prop_map(move |a| FlowFilter { source_ip: vec![format!("10.244.{}.0/20", a * 16)], ..of() }),
        (0u8..9).prop_map(move |r| FlowFilter { reason: vec![format!("REASON_{r}")], ..of() }),
        (0u8..15)
            .prop_map(move |p| FlowFilter { source_pod: vec![format!("production/checkout-{p}")], ..of() }),
        Just(FlowFilter { destination_label: vec!["app in (checkout-101, checkout-7)".into()], ..of() }),
        Just(FlowFilter { destination_pod: vec!["staging/".into()], ..of() }),
        Just(FlowFilter { verdict: vec![1], ..of() }),
        Just(FlowFilter { protocol: vec!["udp".into()], ..of() }),
        Just(FlowFilter { verdict: vec![2], reason: vec!["REASON_*".into()], ..of() }),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    (
        prop_oneof![Just(0u64), 1u64..40, Just(2000), Just(u64::MAX)],
        any::<bool>(),
        prop::option::of(0i64..4000),
        prop::option::of(0i64..4000),
        prop::option::of(filter()),
        prop_oneof![Just(1usize), Just(64), 1usize..300],
    )
        .prop_map(|(number, first, since, until, filter, room)| Ask {
            number,
            first,
            since,
            until,
            filter,
            room,
        })
}

/// Seconds apart from 1970 on, most with names; some are losses or no drops.
pub(super) fn observation(second: i64, kind: u8) -> Arc<Observation> {
    let mut flow = made::full(second);
    flow.time = Timestamp::from_second(second).unwrap();
    (flow.tally.first, flow.tally.last) = (flow.time, flow.time);
    match kind {
        0 => return made::lost(second, 3),
        1..60 => flow.verdict = crate::flow::Verdict::Forwarded,
        _ => {}
    }
    Arc::new(Observation::Flow(flow))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn answers_are_those_of_a_list(
        kinds in proptest::collection::vec(any::<u8>(), 1..4000),
        batch in 1usize..300,
        asks in proptest::collection::vec(ask(), 4),
    ) {
        let h = history(64 << 10);
        let mut model = Model::default();
        for (chunk, second) in kinds.chunks(batch).zip((0i64..).step_by(batch)) {
            let items: Vec<_> = (second..).zip(chunk).map(|(second, kind)| observation(second, *kind)).collect();
            model.0.extend(items.iter().cloned());
            h.push(items);
        }
        let kept = model.kept(&h);
        for ask in asks {
            let (got, missed) = ask.got(&h);
            prop_assert_eq!(missed.count, 0);
            prop_assert_eq!(seconds(&got), seconds(&ask.expected(&kept)), "{:?}", ask);
            prop_assert!(got == ask.expected(&kept));
        }
    }

    /// While the rings turn over, what a reader gets and what it is told it missed make all.
    #[test]
    fn a_reader_gets_or_misses_everything_once(
        kinds in proptest::collection::vec(any::<u8>(), 500..6000),
        steps in proptest::collection::vec((0usize..600, 0usize..400), 2..40),
    ) {
        let h = history(64 << 10);
        let mut reader: Reader = h.reader(h.position(), None);
        let (mut got, mut missed, mut pushed) = (Vec::new(), 0, 0);
        let mut take = |reader: &mut Reader, room: usize| {
            let chunk = reader.step(&Selection::default(), room);
            got.extend(seconds(&chunk.items));
            missed += chunk.missed().map_or(0, |m| m.count);
            chunk.at_end
        };
        for (push, room) in steps {
            let items: Vec<_> = kinds.iter().enumerate().skip(pushed).take(push)
                .map(|(i, kind)| observation(i64::try_from(i).unwrap(), *kind)).collect();
            pushed += items.len();
            h.push(items);
            take(&mut reader, room);
        }
        while !take(&mut reader, 100) {}
        prop_assert!(got.is_sorted_by(|a, b| a < b), "in order, none twice");
        prop_assert_eq!(got.len() as u64 + missed, pushed as u64);
    }
}
