//! What is looked at quickly gives the same as what is read in full: lines, messages and what is wrong with them.

use std::sync::OnceLock;

use netdrop_tests::flowgen::FlowGen;
use proptest::prelude::*;
use serde_json::json;

use super::parse::Parsed;
use super::*;
use crate::filter::{Compiled, Filters};
use crate::sink::{Format, PrintOptions};
use crate::wire::json::{self, Unknown};
use crate::wire::lines::{LineMaker, Lines};
use crate::wire::print::Options;
use crate::wire::window::Window;

/// The full way for all lines.
struct Full<M>(M);

impl<M: Maker> Maker for Full<M> {
    type Made = M::Made;

    fn quickly(&self, _: &str, _: &mut M::Made) -> bool {
        false
    }

    fn message(&self, response: GetFlowsResponse, made: &mut M::Made) {
        self.0.message(response, made);
    }
}

/// Lines of all kinds; most of what can be read is as it would be written.
fn lines(seed: u64, count: usize) -> Vec<String> {
    let mut generator = FlowGen::new(seed).unwrap();
    if seed.is_multiple_of(3) {
        generator = generator.wild();
    }
    let all = generator.file(count, |_| {});
    let written = |(i, line): (usize, &str)| {
        let mut out = String::new();
        match json::read::<GetFlowsResponse>(line, Unknown::Refuse) {
            Ok(response) if i % 8 > 0 && json::write(&response, &mut out).is_ok() => out,
            _ => line.to_owned(),
        }
    };
    all.split('\n').enumerate().map(written).collect()
}

fn filter(text: &serde_json::Value) -> Compiled {
    let one = |text: &serde_json::Value| serde_json::from_value(text.clone()).unwrap();
    let (allow, deny) = (text.get(0).map(one), text.get(1).map(one));
    Filters { allow: allow.into_iter().collect(), deny: deny.into_iter().collect() }.compile().unwrap()
}

fn filters() -> &'static [Compiled] {
    static FILTERS: OnceLock<Vec<Compiled>> = OnceLock::new();
    FILTERS.get_or_init(all_filters)
}

fn all_filters() -> Vec<Compiled> {
    [
        json!([]),
        json!([]),
        json!([{"verdict": ["DROPPED"]}]),
        json!([{"source_pod": ["kube-system/"], "protocol": ["TCP"]}, {"reply": [true]}]),
        json!([{"destination_label": ["k8s:app"]}, {"node_name": ["n*"]}]),
        json!([{"source_fqdn": ["*"]}, {"http_method": ["GET"]}]),
        json!([{"source_workload": [{"name": "w"}]}, {"destination_service": ["default/"]}]),
        json!([{"event_type": [{"type": 1}]}, {"tcp_flags": [{"SYN": true}]}]),
        json!([{"source_ip": ["10.0.0.0/8"], "ip_version": ["IPv4"]}, {"trace_id": ["x"]}]),
        json!([{"experimental": {"cel_expression": ["_flow.verdict == Verdict.DROPPED && has(_flow.l4.TCP)"]}}]),
        json!([{"experimental": {"cel_expression": ["size(_flow.source.labels) > 1 || _flow.node_labels != []"]}}]),
        json!([{"reason": ["NO_SOCKET"]}, {"source_identity": [1, 2]}]),
        json!([{"source_cluster_name": ["default"]}, {"traffic_direction": ["EGRESS"]}]),
        json!([{"uuid": ["u"]}, {"interface": [{"name": "eth0"}]}]),
        json!([{"encrypted": [false], "node_labels": ["!x"]}, {"dns_query": ["^a"]}]),
        json!([{"source_ip_xlated": ["10.0.0.0/8"]}, {"drop_reason_desc": ["POLICY_DENIED"]}]),
        json!([{"destination_port": ["80", "443", "53"]}, {"http_status_code": ["2+"]}]),
        json!([{"destination_fqdn": ["*.*"]}, {"source_service": ["default/"]}]),
        json!([{"destination_workload": [{"kind": "Deployment"}]}, {"destination_cluster_name": ["default"]}]),
        json!([{"source_label": ["!a"]}, {"ip_trace_id": [1]}]),
    ]
    .iter()
    .map(filter)
    .collect()
}

fn options(number: usize) -> Options {
    const FORMATS: [Format; 5] = [Format::Json, Format::Compact, Format::Wide, Format::Dict, Format::Json];
    let is = |bit: usize| number >> bit & 1 == 1;
    Options {
        print: PrintOptions {
            format: FORMATS[number % FORMATS.len()],
            print_node_name: is(3),
            numeric: is(4),
            color: is(5),
            ..PrintOptions::default()
        },
        policy_names: is(6),
        legacy_json: number % 10 == 4,
        terminal: is(7) && is(8),
        ..Options::default()
    }
}

fn maker(filter: &Compiled, number: usize) -> LineMaker {
    let since = number.is_multiple_of(7).then(|| "2025-05-01T00:00:00Z".parse().unwrap());
    let until = number.is_multiple_of(11).then(|| "2025-09-01T00:00:00Z".parse().unwrap());
    LineMaker::new(filter, &Window::new(None, None, since, until).unwrap(), options(number))
}

/// What differs between the two ways.
fn compare(text: &[u8], maker: impl Fn() -> LineMaker) {
    let by =
        |parsed: Parsed<Lines>| (format!("{:?}", parsed.made), parsed.any, parsed.troubles, parsed.lines);
    let quick = by(Parsed::of(text, &maker()));
    let full = by(Parsed::of(text, &Full(maker())));
    assert_eq!(quick, full, "{}: {:?}", String::from_utf8_lossy(text), maker());
}

#[test]
fn lines_of_all_kinds_give_the_same_in_all_formats() {
    let filters = filters();
    let mut quick = 0;
    for seed in 0..12u64 {
        let lines = lines(seed, 120);
        let text = lines.join("\n");
        for number in 0..70 {
            let number = number * 13 + usize::try_from(seed).unwrap();
            compare(text.as_bytes(), || maker(&filters[number % filters.len()], number));
        }
        let maker = maker(&filters[0], 1);
        quick += lines.iter().filter(|line| maker.quickly(line, &mut Lines::default())).count();
    }
    assert!(quick > 300, "the quick way was asked: {quick}");
}

/// A few of those of one of forty seeds.
fn some(seed: usize) -> &'static [String] {
    static LINES: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    &LINES.get_or_init(|| (0..40).map(|seed| lines(seed, 24)).collect())[seed]
}

/// What a hand or a broken disk makes of a line.
fn edit(line: &mut Vec<u8>, (kind, at, what): (u8, prop::sample::Index, &str)) {
    let at = at.index(line.len() + 1);
    let end = (at + usize::from(kind >> 2) % 6).min(line.len());
    match kind % 4 {
        0 => drop(line.splice(at..end, what.bytes())),
        1 => drop(line.drain(at..end)),
        // Once more what is there, so that names and values come twice.
        2 => {
            let to = line[at..].iter().position(|b| *b == b',').map_or(end, |length| at + length + 1);
            let again = line[at..to].to_vec();
            drop(line.splice(at..at, again));
        }
        // At the next text, number or end, where most can go wrong.
        _ => {
            let next = line[at..].iter().position(|b| matches!(b, b'"' | b'0'..=b'9' | b'}' | b':'));
            let next = next.map_or(line.len(), |length| at + length);
            drop(line.splice(next..(next + usize::from(kind >> 7)).min(line.len()), what.bytes()));
        }
    }
}

const PARTS: [&str; 46] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "0",
    "1",
    "-",
    ".",
    "e",
    "null",
    "true",
    "false",
    "\\u003c",
    "<",
    "\\n",
    "\\u000a",
    "\u{2028}",
    "\\u2028",
    "é",
    "\\u00e9",
    "\u{7f}",
    "\t",
    "\"a\":1,",
    "\"uuid\":\"x\",",
    "{}",
    "[]",
    "\"\"",
    "00",
    "4294967296",
    "99999999999999999999",
    "Z",
    "+01:00",
    "\"verdict\":\"NEW\",",
    "\u{1}",
    "\"@type\":\"x\",",
    "\"flow\":{},",
    "\"lost_events\":{},",
    "\"TCP\":{},",
    ",\"UDP\":{}",
    ",\"SCTP\":{}",
    "\"time\":null,",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn broken_lines_give_the_same(
        seed in 0usize..40,
        number in 0usize..2000,
        edits in prop::collection::vec(
            (any::<u8>(), any::<prop::sample::Index>(), prop::sample::select(&PARTS[..])),
            0..4,
        ),
        from in 0usize..20,
    ) {
        let filters = filters();
        let text: Vec<Vec<u8>> = some(seed)[from..from + 4]
            .iter()
            .map(|line| {
                let mut line = line.clone().into_bytes();
                for one in &edits {
                    edit(&mut line, *one);
                }
                line
            })
            .collect();
        compare(&text.join(&b'\n'), || maker(&filters[number % filters.len()], number));
        // By all that is quick in JSON, and in text.
        for number in [0, 1] {
            compare(&text.join(&b'\n'), || maker(&filters[0], number));
        }
    }

    #[test]
    fn what_is_exact_is_what_is_written(
        seed in 0usize..40,
        at in any::<prop::sample::Index>(),
        edits in prop::collection::vec(
            (any::<u8>(), any::<prop::sample::Index>(), prop::sample::select(&PARTS[..])),
            0..3,
        ),
    ) {
        let mut line = at.get(some(seed)).clone().into_bytes();
        for one in &edits {
                    edit(&mut line, *one);
                }
        if let Ok(line) = str::from_utf8(&line) && json::is_exact::<GetFlowsResponse>(line) {
            let read = json::read::<GetFlowsResponse>(line, Unknown::Refuse).unwrap();
            let mut written = String::new();
            json::write(&read, &mut written).unwrap();
            prop_assert_eq!(line, written);
        }
    }
}
