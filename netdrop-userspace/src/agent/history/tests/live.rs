//! What followers are dealt out, whoever keeps up and whoever does not.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::time::timeout;

use super::super::live::Place;
use super::super::{Fed, Feed, History, Missed, Position, Selection, Wanted};
use super::{flow, history, read, seconds};
use crate::agent::mask::Mask;
use crate::convert::from_wire;
use crate::filter::{Filters, FlowFilter};
use crate::flow::Observation;
use crate::proto::observer::GetFlowsResponse;

fn wanted(filter: Option<FlowFilter>) -> Wanted {
    let filters = Filters { allow: filter.into_iter().collect(), deny: vec![] };
    let selection = Arc::new(Selection::new(&filters).unwrap());
    Wanted { filters: Arc::new(filters), selection, mask: Mask::default() }
}

fn push(h: &History, seconds: std::ops::Range<i64>, batch: usize) {
    let all: Vec<_> = seconds.map(|second| flow(second, second % 3 != 0)).collect();
    all.chunks(batch).for_each(|items| h.push(items.to_vec()));
}

/// Times of what is dealt out up to one, what was missed, and where the follower was taken off, if it was.
async fn dealt(feed: &mut Feed, last: i64) -> (Vec<i64>, Missed, Option<Position>) {
    let (mut got, mut missed) = (Vec::new(), Missed::default());
    while got.last() != Some(&last) {
        match timeout(Duration::from_mins(1), feed.next()).await.expect("more is dealt out") {
            Some(Fed::Items(items)) => {
                got.extend(items.iter().map(|item| item.time.as_second()));
            }
            Some(Fed::Missed(more)) => missed = missed.and(more),
            Some(Fed::Behind(position)) => return (got, missed, Some(position)),
            None => panic!("nobody left"),
        }
    }
    (got, missed, None)
}

#[tokio::test]
async fn all_get_what_comes_from_when_they_joined() {
    let h = history(1 << 20);
    push(&h, 0..10, 3);
    let (mut first, from) = h.follow(wanted(None)).unwrap();
    assert_eq!(from, h.position());
    push(&h, 10..700, 300);
    let (mut second, _) = h.follow(wanted(None)).unwrap();
    let drops = FlowFilter { verdict: vec![2], ..FlowFilter::default() };
    let (mut third, _) = h.follow(wanted(Some(drops))).unwrap();
    push(&h, 700..1000, 1);
    assert_eq!(dealt(&mut first, 999).await.0, (10..1000).collect::<Vec<_>>());
    assert_eq!(dealt(&mut second, 999).await.0, (700..1000).collect::<Vec<_>>());
    let drops: Vec<_> = (700..999).filter(|second| second % 3 != 0).collect();
    assert_eq!(dealt(&mut third, 998).await.0, drops);
}

#[tokio::test]
async fn responses_are_those_of_the_observations() {
    let h = history(1 << 20);
    let (mut feed, _) = h.follow(wanted(None)).unwrap();
    let pushed = [flow(1, true), super::lost(2, 7), Arc::new(Observation::Flow(super::made::full(3)))];
    let _ = pushed.iter().map(|item| h.push(vec![Arc::clone(item)])).count();
    let mut got = Vec::new();
    while got.len() < 3 {
        let Some(Fed::Items(items)) = feed.next().await else { panic!() };
        for item in items.iter() {
            let bytes = item.response.encode_to_vec();
            assert_eq!(bytes, crate::convert::to_wire(&pushed[got.len()]).encode_to_vec());
            got.push(from_wire(GetFlowsResponse::decode(&*bytes).unwrap()));
        }
    }
}

#[tokio::test]
async fn one_that_stands_still_is_taken_off_and_goes_on_where_that_was() {
    let h = history(64 << 20);
    let (mut lazy, _) = h.follow(wanted(None)).unwrap();
    let (mut other, _) = h.follow(wanted(None)).unwrap();
    let (mut at, mut all) = (0, Vec::new());
    // Far more than a queue may hold.
    while at < 40_000 {
        push(&h, at..at + 200, 100);
        at += 200;
        all.extend(dealt(&mut other, at - 1).await.0);
    }
    assert_eq!(all, (0..at).collect::<Vec<_>>(), "nobody else notices");
    let (mut got, missed, position) = dealt(&mut lazy, at - 1).await;
    assert!(!got.is_empty() && missed.count == 0);
    let position = position.expect("it was taken off");
    assert_eq!(lazy.leave(), None, "only once");
    let mut reader = h.reader(position, None);
    got.extend(seconds(&read(&mut reader, &Selection::default(), 64).0));
    assert_eq!(got, (0..at).collect::<Vec<_>>(), "no gap, nothing twice");
}

#[tokio::test]
async fn who_leaves_is_told_where_to_go_on() {
    let h = history(1 << 20);
    let (mut feed, _) = h.follow(wanted(None)).unwrap();
    push(&h, 0..500, 7);
    let position = feed.leave().expect("it was there");
    let mut got = Vec::new();
    while let Some(fed) = feed.next().await {
        let Fed::Items(items) = fed else { panic!() };
        got.extend(items.iter().map(|item| item.time.as_second()));
    }
    got.extend(seconds(&read(&mut h.reader(position, None), &Selection::default(), 64).0));
    assert_eq!(got, (0..500).collect::<Vec<_>>(), "however much was dealt out by then");
}

/// The thread is held up for so long that what waits is let go: then it reads in the rings, and tells what was gone there.
#[tokio::test]
async fn what_the_thread_could_not_take_is_read_from_the_rings() {
    for (bytes, whole) in [(64 << 20, true), (64 << 10, false)] {
        let h = history(bytes);
        let (mut feed, _) = h.follow(wanted(None)).unwrap();
        push(&h, 0..10, 1);
        let (mut got, _, _) = dealt(&mut feed, 9).await;
        let mut missed = Missed::default();
        {
            // Whoever deals out needs this, and capture does not.
            let held = h.live.hold();
            push(&h, 10..20_000, 100);
            drop(held);
        }
        let (more, also, off) = dealt(&mut feed, 19_999).await;
        got.extend(more);
        missed = missed.and(also);
        if let Some(position) = off {
            // Too much at once for a queue: as any client that falls behind.
            let (items, also) = read(&mut h.reader(position, None), &Selection::default(), 64);
            got.extend(seconds(&items));
            missed = missed.and(also);
            feed = h.follow(wanted(None)).unwrap().0;
        }
        assert!(got.is_sorted_by(|a, b| a < b), "in order, nothing twice");
        assert_eq!(got.len() as u64 + missed.count, 20_000);
        assert_eq!(missed.count == 0, whole, "{missed:?}");
        // It goes on as before.
        push(&h, 20_000..20_010, 1);
        assert_eq!(dealt(&mut feed, 20_009).await.0, (20_000..20_010).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn nobody_costs_nothing() {
    let h = history(1 << 20);
    let (feed, _) = h.follow(wanted(None)).unwrap();
    assert!(h.live.backlog.is_active());
    drop(feed);
    assert!(!h.live.backlog.is_active());
    push(&h, 0..100, 10);
    let (mut feed, from) = h.follow(wanted(None)).unwrap();
    assert_eq!(from, h.position());
    assert_eq!(h.lock().place(), Place { seq: 100, position: from });
    push(&h, 100..110, 1);
    assert_eq!(dealt(&mut feed, 109).await.0, (100..110).collect::<Vec<_>>());
}
