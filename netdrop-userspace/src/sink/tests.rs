use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::flow::{
    DropReason, Endpoint, EndpointInfo, Ethernet, EventType, Flow, IcmpMessage, Identity, Interface, Ip, L4,
    LostEvents, LostSource, NodeStatus, Packet, Process, ServiceName, Tally, TallyKind, TcpFlags,
    TrafficDirection, Verdict, Workload,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn pod(namespace: &str, name: &str) -> Endpoint {
    let info = EndpointInfo {
        namespace: namespace.into(),
        pod_name: name.into(),
        labels: vec![format!("k8s:app={name}").into()],
        workloads: vec![Workload { name: name.into(), kind: "Deployment".into() }],
        node: None,
    };
    Endpoint { id: 0, identity: Identity::UNKNOWN, info: Some(Arc::new(info)) }
}

fn ip(source: &str, destination: &str) -> Ip {
    Ip {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: 6,
        ttl: 63,
        total_length: 60,
        fragment: None,
    }
}

fn tcp_drop() -> Flow {
    let mut f = Flow::new(at("2025-01-02T03:04:05.678901234Z"), Verdict::Dropped);
    f.uuid = Some(uuid::Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef));
    f.packet.ethernet = Some(Ethernet { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 2] });
    f.packet.ip = Some(ip("10.244.1.60", "10.244.1.5"));
    f.packet.l4 = Some(L4::Tcp { source_port: 44916, destination_port: 80, flags: TcpFlags(2) });
    f.source = pod("default", "xwing");
    f.destination = pod("default", "deathstar");
    f.reason = Some(DropReason { code: 8, subsystem: "CORE".into(), name: "NETFILTER_DROP".into() });
    f.site = Some(crate::kernel::site_from_text(0, "nft_do_chain+0x3b7 [nf_tables]"));
    f.event_type = EventType { kind: 1, sub_type: 255 };
    f.node_name = Some("worker-1".into());
    f.interface = Some(Interface { index: 7, name: Some("eth0".into()) });
    f.process = Some(Process { pid: 42, tid: 43, comm: "curl <x>".into(), owner: false });
    f.direction = TrafficDirection::Egress;
    f
}

fn icmp6_drop() -> Flow {
    let mut f = Flow::new(at("2025-08-21T12:12:13.517Z"), Verdict::Dropped);
    f.packet.ip = Some(ip("fe80::1", "ff02::2"));
    f.packet.l4 = Some(L4::Icmpv6(IcmpMessage { kind: 133, code: 0 }));
    f.drop_reason_desc = 132;
    f.event_type = EventType { kind: 1, sub_type: 132 };
    f
}

fn v6_reply() -> Flow {
    let mut f = Flow::new(at("2025-01-02T03:04:08Z"), Verdict::Forwarded);
    f.packet.ip = Some(ip("2001:db8::1", "2001:db8::2"));
    f.packet.l4 = Some(L4::Tcp { source_port: 1234, destination_port: 443, flags: TcpFlags(0x12) });
    f.source.identity = Identity(16_777_217);
    f.destination.identity = Identity::HOST;
    f.event_type = EventType { kind: 4, sub_type: 11 };
    f.is_reply = Some(true);
    f
}

fn frame() -> Flow {
    let mut f = Flow::new(at("2025-01-02T03:04:08Z"), Verdict::Dropped);
    f.packet = Packet {
        ethernet: Some(Ethernet { source: [2, 0, 0, 0, 0, 1], destination: [255; 6] }),
        ether_type: Some(0x88b5),
        ..Packet::default()
    };
    f.event_type = EventType { kind: 1, sub_type: 166 };
    f
}

fn hostile() -> Flow {
    let mut f = tcp_drop();
    f.source = pod("evil\u{1b}[2J", "a\r\nb\u{202e}c");
    f.remote_summary = Some("x\u{1b}]0;owned\u{7}".into());
    f
}

fn service_of_world() -> Flow {
    let mut f = tcp_drop();
    f.source = Endpoint { identity: Identity::WORLD, ..Endpoint::default() };
    f.destination = Endpoint::default();
    f.destination_service =
        Some(Arc::new(ServiceName { name: "kube-dns".into(), namespace: "kube-system".into() }));
    f.packet.l4 = Some(L4::Udp { source_port: 44916, destination_port: 53 });
    f.source_names = vec!["dns.google".into(), "dns2".into()];
    f.tally = Tally { kind: TallyKind::Flow, count: 1234, bytes: 99, first: f.time, last: f.time };
    f
}

fn lost() -> Observation {
    Observation::Lost(LostEvents {
        source: LostSource::HubbleRingBuffer,
        count: 7,
        cpu: Some(0),
        time: at("2025-01-02T03:04:11Z"),
        first: Some(at("2025-01-02T03:04:10Z")),
        last: Some(at("2025-01-02T03:04:11Z")),
        node_name: Some("n1".into()),
    })
}

fn unavailable() -> Observation {
    Observation::Status(NodeStatus {
        time: at("2025-01-02T03:04:11Z"),
        reporter: Some("n1".into()),
        state: NodeState::Unavailable,
        nodes: vec!["n2".into(), "n3".into()],
        message: String::new(),
    })
}

fn all() -> Vec<Observation> {
    let mut v: Vec<Observation> =
        [tcp_drop(), icmp6_drop(), v6_reply(), frame(), hostile(), service_of_world()]
            .map(Observation::Flow)
            .into();
    v.extend([lost(), unavailable()]);
    v
}

fn print(options: PrintOptions, observations: &[Observation]) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut printer = Printer::new(options, &mut out, &mut err);
    for o in observations {
        printer.write(o).unwrap();
    }
    printer.finish().unwrap();
    drop(printer);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Compares with the bytes of a file under `golden/`; NETDROP_BLESS=1 writes it.
fn golden(name: &str, (out, err): (String, String)) {
    let path = format!("{}/src/sink/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = format!("{out}--- stderr\n{err}");
    if std::env::var_os("NETDROP_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "{name}");
}

fn options(format: Format) -> PrintOptions {
    PrintOptions { format, ..PrintOptions::default() }
}

#[test]
fn compact() {
    golden("compact.txt", print(options(Format::Compact), &all()));
}

#[test]
fn compact_in_colour_with_nodes() {
    let o = PrintOptions { color: true, print_node_name: true, ..options(Format::Compact) };
    golden("compact-color.txt", print(o, &all()));
}

#[test]
fn compact_numeric_with_another_time() {
    let o = PrintOptions { numeric: true, time_format: TimeFormat::Rfc3339Nano, ..options(Format::Compact) };
    golden("compact-numeric.txt", print(o, &all()));
}

#[test]
fn dict() {
    golden("dict.txt", print(PrintOptions { print_node_name: true, ..options(Format::Dict) }, &all()));
}

#[test]
fn table() {
    golden("table.txt", print(options(Format::Table), &all()));
}

#[test]
fn json() {
    golden("json.txt", print(options(Format::Json), &all()));
}

#[test]
fn json_is_json() {
    let (out, _) = print(options(Format::Json), &all());
    for line in out.lines() {
        let v: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(v.get("time").is_some());
    }
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let facts = &first["flow"]["extensions"]["value"];
    assert_eq!(facts["kernel_reason"], "NETFILTER_DROP");
    assert_eq!(facts["comm"], "curl <x>");
    assert!(out.contains("curl \\u003cx\\u003e"));
}

#[test]
fn json_on_a_terminal_lets_none_out() {
    let mut flow = hostile();
    flow.node_name = Some("n\u{9b}2J\u{202e}\u{7f}".into());
    let printed = |terminal| {
        let mut out = Vec::new();
        let mut printer = Printer::new(options(Format::Json), &mut out, Vec::new()).on_terminal(terminal);
        printer.write(&Observation::Flow(flow.clone())).unwrap();
        printer.finish().unwrap();
        drop(printer);
        String::from_utf8(out).unwrap()
    };
    let (tame, raw) = (printed(true), printed(false));
    assert!(raw.contains("n\u{9b}2J\u{202e}") && tame.contains("n\\u009b2J\\u202e\\u007f"), "{tame}");
    assert!(!tame.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{tame}");
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    assert_eq!(value(&tame), value(&raw));
}

#[test]
fn no_text_format_lets_a_control_character_out() {
    for format in [Format::Compact, Format::Dict, Format::Table] {
        let (out, _) = print(options(format), &[Observation::Flow(hostile())]);
        assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "{out:?}");
    }
}
