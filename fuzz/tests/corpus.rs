//! Every entry of the corpus through every target, in little memory and time; and how the corpus is made.
#![expect(unsafe_code, reason = "an allocator that keeps count")]
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netdrop::proto::flow::Flow;
use netdrop::wire::json::{self, Unknown};
use netdrop_common::event::{HEAD_SHORT, SHORT_LEN};
use netdrop_fuzz::{TARGETS, packet};
use netdrop_tests::flowgen::FlowGen;
use netdrop_tests::traffic::hostile::{self, Ends, Hostile};
use prost::Message as _;

/// Most bytes that one input may have in use at once, beyond [`FACTOR`] times its own size. Most of it are the printers' buffers.
const FLOOR: usize = 1 << 20;
/// A type of 12 bytes costs an index entry and some names.
const FACTOR: usize = 64;
/// Far above what any of them takes, far below a hang; the build is not optimised and the machine may be busy.
const LIMIT: Duration = Duration::from_secs(20);

/// Counts what the running thread has in use.
struct Counting;

thread_local! {
    static USED: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(more: usize, less: usize) {
    // At its end a thread frees what it can't count any more.
    let _ = USED.try_with(|used| {
        used.set(used.get().saturating_add(more).saturating_sub(less));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(used.get())));
    });
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a target; more memory or time than its input is worth fails like a panic.
fn run(name: &str, target: fn(&[u8]), bytes: &[u8]) {
    let (start, before) = (Instant::now(), USED.get());
    PEAK.set(before);
    target(bytes);
    let (took, used) = (start.elapsed(), PEAK.get() - before);
    assert!(took < LIMIT, "{name}: {} bytes took {took:?}", bytes.len());
    let most = FLOOR + FACTOR * bytes.len();
    assert!(used < most, "{name}: {} bytes took {used} bytes of memory, more than {most}", bytes.len());
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(target)
}

/// File name and content of a target's corpus.
fn entries(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut entries: Vec<(String, Vec<u8>)> = fs::read_dir(folder(target))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    entries.sort();
    entries
}

#[test]
fn every_entry_through_every_target() {
    for (corpus, _) in TARGETS {
        let entries = entries(corpus);
        assert!(entries.len() > 10, "the corpus of {corpus} is gone: {} entries", entries.len());
        for (entry, bytes) in &entries {
            for (name, target) in TARGETS {
                run(&format!("corpus/{corpus}/{entry} through {name}"), target, bytes);
            }
        }
    }
}

/// Lines that no exporter writes.
const LINES: &[(&str, &str)] = &[
    ("empty", ""),
    ("both-spellings", r#"{"flow":{"nodeName":"a","policy_match_type":1,"isReply":true}}"#),
    (
        "deep",
        r#"{"a":[[[[{"b":[{}]}]]]],"flow":{"extensions":{"@type":"a/google.protobuf.Struct","value":{"c":[[[1e-7]]]}}}}"#,
    ),
    ("escapes", r#"{"flow":{"Summary":"\ud83d\ude00\u001b[31m\r\n\t\/\"","uuid":"\ud800"}}"#),
    (
        "any-in-any",
        r#"{"flow":{"extensions":{"@type":"a/google.protobuf.Any","value":{"@type":"a/flow.Flow","reply":true}}}}"#,
    ),
    ("numbers", r#"{"flow":{"drop_reason":"1e2","cgroup_id":7,"event_type":{"type":1.0,"sub_type":-0}}}"#),
    ("times", r#"{"flow":{"time":"9999-12-31T23:59:59.999999999Z"},"time":"0001-01-01T00:00:00+00:00"}"#),
    ("of-a-newer-hubble", r#"{"new":null,"flow":{"verdict":"NEWER","l4":{"QUIC":{}}}}"#),
    (
        "wrappers",
        r#"{"flow":{"extensions":{"@type":"a/google.protobuf.ListValue","value":[1e-7,-0,"x",{"@type":[]},null]}}}"#,
    ),
    ("float", r#"{"flow":{"extensions":{"@type":"a/google.protobuf.FloatValue","value":"-Infinity"}}}"#),
    ("double", r#"{"flow":{"extensions":{"@type":"a/google.protobuf.DoubleValue","value":-0}}}"#),
    ("bytes", r#"{"flow":{"extensions":{"@type":"a/google.protobuf.BytesValue","value":"-_AQ"}}}"#),
    ("paths", r#"{"flow":{"extensions":{"@type":"a/google.protobuf.FieldMask","value":"aB.c,dE"}}}"#),
    ("duration", r#"{"flow":{"extensions":{"@type":"a/google.protobuf.Duration","value":"-1.000000001s"}}}"#),
    ("two-lines", "{\"flow\":{}}\n{\"lost_events\":{\"cpu\":-1}}"),
];

/// Expressions that go deep into a flow.
const EXPRESSIONS: &[&str] = &[
    "_flow.source.labels.exists(l, l.contains('app')) || _flow.node_labels.all(l, l.size() > 2)",
    "_flow.l7.http.headers.map(h, h.key + '=' + h.value).filter(t, t.matches('^[a-z-]+=.*$')).size() > 0",
    "_flow.extensions.nested.list.size() == 4 && _flow.extensions.kernel_reason.startsWith('T')",
    "_flow.time - timestamp('2025-01-01T00:00:00Z') > duration('1h') ? _flow.IP.source != '' : has(_flow.l4.TCP)",
    "_flow.egress_allowed_by.exists_one(p, p.revision > 3u && p.labels.exists(l, l in _flow.source.labels))",
    "int(_flow.source.identity) * 2 - 1 in [1, 3, 5] || string(_flow.event_type.sub_type) == '133'",
];

/// Filters that look at much of a flow.
const FILTERS: &[&str] = &[
    r#"{"source_pod":["default/","/db"],"destination_ip":["10.0.0.0/8","fd00::/16"],"verdict":["DROPPED"]}"#,
    r#"{"source_label":["k8s:app in (checkout),!none"],"tcp_flags":[{"SYN":true}],"http_path":["^/page"]}"#,
    r#"{"protocol":["tcp","icmp","dns"],"event_type":[{"type":1},{"type":4,"match_sub_type":true}],"reply":[false]}"#,
    r#"{"source_fqdn":["*.example.com"],"node_name":["*/worker-*"],"source_workload":[{"kind":"Deployment"}]}"#,
];

/// A text, a zero byte, and a flow.
fn on_a_flow(text: &str, number: usize) -> Vec<u8> {
    let flow = FlowGen::new(number as u64 + 1).unwrap().flow().to_string();
    let flow: Flow = json::read(&flow, Unknown::Refuse).unwrap();
    [text.as_bytes(), b"\0", &flow.encode_to_vec()].concat()
}

fn ends() -> Ends {
    Ends {
        from4: [10, 0, 1, 2].into(),
        to4: [10, 0, 2, 2].into(),
        from6: "fd00:1::2".parse().unwrap(),
        to6: "fd00:2::2".parse().unwrap(),
    }
}

/// Input of the packet target, in every shape of a record.
fn inputs(hostile: &Hostile) -> impl Iterator<Item = Vec<u8>> + '_ {
    let frame = [&[2; 12][..], &hostile.ether_type.to_be_bytes(), &hostile.bytes].concat();
    (0..=255).filter(|shape| shape & 32 == 0).flat_map(move |shape| {
        let input = |packet: &[u8]| [&hostile.ether_type.to_be_bytes(), &[shape][..], packet].concat();
        [input(&hostile.bytes), input(&frame)]
    })
}

#[test]
fn hostile_packets_of_every_size() {
    for fill in [0, 100, 65_000] {
        for hostile in hostile::all(ends(), fill) {
            for input in inputs(&hostile) {
                run(&hostile.name, packet::run, &input);
            }
        }
    }
}

fn bytes_of(record: &netdrop_common::event::DropRecord) -> &[u8] {
    let at: *const u8 = std::ptr::from_ref(record).cast();
    // SAFETY: a record is plain old data without padding, so all of its bytes are set; they live as long as the record.
    unsafe { std::slice::from_raw_parts(at, size_of_val(record)) }
}

/// What belongs into the corpora; `NETDROP_BLESS=1` writes what is missing. Finds of the fuzzer lie beside it.
#[test]
fn the_corpus_holds_every_hostile_packet() {
    let mut expected = Vec::new();
    for hostile in hostile::all(ends(), 0) {
        // Any, but the same whatever comes before it in the list.
        let shape = hostile.name.bytes().fold(7_u8, |hash, byte| (hash ^ byte).wrapping_mul(0x93));
        let input = [&hostile.ether_type.to_be_bytes(), &[shape][..], &hostile.bytes].concat();
        // Every tenth as a record of the ring, too: what differs is before the packet.
        if shape % 10 == 0 {
            let mut record = packet::record(hostile.ether_type.to_be_bytes(), shape, &hostile.bytes);
            let len = if hostile.bytes.len() > HEAD_SHORT { size_of_val(&record) } else { SHORT_LEN };
            record.len = u16::try_from(len).unwrap();
            expected.push(("ring", hostile.name.clone(), bytes_of(&record)[..len].to_vec()));
        }
        expected.push(("packet", hostile.name, input));
    }
    let mut record = packet::record([8, 0], 0, &[]);
    (record.flags, record.reason) = (u32::MAX, u32::MAX);
    (record.comm, record.dev_name) = ([0x1b; 16], [0xff; 16]);
    expected.push(("ring", "names-of-control-characters".to_owned(), bytes_of(&record).to_vec()));
    record.version = 0;
    expected.push(("ring", "another-version".to_owned(), bytes_of(&record).to_vec()));
    expected.push(("ring", "short".to_owned(), bytes_of(&record)[..100].to_vec()));
    for (number, line) in FlowGen::new(1).unwrap().lines(16).lines().enumerate() {
        expected.push(("wire", format!("generated-{number:02}"), line.as_bytes().to_vec()));
    }
    let wild = |lines: u64| FlowGen::new(lines).unwrap().wild();
    for number in 2..10 {
        // Files of a few lines.
        expected.push(("wire", format!("file-{number}"), wild(number).file(3, |_| {}).into_bytes()));
    }
    for (number, text) in EXPRESSIONS.iter().enumerate() {
        expected.push(("expression", format!("on-a-flow-{number}"), on_a_flow(text, number)));
    }
    for (number, text) in FILTERS.iter().enumerate() {
        expected.push(("filter", format!("on-a-flow-{number}"), on_a_flow(text, number)));
    }
    for (name, line) in LINES {
        expected.push(("wire", (*name).to_owned(), line.as_bytes().to_vec()));
    }
    for (target, name, bytes) in expected {
        let path = folder(target).join(&name);
        if std::env::var_os("NETDROP_BLESS").is_some() {
            fs::create_dir_all(folder(target)).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(
            fs::read(&path).is_ok_and(|b| b == bytes),
            "corpus/{target}/{name}: NETDROP_BLESS=1 writes it"
        );
    }
}
