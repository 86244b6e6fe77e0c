//! The agent's history: what it costs to keep a drop, and to look for few in many.

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use netdrop::agent::{History, HistorySize, Selection};
use netdrop::filter::{Filters, FlowFilter};
use netdrop::flow::{EventType, Flow, Identity, L4, Observation, TrafficDirection};

use crate::packets;

/// As by default.
const DROPS: usize = 64 << 20;
const BATCH: u32 = 512;
/// One drop in so many is another: some in each block, so that none is passed over as a whole.
const FEW: u32 = 4096;

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
    if n.is_multiple_of(FEW) {
        flow.source.identity = Identity(12_345);
        flow.direction = TrafficDirection::Egress;
        flow.is_reply = Some(true);
        flow.drop_reason_desc = 133;
        flow.event_type = EventType { kind: 4, sub_type: 3 };
        flow.destination_names = vec!["few.example.com".into()];
        flow.node_name = Some("few".into());
    }
    flow
}

static FILLED: LazyLock<Arc<History>> = LazyLock::new(filled);

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

/// Filters of which nothing, or one in many, is in a history that is full. What they ask for where they say `few` is in each block.
const FILTERS: &[(&str, &str)] = &[
    ("address", r#"{"source_ip": ["10.244.7.7"]}"#),
    ("prefix", r#"{"source_ip": ["10.243.0.0/16"]}"#),
    ("port", r#"{"destination_port": ["5433"]}"#),
    ("pod", r#"{"source_pod": ["staging/checkout"]}"#),
    ("label", r#"{"destination_label": ["app=none"]}"#),
    ("workload", r#"{"source_workload": [{"name": "none"}]}"#),
    ("service", r#"{"destination_service": ["default/none"]}"#),
    ("fqdn", r#"{"destination_fqdn": ["*.example.org"]}"#),
    ("fqdn, few", r#"{"destination_fqdn": ["few.*"]}"#),
    ("reason", r#"{"reason": ["NO_SOCKET"]}"#),
    ("drop reason, few", r#"{"drop_reason_desc": ["POLICY_DENIED"]}"#),
    ("event type, few", r#"{"event_type": [{"type": 4}]}"#),
    ("verdict", r#"{"verdict": ["ERROR"]}"#),
    ("direction, few", r#"{"traffic_direction": ["EGRESS"]}"#),
    ("reply, few", r#"{"reply": [true]}"#),
    ("protocol", r#"{"protocol": ["udp"]}"#),
    ("flags", r#"{"tcp_flags": [{"SYN": true, "ACK": true}], "ip_version": ["IPv4"]}"#),
    ("http", r#"{"http_status_code": ["5+"]}"#),
    ("dns", r#"{"dns_query": ["x"]}"#),
    ("interface", r#"{"interface": [{"name": "eth7"}]}"#),
    ("node, few", r#"{"node_name": ["few"]}"#),
    ("process", r#"{"comm": ["curl"]}"#),
    ("identity", r#"{"source_identity": [2]}"#),
    ("identity, few", r#"{"source_identity": [12345]}"#),
    ("uuid", r#"{"uuid": ["00000000-0000-0001-0000-000000000001"]}"#),
    ("not", r#"{"not": {"verdict": ["DROPPED"]}}"#),
    ("not prefix", r#"{"not": {"source_ip": ["10.244.0.0/16"]}}"#),
    ("cel", r#"{"cel": "_flow.l4.TCP.destination_port == uint(5433)"}"#),
    (
        "cel: verdict and port",
        r#"{"cel": "_flow.verdict == Verdict.DROPPED && _flow.l4.TCP.destination_port == 5433u"}"#,
    ),
    ("cel: identity, few", r#"{"cel": "_flow.source.identity == 12345u || has(_flow.l4.UDP)"}"#),
    ("cel: pod", r#"{"cel": "_flow.source.pod_name.startsWith('none')"}"#),
    ("cel: labels", r#"{"cel": "_flow.source.labels.exists(l, l.matches('^zz'))"}"#),
    ("cel: address", r#"{"cel": "_flow.IP.source == '10.244.7.7'"}"#),
    ("cel: address's text", r#"{"cel": "_flow.IP.source.startsWith('10.243.')"}"#),
    ("cel: port's size", r#"{"cel": "_flow.l4.TCP.destination_port > 60000u"}"#),
    ("cel: sum of ports", r#"{"cel": "_flow.l4.TCP.destination_port + 1u == 60000u"}"#),
    ("cel: extensions", r#"{"cel": "_flow.extensions.site.startsWith('none')"}"#),
    ("cel: time", r#"{"cel": "_flow.time < timestamp('2020-01-01T00:00:00Z')"}"#),
    ("cel: both addresses", r#"{"cel": "_flow.IP.source.size() == _flow.IP.destination.size() + 9"}"#),
    ("cel: address or ports", r#"{"cel": "(_flow.IP.source < '0') == (_flow.l4.TCP.source_port > 1u)"}"#),
    ("cel: both ends", r#"{"cel": "_flow.source.pod_name == _flow.destination.pod_name"}"#),
    ("cel: summary", r#"{"cel": "_flow.Summary.contains('none')"}"#),
];

/// As it is written: what is wanted, what is not, or an expression.
fn filters(text: &str) -> Filters {
    let filter = |value: serde_json::Value| -> FlowFilter {
        serde_json::from_value(value).expect("a filter as it is written")
    };
    let mut value: serde_json::Value = serde_json::from_str(text).expect("a filter as it is written");
    if let Some(expression) = value.get("cel") {
        let value = serde_json::json!({"experimental": {"cel_expression": [expression]}});
        return Filters { allow: vec![filter(value)], deny: Vec::new() };
    }
    match value.get_mut("not").map(serde_json::Value::take) {
        Some(not) => Filters { allow: Vec::new(), deny: vec![filter(not)] },
        None => Filters { allow: vec![filter(value)], deny: Vec::new() },
    }
}

/// All that matches, in the whole of it.
#[divan::bench(args = FILTERS.iter().map(|(name, _)| *name), sample_count = 5, sample_size = 1)]
fn look_for(bencher: Bencher<'_, '_>, name: &str) {
    let text = FILTERS.iter().find(|(n, _)| *n == name).map_or("{}", |(_, text)| text);
    let selection = Selection::new(&filters(text)).expect("a filter that makes sense");
    let history = &*FILLED;
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
