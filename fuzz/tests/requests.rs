//! The corpus of the request target; `NETDROP_BLESS=1` writes what is missing. Finds of the fuzzer lie beside it.

use std::fs;
use std::path::Path;

use netdrop::proto::flow::flow_filter::Experimental;
use netdrop::proto::flow::{EventTypeFilter, FlowFilter, TcpFlags, Workload};
use netdrop::proto::observer::GetFlowsRequest;
use prost::Message as _;
use prost_types::{Any, FieldMask, Timestamp};

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// A request with one filter.
fn with(filter: FlowFilter) -> GetFlowsRequest {
    GetFlowsRequest { whitelist: vec![filter], ..GetFlowsRequest::default() }
}

/// What clients ask, and what they better had not.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let base = FlowFilter::default;
    let ask = GetFlowsRequest::default;
    let numbers = FlowFilter {
        event_type: vec![EventTypeFilter { r#type: -1, match_sub_type: true, sub_type: i32::MIN }],
        verdict: vec![2, -7, i32::MAX],
        drop_reason_desc: vec![0, 133, i32::MIN],
        traffic_direction: vec![9],
        ip_version: vec![-1],
        source_identity: vec![u32::MAX],
        tcp_flags: vec![TcpFlags { syn: true, ..TcpFlags::default() }],
        reply: vec![false, true],
        encrypted: vec![true],
        ip_trace_id: vec![u64::MAX],
        ..base()
    };
    let names = FlowFilter {
        source_pod: texts(&["default/", "/x", "a/b/c", "\u{1b}[0m", ""]),
        source_fqdn: texts(&["*.example.org.", "*********************a", "\u{e9}"]),
        destination_service: texts(&["ns/", "\0"]),
        node_name: texts(&["*/*", "a/b/c", "[", ""]),
        source_workload: vec![Workload { name: "x".into(), kind: "Deployment".into() }],
        uuid: texts(&["not-a-uuid"]),
        ..base()
    };
    let addresses = FlowFilter {
        source_ip: texts(&["10.0.0.0/8", "2001:DB8::1", "1.2.3.4/33", "/", "::/0"]),
        source_port: texts(&["80", "65536", "-1", "", "+7"]),
        protocol: texts(&["tcp", "ICMP", "foo"]),
        ..base()
    };
    let labels = FlowFilter {
        source_label: texts(&["k8s:app=x", "a in (b,c),!d", "a in (", "=", "a==b=c", "any:x notin ()"]),
        ..base()
    };
    let patterns = FlowFilter {
        http_path: texts(&["(a{1000}){1000}", "(", "^/api/.*$"]),
        http_status_code: texts(&["5+", "+", "999999"]),
        dns_query: texts(&["(?i)x|y"]),
        ..base()
    };
    let deep = "(".repeat(2000);
    let expressions = Experimental {
        cel_expression: texts(&["_flow.verdict == Verdict.DROPPED", "1 +", "[1].map(x, x)", &deep]),
    };
    let mask = |paths: &[&str]| Some(FieldMask { paths: texts(paths) });
    let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let any = |value: &[u8]| Any {
        type_url: "type.googleapis.com/google.protobuf.Struct".into(),
        value: value.to_vec(),
    };
    let mut all = vec![
        ("empty", ask()),
        ("numbers", with(numbers)),
        ("names", with(names)),
        ("addresses", with(addresses)),
        ("labels", with(labels)),
        ("patterns", with(patterns)),
        ("expressions", with(FlowFilter { experimental: Some(expressions), ..base() })),
        ("first-and-follow", GetFlowsRequest { first: true, follow: true, ..ask() }),
        ("times", GetFlowsRequest { since: time(i64::MAX, -1), until: time(i64::MIN, i32::MAX), ..ask() }),
        (
            "mask",
            GetFlowsRequest { field_mask: mask(&["time", "source.pod_name", "l4.TCP.flags.SYN"]), ..ask() },
        ),
        ("mask-of-nothing", GetFlowsRequest { field_mask: mask(&["nope", "source..", ""]), ..ask() }),
        (
            "extension",
            GetFlowsRequest { extensions: Some(any(b"\x0a\x07\x0a\x01a\x12\x02\x20\x01")), ..ask() },
        ),
        ("extension-of-garbage", GetFlowsRequest { extensions: Some(any(&[0xff; 30])), ..ask() }),
        ("many-filters", GetFlowsRequest { whitelist: vec![base(); 250], ..ask() }),
        ("too-many-filters", GetFlowsRequest { blacklist: vec![base(); 600], ..ask() }),
    ]
    .into_iter()
    .map(|(name, request)| (name, request.encode_to_vec()))
    .collect::<Vec<_>>();
    // A Struct in a Struct, and so on: beyond what a decoder goes into.
    let nested = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut value = vec![0x2a];
        prost::encoding::encode_varint(inner.len() as u64, &mut value);
        value.extend(inner);
        let mut entry = vec![0x0a, 0x00, 0x12];
        prost::encoding::encode_varint(value.len() as u64, &mut entry);
        entry.extend(value);
        let mut of = vec![0x0a];
        prost::encoding::encode_varint(entry.len() as u64, &mut of);
        of.extend(entry);
        of
    });
    all.push(("nested", GetFlowsRequest { extensions: Some(any(&nested)), ..ask() }.encode_to_vec()));
    all.push(("cut", b"\x32\x7f\x0a".to_vec()));
    all.push(("groups", vec![0x0b; 500]));
    all
}

#[test]
fn the_corpus_holds_all_kinds_of_requests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/request");
    for (name, bytes) in requests() {
        let path = folder.join(name);
        if std::env::var_os("NETDROP_BLESS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(
            fs::read(&path).is_ok_and(|b| b == bytes),
            "corpus/request/{name}: NETDROP_BLESS=1 writes it"
        );
    }
}
