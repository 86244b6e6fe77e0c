use super::*;
use crate::sink::TimeFormat;
use crate::wire::json::{Unknown, read};

const XWING: &str = r#"{"flow":{"time":"2025-01-02T03:04:05.678Z","verdict":"DROPPED","IP":{"source":"10.244.1.60","destination":"fd00::5"},"l4":{"TCP":{"source_port":44916,"destination_port":80}},"source":{"identity":3456,"namespace":"default","pod_name":"xwing"},"destination":{"identity":2},"node_name":"n1","event_type":{"type":1,"sub_type":133},"Summary":"TCP Flags: SYN"},"node_name":"n1"}"#;
const LOST: &str = r#"{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"7","cpu":3,"first":"2025-01-02T03:04:10Z","last":"2025-01-02T03:04:11Z"},"node_name":"n1","time":"2025-01-02T03:04:11Z"}"#;
const NODES: &str = r#"{"node_status":{"state_change":"NODE_UNAVAILABLE","node_names":["n2","n3"],"message":"a \"b\""},"node_name":"n1","time":"2025-01-02T03:04:11Z"}"#;

fn printed(options: Options, lines: &[&str]) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut printer = Printer::new(options, &mut out, &mut err);
    for line in lines {
        printer.write(&read(line, Unknown::Refuse).unwrap()).unwrap();
    }
    printer.finish().unwrap();
    drop(printer);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn options(format: Format) -> Options {
    Options { print: PrintOptions { format, ..PrintOptions::default() }, ..Options::default() }
}

fn compact(flow: &str) -> String {
    printed(options(Format::Compact), &[&format!("{{\"flow\":{flow}}}")]).0
}

#[test]
fn compact_lines() {
    let (out, err) = printed(options(Format::Compact), &[XWING, LOST, NODES, "{}"]);
    assert_eq!(
        out,
        "Jan  2 03:04:05.678: default/xwing:44916 (ID:3456) <> [fd00::5]:80 (world) Policy denied DROPPED (TCP Flags: SYN)\n\
         Jan  2 03:04:11.000 EVENTS LOST: HUBBLE_RING_BUFFER CPU(3) 7 (first: Jan  2 03:04:10.000, last: Jan  2 03:04:11.000)\n"
    );
    assert_eq!(err, "Jan  2 03:04:11.000 [n1]: 2 nodes are unavailable: n2, n3\n");
}

#[test]
fn json_cannot_drive_a_terminal() {
    let line = r#"{"flow":{"source":{"pod_name":"a\u009b2J\u202e\u007f"}},"node_name":"n"}"#;
    let nodes = r#"{"node_status":{"state_change":"NODE_ERROR","message":"\u0085"},"node_name":"n"}"#;
    for terminal in [false, true] {
        let (out, err) = printed(Options { terminal, ..options(Format::Json) }, &[line, nodes]);
        assert_eq!(out.contains(r"a\u009b2J\u202e\u007f"), terminal, "{out}");
        assert_eq!(out.contains('\u{9b}'), !terminal, "{out}");
        assert_eq!(err.contains('\u{85}'), !terminal, "{err}");
    }
}

#[test]
fn colours() {
    let color = PrintOptions { color: true, print_node_name: true, ..PrintOptions::default() };
    let (out, _) = printed(Options { print: color, ..Options::default() }, &[XWING]);
    assert_eq!(
        out,
        "Jan  2 03:04:05.678 [n1]: \u{1b}[36mdefault/xwing:\u{1b}[33m44916\u{1b}[0m\u{1b}[0m \u{1b}[35m(ID:3456)\u{1b}[0m <> \
         \u{1b}[36m[fd00::5]:\u{1b}[33m80\u{1b}[0m\u{1b}[0m \u{1b}[35m(world)\u{1b}[0m Policy denied \u{1b}[31mDROPPED\u{1b}[0m (TCP Flags: SYN)\n"
    );
}

#[test]
fn dict_records() {
    let (out, err) = printed(options(Format::Dict), &[XWING, LOST, NODES]);
    assert_eq!(
        out,
        "  TIMESTAMP: Jan  2 03:04:05.678\n     SOURCE: default/xwing:44916\nDESTINATION: [fd00::5]:80\n       TYPE: Policy denied\n    \
         VERDICT: DROPPED\n    SUMMARY: TCP Flags: SYN\n------------\n  TIMESTAMP: Jan  2 03:04:11.000\n     SOURCE: HUBBLE_RING_BUFFER\n       \
         TYPE: EVENTS LOST\n    VERDICT: -\n    SUMMARY: CPU(3) - 7 (first: Jan  2 03:04:10.000, last: Jan  2 03:04:11.000)\n"
    );
    assert_eq!(
        err,
        "------------\n  TIMESTAMP: Jan  2 03:04:11.000\n      STATE: NODE_UNAVAILABLE\n      NODES: n2, n3\n    MESSAGE: \"a \\\"b\\\"\"\n"
    );
}

#[test]
fn tables() {
    let (out, _) = printed(options(Format::Table), &[XWING, LOST]);
    assert_eq!(
        out,
        "TIMESTAMP             SOURCE                DESTINATION    TYPE            VERDICT   SUMMARY\n\
         Jan  2 03:04:05.678   default/xwing:44916   [fd00::5]:80   Policy denied   DROPPED   TCP Flags: SYN\n\
         Jan  2 03:04:11.000   HUBBLE_RING_BUFFER    -              EVENTS LOST     -         CPU(3) - 7 (first: Jan  2 03:04:10.000, last: Jan  2 03:04:11.000)\n"
    );
}

#[test]
fn json_lines() {
    let (out, err) = printed(options(Format::Json), &[XWING, LOST, NODES]);
    assert_eq!(out, format!("{XWING}\n{LOST}\n"));
    assert_eq!(err, format!("{NODES}\n"));
    let legacy = Options { legacy_json: true, ..options(Format::Json) };
    let (out, err) = printed(legacy, &[XWING, NODES]);
    assert!(out.starts_with("{\"time\":") && out.ends_with("SYN\"}\n"), "{out}");
    assert_eq!(err, "");
}

#[test]
fn types_of_events() {
    for (flow, shown) in [
        (r#"{"event_type":{"type":4,"sub_type":3}}"#, "to-stack VERDICT_UNKNOWN"),
        (r#"{"event_type":{"type":4,"sub_type":99}}"#, "99 VERDICT_UNKNOWN"),
        (r#"{"event_type":{"type":1,"sub_type":332}}"#, "76, 0 VERDICT_UNKNOWN"),
        (r#"{"event_type":{"type":3},"debug_capture_point":77}"#, "77 VERDICT_UNKNOWN"),
        (r#"{"event_type":{"type":7},"sock_xlate_point":3}"#, "pre-xlate-rev VERDICT_UNKNOWN"),
        (
            r#"{"event_type":{"type":5},"policy_match_type":2,"traffic_direction":2,"verdict":5}"#,
            "policy-verdict:L3-L4 EGRESS ALLOWED",
        ),
        (r#"{"verdict":99}"#, "UNKNOWN 99"),
        (
            r#"{"l7":{"type":"RESPONSE","dns":{"observation_source":"proxy"}}}"#,
            "dns-response proxy VERDICT_UNKNOWN",
        ),
        (r#"{"l7":{"type":9,"http":{}}}"#, "http-9 VERDICT_UNKNOWN"),
        (r#"{"l7":{}}"#, "l7-unknown_l7_type VERDICT_UNKNOWN"),
    ] {
        assert_eq!(compact(flow), format!("N/A:  (unknown) <>  (unknown) {shown} ()\n"), "{flow}");
    }
}

#[test]
fn summaries_and_policies() {
    let flow = r#"{"ip_trace_id":{"trace_id":"5"},"Summary":"s","auth_type":"SPIRE"}"#;
    assert!(compact(flow).ends_with(" (IP Trace ID: 5; s; Auth: SPIRE)\n"));
    let denied = r#"{"flow":{"verdict":"DROPPED","event_type":{"type":5},"traffic_direction":"INGRESS","ingress_denied_by":[{"name":"a","kind":"K"},{"name":"b"},{"name":"c","kind":"L"}]}}"#;
    let names = Options { policy_names: true, ..options(Format::Compact) };
    assert!(printed(names, &[denied]).0.contains(" DENIED BY a (K), c (L) ("));
    assert!(printed(options(Format::Compact), &[denied]).0.contains(" DENIED ("));
}

#[test]
fn hosts() {
    let host = |flow: &str| compact(flow).split(" (").next().unwrap()["N/A: ".len()..].to_owned();
    assert_eq!(host(r#"{"ethernet":{"source":"m"}}"#), "m");
    let names = r#"{"IP":{"source":"1"},"source_names":["a","b"]}"#;
    assert_eq!(host(names), "a,b");
    let service = r#"{"IP":{},"source":{"namespace":"x","pod_name":"../p"},"source_service":{"namespace":"s","name":"svc"},"l4":{"UDP":{"source_port":4294967295}}}"#;
    assert_eq!(host(service), "p:4294967295");
    let numeric = PrintOptions { numeric: true, time_format: TimeFormat::Rfc3339, ..PrintOptions::default() };
    let (out, _) = printed(Options { print: numeric, ..Options::default() }, &[XWING]);
    assert!(out.starts_with("2025-01-02T03:04:05Z: 10.244.1.60:44916 ("), "{out}");
}

#[test]
fn texts_cannot_drive_a_terminal() {
    let hostile = "{\"flow\":{\"Summary\":\"\\u001b[31mx\\u001b[2J\\r\\n\\u0007\"}}";
    let summary = |options| printed(options, &[hostile]).0.split_once("UNKNOWN (").unwrap().1.to_owned();
    assert_eq!(summary(options(Format::Compact)), "^[[31mx^[[2J\\r\n\u{7})\n");
    let color = PrintOptions { color: true, ..PrintOptions::default() };
    assert_eq!(summary(Options { print: color, ..Options::default() }), "\u{1b}[31mx^[[2J\\r\n\u{7})\n");
    assert_eq!(
        summary(Options { terminal: true, ..options(Format::Compact) }),
        "^[[31mx^[[2J\\r\\n\\u{7})\n"
    );
}

#[test]
fn a_message_without_json_is_an_error_and_leaves_no_half_line() {
    let mut out = Vec::new();
    let mut printer = Printer::new(options(Format::Json), &mut out, Vec::new());
    printer.write(&read(XWING, Unknown::Refuse).unwrap()).unwrap();
    let time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    let bad = GetFlowsResponse { time, ..read(XWING, Unknown::Refuse).unwrap() };
    let e = printer.write(&bad).unwrap_err().to_string();
    assert!(e.starts_with("json: error calling MarshalJSON for type *observer.GetFlowsResponse: proto: google.protobuf.Timestamp: seconds out of range"), "{e}");
    printer.finish().unwrap();
    drop(printer);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{XWING}\n"));
}

const STACK: &str = r#"{"flow":{"IP":{"source":"1.1.1.1","destination":"2.2.2.2"},"verdict":"DROPPED","Summary":"UDP","extensions":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"aggregated":"flow","count":"7","site":"f+0x1","stack":["f+0x1","g+0x2 [m]",5,"h\u001b\n"],"stack_more":true}}}}"#;

fn with_stack(format: Format, lines: &[&str]) -> String {
    printed(Options { stack: true, ..options(format) }, lines).0
}

#[test]
fn stacks_stand_below_their_flow() {
    let line = "N/A: 1.1.1.1 (unknown) <> 2.2.2.2 (unknown) UNKNOWN DROPPED (UDP)\n";
    assert_eq!(compact(STACK.strip_prefix("{\"flow\":").unwrap().strip_suffix('}').unwrap()), line);
    let out = with_stack(Format::Compact, &[STACK, XWING]);
    let frames = "    (the first of 7)\n    f+0x1\n    g+0x2 [m]\n    h^[\\n\n    ...\n";
    assert!(out.starts_with(&[line, frames].concat()), "{out}");
    assert!(out.ends_with("(TCP Flags: SYN)\n"), "one without: {out}");
    assert!(with_stack(Format::Wide, &[STACK]).ends_with(&["site=f+0x1\n", frames].concat()));
    let once = STACK.replace("\"aggregated\":\"flow\",\"count\":\"7\",", "");
    assert!(with_stack(Format::Compact, &[&once]).starts_with(&[line, "    f+0x1\n"].concat()));
}

#[test]
fn stacks_in_dict_and_table() {
    let out = with_stack(Format::Dict, &[STACK, XWING]);
    let block = "      STACK: (the first of 7)\n             f+0x1\n             g+0x2 [m]\n             h^[\\n\n             ...\n------------\n";
    assert!(out.contains(block), "{out}");
    let out = with_stack(Format::Table, &[STACK, XWING, LOST]);
    let cell = |n: usize| out.lines().nth(n).unwrap().rsplit("   ").next().unwrap();
    assert_eq!(cell(0), "STACK");
    assert_eq!(cell(1), "(the first of 7) f+0x1 < g+0x2 [m] < h^[\\n < ...");
    assert_eq!([cell(2), cell(3)], ["-", "-"]);
}

#[test]
fn json_has_stacks_anyway() {
    assert_eq!(with_stack(Format::Json, &[XWING]), printed(options(Format::Json), &[XWING]).0);
    assert_eq!(with_stack(Format::Json, &[STACK]), printed(options(Format::Json), &[STACK]).0);
}

#[test]
fn who_gets_no_stacks_is_told() {
    let lacks = |stack: bool, lines: &[&str]| {
        let mut printer = Printer::new(Options { stack, ..options(Format::Compact) }, Vec::new(), Vec::new());
        for line in lines {
            printer.write(&read(line, Unknown::Refuse).unwrap()).unwrap();
        }
        printer.lacks_stacks()
    };
    assert!(lacks(true, &[XWING, LOST]));
    assert!(!lacks(true, &[XWING, STACK]) && !lacks(false, &[XWING]) && !lacks(true, &[LOST]));
}
