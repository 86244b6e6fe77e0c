//! Series: found again, bounded, removed.

use jiff::Timestamp;

use super::*;
use crate::flow::{Ip, Verdict};

#[derive(Debug)]
struct Number;

impl What for Number {
    fn values(&self, what: u64, values: &mut Vec<Arc<str>>) {
        values.push(what.to_string().into());
    }
}

const SHAPE: Shape = Shape { name: "x", help: "X", what_names: &["what"], context_first: false };

fn family(options: &[(&str, &str)], most: usize) -> Family {
    let mut context = Context::default();
    for (option, value) in options {
        assert!(context.set(option, value).unwrap());
    }
    Family::new(SHAPE, &context, most)
}

fn pod(name: &str) -> Endpoint {
    let info = EndpointInfo { namespace: "ns".into(), pod_name: name.into(), ..EndpointInfo::default() };
    Endpoint { info: Some(Arc::new(info)), ..Endpoint::default() }
}

fn flow(source: &Endpoint, ip: [u8; 4]) -> Flow {
    let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
    flow.source = source.clone();
    let [source, destination] = [ip.into(), [10, 9, 9, 9].into()];
    flow.packet.ip = Some(Ip { source, destination, protocol: 17, ttl: 1, total_length: 1, fragment: None });
    flow
}

fn rows(family: &Family) -> Vec<(String, u64)> {
    let mut rows: Vec<_> = family.snapshot().iter().map(|(v, n)| (v.join("|"), *n)).collect();
    rows.sort();
    rows
}

#[test]
fn flows_that_differ_only_in_what_is_not_asked_share_a_series() {
    let mut family = family(&[("sourceContext", "pod")], 10);
    let (a, b) = (pod("a"), pod("b"));
    for (end, ip, what) in [(&a, 1, 7), (&a, 2, 7), (&b, 3, 7), (&a, 1, 8), (&a, 4, 7), (&pod("a"), 5, 7)] {
        family.add(&flow(end, [10, 0, 0, ip]), what, &Number);
    }
    let expected = [("7|ns/a", 4), ("7|ns/b", 1), ("8|ns/a", 1)];
    assert_eq!(rows(&family), expected.map(|(v, n)| (v.to_owned(), n)));
}

#[test]
fn an_observation_of_many_drops_counts_as_many() {
    let mut family = family(&[], 10);
    let mut many = flow(&pod("a"), [1; 4]);
    many.tally.count = 1000;
    family.add(&many, 1, &Number);
    family.add(&flow(&pod("a"), [1; 4]), 1, &Number);
    assert_eq!(rows(&family), [("1".to_owned(), 1001)]);
}

#[test]
fn beyond_the_bound_the_sums_stay_right() {
    let mut family = family(&[("sourceContext", "ip"), ("destinationContext", "ip")], 3);
    for round in 0..2 {
        for n in 0..10 {
            family.add(&flow(&Endpoint::default(), [10, 0, round, n]), u64::from(n % 2), &Number);
        }
    }
    let rows = rows(&family);
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert_eq!(rows.iter().map(|r| r.1).sum::<u64>(), 20);
    let of = |what: &str| rows.iter().filter(|r| r.0.starts_with(what)).map(|r| r.1).sum::<u64>();
    assert_eq!((of("0|"), of("1|")), (10, 10), "what happened stays right");
    assert!(rows.iter().any(|r| r.0 == "0|overflow|overflow"), "{rows:?}");
    assert_eq!(family.overflowed(), 17);
    family.add(&flow(&Endpoint::default(), [10, 0, 1, 8]), 0, &Number);
    family.add(&flow(&Endpoint::default(), [10, 0, 1, 8]), 0, &Number);
    assert_eq!(family.overflowed(), 19, "also those whose series is known");
}

#[test]
fn without_labels_for_who_there_is_no_bound() {
    let mut family = family(&[], 2);
    for what in 0..10 {
        family.add(&flow(&pod("a"), [1; 4]), what, &Number);
    }
    assert_eq!(rows(&family).len(), 10);
    assert_eq!(family.overflowed(), 0);
}

#[test]
fn series_of_pods_that_are_gone_are_removed() {
    let mut family = family(&[("sourceContext", "pod|ip")], 3);
    let (a, b) = (pod("a"), pod("b"));
    family.add(&flow(&a, [10, 0, 0, 1]), 1, &Number);
    family.add(&flow(&b, [10, 0, 0, 2]), 1, &Number);
    family.add(&flow(&Endpoint::default(), [10, 0, 0, 3]), 1, &Number);
    assert!(family.names_pods());
    let there = FxHashSet::from_iter([(Arc::from("ns"), Arc::from("b"))]);
    family.keep_pods(&there);
    let row = |v: &str, n| (v.to_owned(), n);
    assert_eq!(rows(&family), [row("1|10.0.0.3", 1), row("1|ns/b", 1)]);
    // There is room again, and what stayed is found again.
    family.add(&flow(&b, [10, 0, 0, 2]), 1, &Number);
    family.add(&flow(&pod("c"), [10, 0, 0, 4]), 1, &Number);
    assert_eq!(rows(&family), [row("1|10.0.0.3", 1), row("1|ns/b", 2), row("1|ns/c", 1)]);
    assert_eq!(family.overflowed(), 0);
}

#[test]
fn dns_names_are_looked_at_in_every_flow() {
    let mut family = family(&[("destinationContext", "dns|ip")], 10);
    for names in [&["a.example"][..], &["b.example"], &[]] {
        let mut flow = flow(&Endpoint::default(), [1; 4]);
        flow.destination_names = names.iter().map(|n| Arc::from(*n)).collect();
        family.add(&flow, 1, &Number);
        family.add(&flow, 1, &Number);
    }
    let expected = [("1|10.9.9.9", 2), ("1|a.example", 2), ("1|b.example", 2)];
    assert_eq!(rows(&family), expected.map(|(v, n)| (v.to_owned(), n)));
}

#[test]
fn values_are_escaped() {
    let mut value: Arc<str> = "a\"b\\c\nd".into();
    escape(&mut value);
    assert_eq!(&*value, "a\\\"b\\\\c\\nd");
}
