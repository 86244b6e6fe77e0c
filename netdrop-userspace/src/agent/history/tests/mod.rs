mod damage;
mod disk;
mod edges;
mod index;
mod last;
mod live;
mod made;
mod model;

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use prost::Message as _;

use super::block::{Block, META, Meta, Open};
use super::codec::Dictionary;
use super::*;
use crate::convert::to_wire;
use crate::flow::{LostEvents, LostSource};
use made::some_observation;
pub(super) use made::{flow, lost};

/// All of a block, as far as it makes sense.
pub(super) fn decode(block: &Block) -> Vec<(u64, Option<Observation>)> {
    let (mut cursor, mut made) = (block.start(), Vec::new());
    let mut all = Vec::new();
    while let Some(record) = block.next(&mut cursor) {
        let names = &mut Dictionary { written: block.names(), made: &mut made };
        all.push((record.stamp.seq, record.decode(block.meta.base, names)));
    }
    all
}

proptest! {
    #[test]
    fn every_field_is_kept(items in proptest::collection::vec((1u64..1000, some_observation()), 1..12)) {
        let mut open = Open::new(1 << 20);
        let mut seq = 0;
        let mut expected = Vec::new();
        for (step, observation) in items {
            seq += step;
            open.push(seq, &observation);
            expected.push((seq, Some(observation)));
        }
        let block = open.block();
        let got = decode(&block);
        prop_assert_eq!(&got, &expected);
        for ((_, got), (_, expected)) in got.iter().zip(&expected) {
            let wire = |o: &Option<Observation>| o.as_ref().map(|o| to_wire(o).encode_to_vec());
            prop_assert_eq!(wire(got), wire(expected));
        }
        let (mut meta, mut bytes) = (Vec::new(), Vec::new());
        block.meta.write(&mut meta);
        block.write(&mut bytes);
        let back = Block::read(Meta::read(&meta).unwrap(), &bytes).unwrap();
        prop_assert_eq!(decode(&back), got);
        prop_assert_eq!((back.meta, meta.len()), (block.meta, META));
    }

    #[test]
    fn damage_is_a_missing_record_and_never_a_panic(
        items in proptest::collection::vec(some_observation(), 1..8),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut open = Open::new(1 << 20);
        for (seq, observation) in (0u64..).zip(&items) {
            open.push(seq, observation);
        }
        let (block, mut bytes) = (open.block(), Vec::new());
        block.write(&mut bytes);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        if let Some(block) = Block::read(block.meta, &bytes) {
            decode(&block);
        }
        bytes.truncate(cut.index(bytes.len()));
        if let Some(block) = Block::read(block.meta, &bytes) {
            decode(&block);
        }
    }
}

pub(super) fn history(bytes: usize) -> Arc<History> {
    Arc::new(History::new(HistorySize { drops: bytes, flows: bytes }))
}

pub(super) fn seconds(items: &[Observation]) -> Vec<i64> {
    items.iter().map(|o| codec::time_of(o).as_second()).collect()
}

/// All that a reader gets until it is at the end, and how many it missed.
pub(super) fn read(reader: &mut Reader, selection: &Selection, room: usize) -> (Vec<Observation>, Missed) {
    let (mut all, mut missed) = (Vec::new(), Missed::default());
    loop {
        let chunk = reader.step(selection, room);
        assert!(chunk.items.len() <= room, "no more than there is room for");
        missed = missed.and(chunk.missed().unwrap_or_default());
        all.extend(chunk.items);
        if chunk.at_end {
            return (all, missed);
        }
    }
}

/// Drops take less than 200 bytes each with all that capture knows of them, names among them.
#[test]
fn a_drop_takes_few_bytes_and_the_total_stays_within_what_was_asked() {
    for asked in [256 << 10, 1 << 20, 2 << 20] {
        let h = history(asked);
        for batch in 0..400 {
            h.push((0..100).map(|i| Arc::new(Observation::Flow(made::full(batch * 100 + i)))).collect());
            let drops = h.status().drops;
            assert!(drops.used <= asked, "{} of {asked} after {batch}", drops.used);
        }
        let drops = h.status().drops;
        // Small blocks share fewer names.
        assert!(asked < 2 << 20 || drops.used as u64 / drops.len < 200, "{drops:?}");
        assert!(drops.used > asked * 3 / 4, "it is used: {drops:?}");
        let (estimate, len) = (drops.capacity(), drops.len);
        assert!(estimate >= len && (len < 1000 || estimate < len * 13 / 10), "{estimate} for {len}");
    }
}

#[test]
fn names_that_never_come_again_stay_within_the_bytes_too() {
    let asked = 512 << 10;
    let h = history(asked);
    for batch in 0..200 {
        let one = |i: i64| {
            let mut flow = made::full(batch * 100 + i);
            flow.node_name = Some(format!("node-{batch}-{i}").into());
            flow.process.as_mut().unwrap().pid = u32::try_from(batch * 1000 + i).unwrap();
            flow.remote_summary = (i == 7).then(|| "x".repeat(20_000).into());
            Arc::new(Observation::Flow(flow))
        };
        h.push((0..100).map(one).collect());
        assert!(h.status().drops.used <= asked, "{:?}", h.status().drops);
    }
}

#[test]
fn forwarded_flows_never_push_drops_out() {
    let h = history(256 << 10);
    h.push(vec![flow(0, true)]);
    for second in 1..60_000 {
        h.push(vec![flow(second, false)]);
    }
    let (items, _) = read(&mut h.reader(h.oldest(None), None), &Selection::default(), 64);
    assert_eq!(seconds(&items)[0], 0);
    assert!(items.len() < 60_000, "the others turn over");
    assert!(seconds(&items).is_sorted(), "both in the order of time");
}

#[test]
fn an_overrun_reader_is_told_how_many_it_missed_and_when_they_were() {
    let h = history(256 << 10);
    h.push(vec![flow(0, true), flow(1, true)]);
    let mut reader = h.reader(h.oldest(None), None);
    assert_eq!(seconds(&read(&mut reader, &Selection::default(), 64).0), [0, 1]);
    for second in 2..90_000 {
        h.push(vec![flow(second, second % 3 == 0)]);
    }
    let (items, missed) = read(&mut reader, &Selection::default(), 64);
    assert_eq!(items.len() as u64 + missed.count, 89_998);
    assert!(missed.count > 0);
    let (first, last) = (missed.first.unwrap().as_second(), missed.last.unwrap().as_second());
    assert!(0 <= first && first < last && last < 90_000, "{first} to {last}");
    assert_eq!(h.reader(h.oldest(None), None).step(&Selection::default(), 1).missed(), None);
}

/// Its end may be anywhere in a block that is gone, even one that nobody remembers.
#[test]
fn a_reader_that_is_overrun_before_its_end_is_told_from_when_to_when() {
    for more in [40_000, 300_000] {
        let h = history(256 << 10);
        h.push((0..10).map(|second| flow(second, true)).collect());
        let mut reader = h.reader(h.oldest(None), None);
        assert_eq!(read(&mut reader, &Selection::default(), 64).0.len(), 10);
        h.push(vec![flow(10, true), flow(11, true)]);
        let mut reader = reader.until(h.position());
        h.push((12..more).map(|second| flow(second, true)).collect());
        let (items, missed) = read(&mut reader, &Selection::default(), 64);
        assert_eq!((items.len(), missed.count), (0, 2));
        let (first, last) = (missed.first.unwrap(), missed.last.unwrap());
        assert!(9 <= first.as_second() && first <= last, "{first} to {last}");
    }
}

#[test]
fn losses_and_states_come_in_their_place() {
    let h = history(256 << 10);
    let filters: crate::filter::Filters = crate::filter::Filters {
        allow: vec![crate::filter::FlowFilter { source_port: vec!["9".into()], ..Default::default() }],
        deny: vec![],
    };
    h.push(vec![flow(0, true), lost(1, 5), flow(2, false)]);
    let (items, _) = read(&mut h.reader(h.oldest(None), None), &Selection::new(&filters).unwrap(), 64);
    assert!(matches!(&items[..], [Observation::Lost(LostEvents { count: 5, .. })]), "{items:?}");
    let all = read(&mut h.reader(h.oldest(None), None), &Selection::default(), 64).0;
    assert_eq!(seconds(&all), [0, 1, 2]);
    assert_eq!(all[1], *lost(1, 5));
    assert!(matches!(&all[1], Observation::Lost(l) if l.source == LostSource::PerfEventRingBuffer));
}

#[test]
fn a_rest_that_a_filter_asks_too_much_of_is_told_as_lost() {
    let h = history(256 << 10);
    let mut rest = made::plain(5, true);
    rest.tally.kind = crate::flow::TallyKind::Rest;
    rest.tally.count = 77;
    h.push(vec![Arc::new(Observation::Flow(rest)), flow(6, true)]);
    let filters = crate::filter::Filters {
        allow: vec![crate::filter::FlowFilter {
            source_ip: vec!["203.0.113.9".into()],
            ..Default::default()
        }],
        deny: vec![],
    };
    let (items, _) = read(&mut h.reader(h.oldest(None), None), &Selection::new(&filters).unwrap(), 64);
    assert!(matches!(&items[..], [Observation::Lost(LostEvents { count: 77, .. })]), "{items:?}");
}

/// The last that match may be far back, and a filter slow: nothing is looked for when whoever asked has gone.
#[test]
fn what_nobody_wants_any_more_is_not_looked_for() {
    let h = history(256 << 10);
    for second in 0..2000 {
        h.push(vec![flow(second, true)]);
    }
    let filters = crate::filter::Filters {
        allow: vec![crate::filter::FlowFilter { source_port: vec!["9".into()], ..Default::default() }],
        deny: vec![],
    };
    let nothing = Selection::new(&filters).unwrap();
    let asked = std::cell::Cell::new(0);
    let wanted = |most| {
        asked.set(0);
        h.last(1, &nothing, &|| asked.replace(asked.get() + 1) < most);
        asked.get()
    };
    let blocks = wanted(usize::MAX);
    assert!(blocks > 4, "{blocks} blocks are no proof");
    // The other rings ask once more before they end.
    assert!(wanted(2) <= 2 + super::RINGS, "{}", asked.get());
}

#[test]
fn the_span_is_known() {
    let h = history(256 << 10);
    assert_eq!(h.status().drops.oldest, None);
    h.push(vec![flow(5, true), flow(6, false)]);
    let status = h.status();
    assert_eq!(status.drops.oldest, Some(Timestamp::from_second(5).unwrap()));
    assert_eq!(status.flows.oldest, Some(Timestamp::from_second(6).unwrap()));
    assert_eq!((status.seen, status.drops.len, status.flows.len), (2, 1, 1));
}
