//! The agent's history: what it costs to keep a drop, and to look for few in many.

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use netdrop::agent::{History, HistorySize, Selection};
use netdrop::filter::{Filters, FlowFilter};
use netdrop::flow::{Flow, L4, Observation};

use crate::packets;

/// As by default.
const DROPS: usize = 64 << 20;
const BATCH: u32 = 512;

/// Drops of a hundred pods' addresses, ports of clients, and few reasons.
fn drops(from: u32) -> Vec<Arc<Observation>> {
    let template = packets::flow("tcp");
    (from..from + BATCH).map(|n| Arc::new(Observation::Flow(drop_of(&template, n)))).collect()
}

fn drop_of(template: &Flow, n: u32) -> Flow {
    let mut flow = template.clone();
    let time = 1_700_000_000_000_000_000 + i128::from(n) * 1_000_000;
    flow.time = Timestamp::from_nanosecond(time).expect("a time of our days");
    (flow.tally.first, flow.tally.last) = (flow.time, flow.time);
    flow.uuid = Some(uuid::Uuid::from_u128(u128::from(n) << 64));
    let [low, high, ..] = (n % 25_000).to_le_bytes();
    if let Some(ip) = &mut flow.packet.ip {
        ip.source = [10, 244, high, low].into();
    }
    if let Some(L4::Tcp { source_port, .. }) = &mut flow.packet.l4 {
        *source_port = 30_000 + u16::from(low) + 256 * u16::from(high);
    }
    flow
}

fn filled() -> Arc<History> {
    let history = Arc::new(History::new(HistorySize { drops: DROPS, flows: 1 << 20 }));
    let mut from = 0;
    // Until the first are gone: it is full.
    while history.status().seen == history.status().drops.len {
        history.push(drops(from));
        from += BATCH;
    }
    history
}

/// One batch of capture's.
#[divan::bench]
fn keep(bencher: Bencher<'_, '_>) {
    let history = History::new(HistorySize { drops: DROPS, flows: 1 << 20 });
    let batch = drops(0);
    bencher.counter(ItemsCount::new(batch.len())).bench(|| history.push(black_box(batch.clone())));
}

/// Filters of which nothing, or one in many, is in a history that is full.
const FILTERS: &[(&str, &str)] = &[
    ("address", r#"{"source_ip": ["10.244.7.7"]}"#),
    ("prefix", r#"{"source_ip": ["10.243.0.0/16"]}"#),
    ("port", r#"{"destination_port": ["5433"]}"#),
    ("pod", r#"{"source_pod": ["staging/checkout"]}"#),
    ("reason", r#"{"reason": ["NO_SOCKET"]}"#),
    ("protocol", r#"{"protocol": ["udp"]}"#),
    ("flags", r#"{"tcp_flags": [{"SYN": true, "ACK": true}], "ip_version": ["IPv4"]}"#),
    ("http", r#"{"http_status_code": ["5+"]}"#),
    ("interface", r#"{"interface": [{"name": "eth7"}]}"#),
    ("process", r#"{"comm": ["curl"]}"#),
    ("identity", r#"{"source_identity": [2]}"#),
    ("cel", r#"{"experimental": {"cel_expression": ["_flow.l4.TCP.destination_port == uint(5433)"]}}"#),
];

/// All that matches, in the whole of it.
#[divan::bench(args = FILTERS.iter().map(|(name, _)| *name), sample_count = 5, sample_size = 1)]
fn look_for(bencher: Bencher<'_, '_>, name: &str) {
    let text = FILTERS.iter().find(|(n, _)| *n == name).map_or("{}", |(_, text)| text);
    let one: FlowFilter = serde_json::from_str(text).expect("a filter as it is written");
    let selection =
        Selection::new(&Filters { allow: vec![one], deny: Vec::new() }).expect("a filter that makes sense");
    let history = filled();
    bencher.bench(|| {
        let mut reader = history.reader(history.oldest(None), Some(history.position()));
        let mut found = 0;
        loop {
            let chunk = reader.step(&selection, 64);
            found += chunk.items.len();
            if chunk.at_end {
                break found;
            }
        }
    });
}
