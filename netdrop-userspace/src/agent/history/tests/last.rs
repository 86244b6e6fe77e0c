//! Where the last so many begin, if there are fewer.

use super::super::{Selection, last};
use super::{flow, history, lost, read, seconds};
use crate::filter::{Filters, FlowFilter};

fn of_verdict(verdict: i32) -> Selection {
    let filter = FlowFilter { verdict: vec![verdict], ..FlowFilter::default() };
    Selection::new(&Filters { allow: vec![filter], deny: Vec::new() }).unwrap()
}

/// All was looked through to find that: nothing is read again but what is shown.
#[test]
fn fewer_than_asked_for_begin_at_the_first_that_is_shown() {
    let h = history(1 << 20);
    let none = of_verdict(3);
    h.push((0..1000).map(|second| flow(second, true)).collect());
    let [from, end] = last::begin(&h, 20, &none, &|| true);
    assert_eq!(from, end, "nothing is shown");
    h.push(vec![flow(1000, false), lost(1001, 7), flow(1002, true)]);
    let [from, end] = last::begin(&h, 20, &none, &|| true);
    let (shown, missed) = read(&mut h.reader(from, Some(end)), &none, 10);
    assert_eq!((seconds(&shown), missed.count), (vec![1001], 0), "losses are");
    assert!(from.0.iter().zip(end.0).all(|(from, end)| end - from <= 2), "{from:?} to {end:?}");
    let all = of_verdict(2);
    let [from, _] = last::begin(&h, 2000, &all, &|| true);
    assert_eq!(Some(from), Some(h.oldest(None)), "those before are shown");
}
