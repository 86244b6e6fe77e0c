//! Since, until, first and last where it is close: at the rings' edges, while they turn over, after a restart with torn files.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{History, Missed, Selection, ring_of};
use super::disk::{LATE, open};
use super::model::{Ask, Model, observation};
use super::{history, read, seconds};
use crate::agent::Query;
use crate::filter::FlowFilter;
use crate::flow::Observation;

/// Filters of which some match nearly all, some few, one nothing.
fn filters() -> Vec<Option<FlowFilter>> {
    let of = FlowFilter::default;
    vec![
        None,
        Some(FlowFilter { source_ip: vec!["10.244.16.0/20".into()], ..of() }),
        Some(FlowFilter { reason: vec!["REASON_3".into()], ..of() }),
        Some(FlowFilter { source_pod: vec!["production/checkout-7-".into()], ..of() }),
        Some(FlowFilter { verdict: vec![1], ..of() }),
        Some(FlowFilter { destination_port: vec!["9".into()], ..of() }),
    ]
}

/// Every question whose answer begins or ends at, or beside, the oldest and the newest that is kept.
fn close_asks(kept: &[Arc<Observation>]) -> Vec<Ask> {
    let second = |o: &Arc<Observation>| super::codec::time_of(o).as_second();
    let (Some(oldest), Some(newest)) = (kept.first().map(second), kept.last().map(second)) else {
        return Vec::new();
    };
    // Where the rings begin: the other may reach back further.
    let begins =
        (0..super::super::RINGS).filter_map(|ring| kept.iter().find(|o| ring_of(o) == ring).map(second));
    let near: Vec<_> = begins.chain([oldest, newest]).flat_map(|s| [s - 1, s, s + 1]).collect();
    let mut asks = Vec::new();
    for filter in filters() {
        let ask = Ask { number: 0, first: false, since: None, until: None, filter, room: 64 };
        let compiled = ask.compiled();
        let flows = kept.iter().filter(|o| matches!(&***o, Observation::Flow(f) if compiled.matches(f)));
        let flows = flows.count() as u64;
        for number in [flows.saturating_sub(1), flows, flows + 1, 1] {
            let ask = Ask { number: number.max(1), ..ask.clone() };
            asks.extend([Ask { first: true, ..ask.clone() }, ask]);
        }
        for time in &near {
            asks.push(Ask { since: Some(*time), ..ask.clone() });
            asks.push(Ask { until: Some(*time), first: true, ..ask.clone() });
            asks.push(Ask { since: Some(*time), until: Some(time + 1), ..ask.clone() });
            asks.push(Ask { since: Some(*time), number: 3, ..ask.clone() });
        }
    }
    asks
}

/// Some of them, other ones each time.
fn check(h: &Arc<History>, kept: &[Arc<Observation>], skip: usize) -> Result<(), TestCaseError> {
    const OF: usize = 11;
    let lost = h.status().disk.map_or(0, |disk| disk.lost);
    for ask in close_asks(kept).into_iter().skip(skip % OF).step_by(OF) {
        let (got, missed) = ask.got(h);
        prop_assert!(missed.count <= lost, "{} missed: {:?}", missed.count, &ask);
        prop_assert_eq!(seconds(&got), seconds(&ask.expected(kept)), "{:?}", ask);
    }
    Ok(())
}

/// A kind of observation from few: runs of one kind, so that rings turn over one after the other.
fn kinds(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let run = (prop::sample::select(&[0u8, 30, 200][..]), 1usize..400);
    proptest::collection::vec(run, 1..most).prop_map(|runs| {
        runs.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn answers_are_exact_at_the_edges_of_the_rings(
        kinds in kinds(16),
        batch in 1usize..200,
        skip in any::<u8>(),
        parts in 1usize..6,
    ) {
        let (h, mut model) = (history(64 << 10), Model::default());
        let all: Vec<_> = (0i64..).zip(&kinds).map(|(second, kind)| observation(second, *kind)).collect();
        for (part, items) in all.chunks(all.len().div_ceil(parts)).enumerate() {
            for items in items.chunks(batch) {
                model.0.extend(items.iter().cloned());
                h.push(items.to_vec());
            }
            // Not only when all is there.
            check(&h, &model.kept(&h), usize::from(skip) + part)?;
        }
    }

    /// What is asked for while it is pushed out comes as far as it is still there; the rest is told as missed.
    #[test]
    fn answers_are_exact_while_the_rings_turn_over(
        before in kinds(20),
        meanwhile in kinds(12),
        which in any::<prop::sample::Index>(),
        room in 1usize..64,
        steps in proptest::collection::vec(0usize..300, 1..20),
    ) {
        let (h, mut model) = (history(64 << 10), Model::default());
        let mut next = 0;
        let mut push = |model: &mut Model, kinds: &[u8]| {
            let items: Vec<_> = (next..).zip(kinds).map(|(second, kind)| observation(second, *kind)).collect();
            next += i64::try_from(items.len()).unwrap();
            model.0.extend(items.iter().cloned());
            h.push(items);
        };
        before.chunks(50).for_each(|kinds| push(&mut model, kinds));
        let kept = model.kept(&h);
        let asks = close_asks(&kept);
        let ask = Ask { room, ..asks[which.index(asks.len())].clone() };
        let query = Query::new(ask.request()).unwrap();
        let (from, end) = query.range(&h, &|| true);
        let expected = ask.expected(&kept);
        let (mut reader, mut got, mut missed) = (h.reader(from, end), Vec::new(), Missed::default());
        let (mut kinds, mut steps) = (&meanwhile[..], steps.into_iter());
        loop {
            let chunk = reader.step(&query.selection, room);
            missed = missed.and(chunk.missed().unwrap_or_default());
            got.extend(chunk.items);
            if chunk.at_end {
                break;
            }
            let (now, later) = kinds.split_at(steps.next().unwrap_or_default().min(kinds.len()));
            push(&mut model, now);
            kinds = later;
        }
        let left: HashSet<_> = model.kept(&h).iter().map(|o| super::codec::time_of(o)).collect();
        let there = |o: &Observation| left.contains(&super::codec::time_of(o));
        let taken: HashSet<_> = got.iter().map(super::codec::time_of).collect();
        if query.limit().is_none() {
            let gone: Vec<_> = expected.iter().filter(|o| !taken.contains(&super::codec::time_of(o))).collect();
            prop_assert!(gone.iter().all(|o| !there(o)), "what is still there was passed over");
            prop_assert!(missed.count >= gone.len() as u64, "{} of {} told", missed.count, gone.len());
            prop_assert_eq!(got.len() + gone.len(), expected.len(), "more than was asked for");
            if let (Some(first), Some(last), Some(lost)) = (missed.first, missed.last, gone.first()) {
                prop_assert!(first <= super::codec::time_of(lost) && super::codec::time_of(lost) <= last);
            }
        }
        prop_assert!(seconds(&got).is_sorted_by(|a, b| a < b), "in order, nothing twice");
        if missed.count == 0 && query.limit().is_none() {
            prop_assert_eq!(seconds(&got), seconds(&expected));
        }
    }

    #[test]
    fn answers_are_exact_after_a_restart_with_torn_files(
        kinds in kinds(24),
        skip in any::<u8>(),
        tears in proptest::collection::vec((any::<prop::sample::Index>(), 0u64..400_000, any::<bool>()), 1..3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let all: Vec<_> = (0i64..).zip(&kinds).map(|(second, kind)| observation(second, *kind)).collect();
        {
            let h = open(folder.path(), 64 << 20);
            for (at, items) in all.chunks(16).enumerate() {
                h.push(items.to_vec());
                if at.is_multiple_of(4) {
                    h.finish_within(LATE);
                }
            }
            h.finish_within(LATE);
            prop_assert_eq!(h.status().disk.unwrap().not_written, 0);
        }
        tear(folder.path(), &tears);
        let h = open(folder.path(), 64 << 20);
        let (kept, missed) = read(&mut h.reader(h.oldest(None), None), &with_benign(), 64);
        prop_assert_eq!(missed.count, h.status().disk.unwrap().lost);
        prop_assert!(kept.len() as u64 + missed.count <= all.len() as u64);
        let kept: Vec<_> = kept.into_iter().map(Arc::new).collect();
        prop_assert!(seconds_of(&kept).is_sorted_by(|a, b| a < b), "in order, nothing twice");
        prop_assert!(kept.iter().all(|o| usize::try_from(super::codec::time_of(o).as_second()).is_ok_and(|at| all.get(at) == Some(o))), "nothing that never was");
        check(&h, &kept, skip.into())?;
        // It goes on, and both are one.
        let more: Vec<_> = (100_000i64..100_100).map(|second| observation(second, 200)).collect();
        h.push(more.clone());
        check(&h, &[kept, more].concat(), usize::from(skip) + 1)?;
    }
}

fn with_benign() -> Selection {
    Selection::default().with_benign(true)
}

fn seconds_of(items: &[Arc<Observation>]) -> Vec<i64> {
    items.iter().map(|o| super::codec::time_of(o).as_second()).collect()
}

/// Cuts files off somewhere, or what is before their end.
fn tear(folder: &Path, tears: &[(prop::sample::Index, u64, bool)]) {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some());
    files.sort();
    for (which, bytes, zeroes) in tears {
        let file = OpenOptions::new().write(true).open(&files[which.index(files.len())]).unwrap();
        let len = file.metadata().unwrap().len();
        let whole = len.saturating_sub(*bytes);
        file.set_len(whole).unwrap();
        if *zeroes {
            // As a machine that went down leaves it: the length was written, and not the bytes.
            file.set_len(len).unwrap();
        }
    }
}
