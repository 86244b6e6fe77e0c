use proptest::prelude::*;

use super::super::{Unknown, is_exact, read, write};
use crate::proto::flow::Flow;
use crate::proto::observer::GetFlowsResponse;

/// Whether a flow is exact; if so, it is what is written of it.
fn exact(flow: &str) -> bool {
    let exact = is_exact::<Flow>(flow);
    let mut written = String::new();
    let same = read::<Flow>(flow, Unknown::Refuse)
        .is_ok_and(|read| write(&read, &mut written).is_ok() && written == flow);
    assert!(same || !exact, "{flow} is written as {written}");
    exact
}

#[test]
fn what_writers_write_is_exact() {
    for flow in [
        "{}",
        r#"{"time":"2025-01-02T03:04:05Z","uuid":"u","verdict":"DROPPED","drop_reason":4294967295}"#,
        r#"{"IP":{"source":"a","destination":"b","ipVersion":"IPv6","encrypted":true},"l4":{"TCP":{"flags":{}}}}"#,
        r#"{"source":{"labels":["","a"],"workloads":[{},{"name":"w"}]},"is_reply":false}"#,
        r#"{"event_type":{"type":-1,"sub_type":2147483647},"cgroup_id":"9999999999999999999"}"#,
        r#"{"Summary":"a\n\"\\\u0000\u001b\u003c\u003e\u0026\u2028 é € / 💥"}"#,
        r#"{"node_labels":["“"],"l7":{"dns":{}},"is_reply":true}"#,
    ] {
        assert!(exact(flow), "{flow}");
    }
    for time in ["2024-02-29T23:59:59.001Z", "0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999999999Z"]
    {
        assert!(exact(&format!(r#"{{"time":"{time}"}}"#)), "{time}");
    }
    assert!(is_exact::<GetFlowsResponse>(r#"{"flow":{},"node_name":"n","time":"2025-01-02T03:04:05Z"}"#));
    assert!(is_exact::<GetFlowsResponse>(r#"{"node_status":{"state_change":"NODE_GONE"}}"#));
}

#[test]
fn what_they_would_write_otherwise_is_not() {
    for flow in [
        "",
        " {}",
        "{} ",
        "{}}",
        "{,}",
        r#"{"uuid":"u",}"#,
        r#"{"uuid":"u""#,
        r#"{"uuid":"u"#,
        r#"{"uuid": "u"}"#,
        r#"{"uuid":"u" }"#,
        r#"{"uuid":""}"#,
        r#"{"uuid":null}"#,
        r#"{"uuid":"u","uuid":"u"}"#,
        r#"{"verdict":"DROPPED","uuid":"u"}"#,
        r#"{"nodeName":"n"}"#,
        r#"{"newer":1}"#,
        r#"{"verdict":"VERDICT_UNKNOWN"}"#,
        r#"{"verdict":"NEW"}"#,
        r#"{"verdict":2}"#,
        r#"{"drop_reason":0}"#,
        r#"{"drop_reason":01}"#,
        r#"{"drop_reason":1.0}"#,
        r#"{"drop_reason":"1"}"#,
        r#"{"drop_reason":4294967296}"#,
        r#"{"drop_reason":-1}"#,
        r#"{"cgroup_id":5}"#,
        r#"{"cgroup_id":"0"}"#,
        r#"{"cgroup_id":"05"}"#,
        r#"{"cgroup_id":"18446744073709551616"}"#,
        r#"{"event_type":{"type":0}}"#,
        r#"{"event_type":{"type":-0}}"#,
        r#"{"event_type":{"type":2147483648}}"#,
        r#"{"reply":false}"#,
        r#"{"is_reply":"true"}"#,
        r#"{"is_reply":truex}"#,
        r#"{"node_labels":[]}"#,
        r#"{"node_labels":["a",]}"#,
        r#"{"node_labels":[null]}"#,
        r#"{"l4":{"TCP":{},"UDP":{}}}"#,
        r#"{"l7":{"dns":{},"http":{}}}"#,
        r#"{"Summary":"\/"}"#,
        r#"{"Summary":"\u0041"}"#,
        r#"{"Summary":"\u000a"}"#,
        r#"{"Summary":"\u003C"}"#,
        r#"{"Summary":"\ud83d\ude00"}"#,
        r#"{"Summary":"\u00e9"}"#,
        "{\"Summary\":\"\u{2028}\"}",
        r#"{"Summary":"<"}"#,
        r#"{"Summary":"&"}"#,
        "{\"Summary\":\"a\tb\"}",
        r#"{"time":"2025-01-02T03:04:05.100000Z"}"#,
        r#"{"time":"2025-01-02T03:04:05.000Z"}"#,
        r#"{"time":"2025-01-02T03:04:05,001Z"}"#,
        r#"{"time":"2025-01-02T03:04:05.1Z"}"#,
        r#"{"time":"2025-01-02T03:04:05+00:00"}"#,
        r#"{"time":"2025-02-29T03:04:05Z"}"#,
        r#"{"time":"2025-01-02T03:04:60Z"}"#,
        r#"{"extensions":{}}"#,
        r#"{"extensions":{"@type":"type.googleapis.com/flow.Flow","uuid":"u"}}"#,
    ] {
        assert!(!exact(flow), "{flow}");
    }
    for response in
        [r#"{"flow":{},"lost_events":{}}"#, r#"{"flow":{},"node_status":{}}"#, r#"{"node_name":""}"#]
    {
        assert!(!is_exact::<GetFlowsResponse>(response), "{response}");
    }
}

fn extension(value: &str) -> bool {
    exact(&format!(
        r#"{{"extensions":{{"@type":"type.googleapis.com/google.protobuf.Struct","value":{value}}}}}"#
    ))
}

#[test]
fn facts_are_exact_in_the_order_of_their_names() {
    for value in [
        "{}",
        r#"{"a":1,"b":-0.5,"c":"\u003c","d":true,"e":false,"f":null,"g":"","ga":999999999999999}"#,
        r#"{"a":[],"b":[1,[],{}],"c":{"x":{"y":[null,"z"]}},"stack":["a+0x1","b+0x2"],"stack_more":true}"#,
        r#"{"a":1e+21,"b":1.5e-7,"c":0.000001,"kernel_reason":"x","kernel_reason_code":3,"kernel_reasonz":4}"#,
    ] {
        assert!(extension(value), "{value}");
    }
    let deep = format!("{}{}", r#"{"a":"#.repeat(50), "1".to_owned() + &"}".repeat(50));
    for value in [
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":1}"#,
        r#"{"kernel_reason_code":3,"kernel_reason":"x"}"#,
        r#"{"":1}"#,
        r#"{"\n":1}"#,
        r#"{"a":01}"#,
        r#"{"a":1.0}"#,
        r#"{"a":1e3}"#,
        r#"{"a":-}"#,
        r#"{"a":}"#,
        r#"{"a":NaN}"#,
        r#"{"a":1e999}"#,
        r#"{"a":9007199254740993}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1 ,2]}"#,
        r#"{"a":nul}"#,
        "[]",
        "1",
        &deep,
    ] {
        assert!(!extension(value), "{value}");
    }
}

proptest! {
    #[test]
    fn numbers_are_exact_if_they_are_written_so(
        number in prop_oneof![
            any::<f64>().prop_filter("a number of JSON", |n| n.is_finite()),
            (any::<i32>(), 0i32..20).prop_map(|(n, zeroes)| f64::from(n) * 10f64.powi(zeroes)),
            any::<u32>().prop_map(f64::from),
            (any::<u32>(), 0i32..12).prop_map(|(n, places)| f64::from(n) / 10f64.powi(places)),
        ],
        text in "-?[0-9]{1,18}(\\.[0-9]{1,4})?(e[+-]?[0-9]{1,2})?",
    ) {
        let mut written = String::new();
        super::push_float(number, &mut written);
        prop_assert!(extension(&format!(r#"{{"a":{written}}}"#)), "{}", written);
        // Whether it is or not is compared with what is written.
        extension(&format!(r#"{{"a":{text}}}"#));
        extension(&format!(r#"{{"a":{{"b":[{text}]}}}}"#));
    }

    #[test]
    fn any_text_is_exact_as_it_is_written(uuid in ".{0,40}", label in any::<String>()) {
        let mut written = String::new();
        let flow = Flow { uuid, node_labels: vec![label], ..Flow::default() };
        write(&flow, &mut written).unwrap();
        prop_assert!(exact(&written), "{}", written);
    }

    #[test]
    fn texts_end_where_they_end(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let is = |b: &&u8| matches!(b, b'"' | b'&' | b'<' | b'>' | b'\\' | 0xe2 | ..0x20);
        prop_assert_eq!(super::unescaped(&text), text.iter().take_while(|b| !is(b)).count());
    }

    #[test]
    fn keys_come_in_the_order_of_their_bytes(a in "[a-c\\PC]{0,20}", b in "[a-c\\PC]{0,20}", more in "[a-b]{0,3}") {
        for b in [&b, &format!("{a}{more}")] {
            prop_assert_eq!(super::comes_before(&a, b), a < *b);
        }
    }
}
