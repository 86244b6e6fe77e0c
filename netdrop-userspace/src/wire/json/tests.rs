use proptest::prelude::*;
use prost_types::Any;

use super::*;
use crate::proto::flow as wire;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::observer::{ExportEvent, GetFlowsResponse, ServerStatusResponse};

fn text<M: Message>(message: &M) -> String {
    let mut out = String::new();
    write(message, &mut out).unwrap();
    out
}

fn strict(text: &str) -> Result<GetFlowsResponse, String> {
    read(text, Unknown::Refuse).map_err(|e| e.to_string())
}

fn flow(text: &str) -> wire::Flow {
    let response = strict(&format!("{{\"flow\":{text}}}")).unwrap();
    let Some(ResponseTypes::Flow(flow)) = response.response_types else { panic!("no flow") };
    flow
}

#[test]
fn fields_in_the_order_of_their_declaration_and_unset_ones_left_out() {
    let line = concat!(
        r#"{"flow":{"time":"2025-01-02T03:04:05.678901234Z","uuid":"u1","verdict":"DROPPED","drop_reason":133,"#,
        r#""IP":{"source":"10.0.0.1","source_xlated":"10.0.0.9","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":1,"flags":{"SYN":true}}},"#,
        r#""source":{"ID":10,"identity":3,"labels":["a","\u003cb\u003e"],"workloads":[{"name":"w"},{}]},"Type":"L3_L4","#,
        r#""event_type":{"type":1,"sub_type":-1},"drop_reason_desc":76,"is_reply":false,"cgroup_id":"18446744073709551615","#,
        r#""Summary":"a\nb\u001b\"","extensions":{"@type":"type.googleapis.com/google.protobuf.Struct","#,
        r#""value":{"a":[1,null,true,"x"],"z":{"b":1.5}}},"policy_log":["x"],"aggregate":{"egress_flow_count":3}},"#,
        r#""node_name":"n","time":"2025-01-02T03:04:05Z"}"#
    );
    assert_eq!(text(&strict(line).unwrap()), line);
    assert_eq!(text(&GetFlowsResponse::default()), "{}");
    assert_eq!(
        text(&ServerStatusResponse { flows_rate: 0.5, ..Default::default() }),
        r#"{"flows_rate":0.5}"#
    );
}

#[test]
fn both_spellings_and_any_order_are_read() {
    let f = flow(
        r#"{"nodeName":"n","uuid":"u","is_reply":true,"IP":{"ip_version":0,"ipVersion":2},"type":1}"#
            .replace(r#""ip_version":0,"#, "")
            .replace(r#","type":1"#, r#","Type":1"#)
            .as_str(),
    );
    assert_eq!((f.node_name.as_str(), f.is_reply, f.r#type), ("n", Some(true), 1));
    assert_eq!(f.ip.unwrap().ip_version, 2);
    let f = flow(
        r#"{ "socketCookie" : 5 , "cgroup_id":"6", "proxy_port":"7", "verdict":null , "drop_reason":1e2}"#,
    );
    assert_eq!((f.socket_cookie, f.cgroup_id, f.proxy_port, f.verdict, f.drop_reason), (5, 6, 7, 0, 100));
}

#[test]
fn what_go_refuses_is_refused() {
    for (line, why) in [
        ("", "the line ends too early"),
        ("{", "the line ends too early"),
        ("{}x", "unexpected 'x'"),
        ("{\"flow\":{}},", "unexpected ','"),
        (r#"{"flow":{},"lost_events":{}}"#, "a second one"),
        (r#"{"flow":{},"flow":{}}"#, "for the second time"),
        (r#"{"node_name":"a","nodeName":"b"}"#, "for the second time"),
        (r#"{"flow":{"nope":1}}"#, "column 17: unknown field \"nope\""),
        (r#"{"flow":{"verdict":"NOPE"}}"#, "unknown name \"NOPE\""),
        (r#"{"flow":{"uuid":5}}"#, "unexpected '5'"),
        (r#"{"flow":{"drop_reason":-1}}"#, "no uint32"),
        (r#"{"flow":{"drop_reason":1.5}}"#, "no uint32"),
        (r#"{"flow":{"node_labels":[null]}}"#, "unexpected 'n'"),
        (r#"{"flow":{"node_labels":["a",]}}"#, "unexpected ']'"),
        (r#"{"flow":{"reply":"true"}}"#, "unexpected '\"'"),
        (r#"{"flow":{"uuid":"\ud800"}}"#, "surrogate"),
        ("{\"flow\":{\"uuid\":\"a\nb\"}}", "unexpected '\\n'"),
        (r#"{"time":"yesterday"}"#, "no time"),
        (r#"{"flow":{"extensions":{"@type":"x.y/no.Such"}}}"#, "unable to resolve \"x.y/no.Such\""),
        (r#"{"flow":{"extensions":{"a":1}}}"#, "an Any without \"@type\""),
    ] {
        let e = strict(line).unwrap_err();
        assert!(e.contains(why), "{line}: {e}");
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let e = read::<GetFlowsResponse>(&deep, Unknown::Ignore).unwrap_err().to_string();
    assert!(e.contains("within each other"), "{e}");
}

#[test]
fn unknown_fields_and_names_can_be_passed_over() {
    let line =
        r#"{"new":{"a":[1,{"b":"c"}]},"flow":{"verdict":"NEW","uuid":"u","x":null,"extensions":{"a":1}}}"#;
    let response: GetFlowsResponse = read(line, Unknown::Ignore).unwrap();
    assert_eq!(text(&response), r#"{"flow":{"uuid":"u","extensions":{}}}"#);
}

#[test]
fn an_any_holds_what_is_known() {
    let line = r#"{"flow":{"extensions":{"uuid":"inner","@type":"t/flow.Flow","reply":true}}}"#;
    assert_eq!(
        text(&strict(line).unwrap()),
        r#"{"flow":{"extensions":{"@type":"t/flow.Flow","uuid":"inner","reply":true}}}"#
    );
    for value in [r#""2025-01-02T03:04:05Z""#, "1.5"] {
        let kind = if value == "1.5" { "DoubleValue" } else { "Timestamp" };
        let line =
            format!(r#"{{"flow":{{"extensions":{{"@type":"x/google.protobuf.{kind}","value":{value}}}}}}}"#);
        assert_eq!(text(&strict(&line).unwrap()), line);
    }
    let unknown = wire::Flow {
        extensions: Some(Any {
            type_url: "type.googleapis.com/netdrop.v1.DropInfo".into(),
            value: Vec::new(),
        }),
        ..wire::Flow::default()
    };
    assert_eq!(
        write(&unknown, &mut String::new()).unwrap_err().to_string(),
        "google.protobuf.Any: unable to resolve \"type.googleapis.com/netdrop.v1.DropInfo\": not found"
    );
}

#[test]
fn times_that_are_none_have_no_json() {
    for (seconds, nanos) in [(253_402_300_800, 0), (0, -1)] {
        let time = Some(prost_types::Timestamp { seconds, nanos });
        let response = GetFlowsResponse { time, ..GetFlowsResponse::default() };
        assert!(write(&response, &mut String::new()).is_err());
    }
}

#[test]
fn an_exporters_events_are_read() {
    let line = r#"{"agent_event":{"type":"AGENT_STARTED","agent_start":{"time":"2025-01-02T03:04:05Z"}},"node_name":"n"}"#;
    let event: ExportEvent = read(line, Unknown::Refuse).unwrap();
    assert_eq!(text(&event), line);
}

proptest! {
    #[test]
    fn any_text_gives_a_message_or_an_error(line in any::<String>()) {
        drop(strict(&line));
        drop(read::<GetFlowsResponse>(&line, Unknown::Ignore));
    }

    #[test]
    fn any_json_gives_a_message_or_an_error(line in "[\\[\\]{}:,\"0-9eE+.ntrulasf\\\\-]{0,60}") {
        drop(strict(&format!("{{\"flow\":{line}}}")));
        let tolerant = read::<GetFlowsResponse>(&line, Unknown::Ignore);
        if tolerant.is_ok() && !line.contains(['e', 'E']) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
        }
    }

    /// Eight bytes at a time find what one at a time finds.
    #[test]
    fn plain_texts_end_where_they_end(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        let one_by_one = text.iter().take_while(|b| !matches!(b, b'"' | b'\\' | ..0x20)).count();
        prop_assert_eq!(super::read::plain(&text), one_by_one);
    }

    #[test]
    fn texts_come_back(uuid in any::<String>(), label in any::<String>()) {
        let flow = wire::Flow { uuid, node_labels: vec![label], ..wire::Flow::default() };
        let line = text(&flow);
        prop_assert_eq!(read::<wire::Flow>(&line, Unknown::Refuse).unwrap(), flow);
    }
}
