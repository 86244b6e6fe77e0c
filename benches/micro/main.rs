//! Micro-benchmarks of what netdrop does for each drop in user space, with the allocations of each step.
//!
//! `cargo bench -p netdrop-bench`; one of them: `cargo bench -p netdrop-bench -- json`.

#![expect(clippy::expect_used, reason = "a benchmark says what it expects, as a test does")]

mod followers;
mod history;
mod merge;
mod packets;
mod relay;
mod wire;

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use netdrop::agent::metrics::{MetricSpec, Metrics};
use netdrop::convert;
use netdrop::decode::{self, DropEvent};
use netdrop::filter::{Compiled, Filters, FlowFilter};
use netdrop::flow::Observation;
use netdrop::sink::{Format, PrintOptions, Printer, Sink as _};

use packets::NAMES;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// Lines that a printer writes in one go: as many as the reader hands on.
const BATCH: usize = 512;

fn main() {
    divan::main();
    followers::report().expect("a terminal or a file");
}

/// From the bytes of the ring buffer to a checked record: a short one and one with all header bytes there is room for.
#[divan::bench(args = ["tcp", "vxlan"])]
fn record_decode(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = packets::record_bytes(name);
    assert!(DropEvent::decode(&bytes).is_ok(), "a record that this build reads");
    bencher.bench(|| DropEvent::decode(black_box(&bytes)));
}

/// From a record's bytes to headers.
#[divan::bench(args = NAMES)]
fn packet_parse(bencher: Bencher<'_, '_>, name: &str) {
    let event = packets::event(name);
    bencher.bench(|| decode::parse(black_box(&event)));
}

/// Filters of one value each, as they are typed.
const FILTERS: &[(&str, &str)] = &[
    ("none", "{}"),
    ("ip", r#"{"source_ip": ["10.244.1.0/24"]}"#),
    ("pod", r#"{"source_pod": ["production/checkout"]}"#),
    ("label", r#"{"source_label": ["app in (checkout, cart)"]}"#),
    ("reason", r#"{"reason": ["NETFILTER_*"]}"#),
    ("port", r#"{"destination_port": ["5432"]}"#),
];

/// Whether a flow is to be shown.
#[divan::bench(args = FILTERS.iter().map(|(name, _)| *name))]
fn filter_match(bencher: Bencher<'_, '_>, name: &str) {
    let text = FILTERS.iter().find(|(n, _)| *n == name).map_or("{}", |(_, text)| text);
    let one: FlowFilter = serde_json::from_str(text).expect("a filter as it is written");
    let allow = if name == "none" { Vec::new() } else { vec![one] };
    let filter: Compiled = Filters { allow, deny: Vec::new() }.compile().expect("a filter");
    let flow = packets::flow("tcp");
    assert!(filter.matches(&flow), "every filter here fits, so that none ends early");
    bencher.bench(|| filter.matches(black_box(&flow)));
}

/// One flow through a printer; a table keeps what it is given, so that a batch goes through each.
#[divan::bench(args = ["compact", "dict", "tab", "json"])]
fn print(bencher: Bencher<'_, '_>, name: &str) {
    let format = Format::from_name(name).expect("a format");
    let observation = Observation::Flow(packets::flow("tcp"));
    let options = PrintOptions { format, ..PrintOptions::default() };
    bencher.counter(ItemsCount::new(BATCH)).bench(|| {
        let mut printer = Printer::new(options, io::sink(), io::sink());
        for _ in 0..BATCH {
            drop(black_box(printer.write(black_box(&observation))));
        }
        printer.finish()
    });
}

/// From a flow to the type that goes over the wire.
#[divan::bench]
fn to_wire(bencher: Bencher<'_, '_>) {
    let observation = Observation::Flow(packets::flow("tcp"));
    bencher.bench(|| convert::to_wire(black_box(&observation)));
}

/// What the agent does for its metrics: names of lists, each more than the one before.
const METRICS: &[(&str, &str)] = &[
    ("drop flow", "drop flow"),
    ("drop by pod", "drop:sourceContext=pod|ip;destinationContext=pod|ip"),
    (
        "all by pod",
        "drop:sourceContext=pod|ip;destinationContext=pod|ip flow:labelsContext=source_pod,destination_pod \
         port-distribution tcp icmp flows-to-world",
    ),
];

/// A batch of flows of several pods, one after the other, so that no flow finds what the one before has left.
#[divan::bench(args = METRICS.iter().map(|(name, _)| *name))]
fn metrics(bencher: Bencher<'_, '_>, name: &str) {
    let list = METRICS.iter().find(|(n, _)| *n == name).map_or("", |(_, list)| list);
    let specs = MetricSpec::parse_list(list).expect("metrics as they are typed");
    let metrics = Metrics::new(&specs, 10_000).expect("metrics");
    let flows: Vec<Arc<Observation>> = ["tcp", "udp", "icmp", "tcp", "udp6", "sctp", "tcp", "udp"]
        .map(|name| Arc::new(Observation::Flow(packets::flow(name))))
        .into();
    let batch: Vec<Arc<Observation>> = flows.iter().cycle().take(BATCH).cloned().collect();
    bencher.counter(ItemsCount::new(BATCH)).bench(|| metrics.observe(black_box(&batch)));
}
