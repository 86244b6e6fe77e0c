//! Many filters at once say of each flow what each of them says by itself.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::Selection;
use super::made::{self, some_observation};
use super::{history, read};
use crate::filter::{
    EventTypeFilter, Experimental, Filters, FlowFilter, Index, InterfaceFilter, TcpFlagsFilter,
    WorkloadFilter,
};
use crate::flow::{Flow, Observation, TallyKind};

/// A filter that asks one thing, with values of which some are there. Every field that a table answers, and some that none does.
fn asking() -> impl Strategy<Value = FlowFilter> {
    let of = FlowFilter::default;
    let text = |texts: &'static [&'static str]| {
        proptest::collection::vec(prop::sample::select(texts).prop_map(str::to_owned), 1..3)
    };
    let pods = || text(&["production/checkout-1", "production/", "/", "/checkout-107", "x", "a/b"]);
    let labels = || {
        text(&[
            "app=checkout-7",
            "k8s:tier",
            "tier notin (web)",
            "!k8s:app",
            "app in (checkout-1, checkout-2)",
        ])
    };
    let prefixes = || {
        text(&["10.244.7.0", "10.244.0.0/20", "10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:DB8::1", "10.96.0.7"])
    };
    let ports = || proptest::collection::vec((0u16..12).prop_map(|p| (4999 + p).to_string()), 1..4);
    let workload = |name: &str, kind: &str| WorkloadFilter { name: name.into(), kind: kind.into() };
    prop_oneof![
        proptest::collection::vec(0i32..4, 1..3).prop_map(move |verdict| FlowFilter { verdict, ..of() }),
        text(&["REASON_1", "reason_*", "*", "", "a", "REASON_6"])
            .prop_map(move |reason| FlowFilter { reason, ..of() }),
        text(&["nf_*", "*", "nf_hook_slow", "a"]).prop_map(move |site| FlowFilter { site, ..of() }),
        Just(FlowFilter { netns: vec![4_026_531_840], ..of() }),
        Just(FlowFilter { pid: vec![42], ..of() }),
        text(&["check*", "a", "*"]).prop_map(move |comm| FlowFilter { comm, ..of() }),
        any::<bool>().prop_map(move |reply| FlowFilter { reply: vec![reply], ..of() }),
        (0i32..6, any::<bool>()).prop_map(move |(kind, match_sub_type)| FlowFilter {
            event_type: vec![EventTypeFilter { kind, match_sub_type, sub_type: 0 }],
            ..of()
        }),
        Just(FlowFilter { drop_reason_desc: vec![0], ..of() }),
        (0u32..9).prop_map(move |n| FlowFilter { source_identity: vec![n], ..of() }),
        Just(FlowFilter { destination_identity: vec![0], ..of() }),
        text(&["tcp", "udp", "icmp", "icmpv6", "sctp", "vrrp", "dns"])
            .prop_map(move |protocol| FlowFilter { protocol, ..of() }),
        prefixes().prop_map(move |source_ip| FlowFilter { source_ip, ..of() }),
        prefixes().prop_map(move |destination_ip| FlowFilter { destination_ip, ..of() }),
        prefixes().prop_map(move |source_ip_xlated| FlowFilter { source_ip_xlated, ..of() }),
        pods().prop_map(move |source_pod| FlowFilter { source_pod, ..of() }),
        pods().prop_map(move |destination_pod| FlowFilter { destination_pod, ..of() }),
        pods().prop_map(move |source_service| FlowFilter { source_service, ..of() }),
        labels().prop_map(move |source_label| FlowFilter { source_label, ..of() }),
        labels().prop_map(move |destination_label| FlowFilter { destination_label, ..of() }),
        labels().prop_map(move |node_labels| FlowFilter { node_labels, ..of() }),
        Just(FlowFilter { source_workload: vec![workload("checkout-9", ""), workload("", "a")], ..of() }),
        ports().prop_map(move |source_port| FlowFilter { source_port, ..of() }),
        ports().prop_map(move |destination_port| FlowFilter { destination_port, ..of() }),
        text(&["*", "b", "abc"]).prop_map(move |source_fqdn| FlowFilter { source_fqdn, ..of() }),
        Just(FlowFilter {
            tcp_flags: vec![TcpFlagsFilter { syn: true, ..TcpFlagsFilter::default() }],
            ..of()
        }),
        text(&["worker-1", "default/*", "a*"]).prop_map(move |node_name| FlowFilter { node_name, ..of() }),
        (0i32..3).prop_map(move |version| FlowFilter { ip_version: vec![version], ..of() }),
        (0i32..3).prop_map(move |direction| FlowFilter { traffic_direction: vec![direction], ..of() }),
        Just(FlowFilter { encrypted: vec![false], ..of() }),
        Just(FlowFilter { trace_id: vec![String::new()], ..of() }),
        Just(FlowFilter {
            interface: vec![InterfaceFilter { index: 3, ..InterfaceFilter::default() }],
            ..of()
        }),
        Just(FlowFilter {
            interface: vec![InterfaceFilter { name: "a".into(), ..InterfaceFilter::default() }],
            ..of()
        }),
        text(&["_flow.verdict == Verdict.DROPPED", "_flow.IP.source.startsWith('10.')", "false"]).prop_map(
            move |cel_expression| {
                FlowFilter { experimental: Some(Experimental { cel_expression }), ..of() }
            }
        ),
    ]
}

/// Both must fit.
fn both(one: FlowFilter, other: FlowFilter) -> FlowFilter {
    let mut both = serde_json::to_value(one).unwrap();
    let serde_json::Value::Object(more) = serde_json::to_value(other).unwrap() else { unreachable!() };
    both.as_object_mut().unwrap().extend(more);
    serde_json::from_value(both).unwrap()
}

fn filter() -> impl Strategy<Value = FlowFilter> {
    prop_oneof![
        3 => asking(),
        3 => (asking(), asking()).prop_map(|(one, other)| both(one, other)),
        1 => (asking(), asking(), asking()).prop_map(|(one, two, three)| both(both(one, two), three)),
        1 => Just(FlowFilter::default()),
    ]
}

fn filters() -> impl Strategy<Value = Filters> {
    (proptest::collection::vec(filter(), 0..4), proptest::collection::vec(filter(), 0..2))
        .prop_map(|(allow, deny)| Filters { allow, deny })
}

fn flow() -> impl Strategy<Value = Flow> {
    prop_oneof![
        2 => (0i64..400).prop_map(made::full),
        3 => some_observation().prop_filter_map("a flow", |o| match o {
            Observation::Flow(mut flow) => {
                flow.tally.kind = TallyKind::Packet;
                Some(flow)
            }
            _ => None,
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn many_say_what_each_says(
        all in proptest::collection::vec(filters(), 0..60),
        flows in proptest::collection::vec(flow(), 1..24),
    ) {
        let all: Vec<_> = all.iter().map(|filters| filters.compile().unwrap()).collect();
        let mut index = Index::new(&all);
        let mut found = Vec::new();
        // Twice: what is remembered, too.
        for flow in flows.iter().chain(&flows) {
            index.matching(flow, &mut found);
            let expected: Vec<_> = (0..all.len()).filter(|i| all[*i].matches(flow)).collect();
            prop_assert_eq!(&found, &expected, "{:?}", flow);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is passed over without being decoded: nothing is missing that every record decoded would show.
    #[test]
    fn what_is_passed_over_does_not_match(
        filters in filters(),
        flows in proptest::collection::vec(flow(), 1..200),
    ) {
        let h = history(1 << 20);
        h.push(flows.into_iter().map(|flow| Arc::new(Observation::Flow(flow))).collect());
        let all = |selection: &Selection| read(&mut h.reader(h.oldest(None), None), selection, 64).0;
        let selection = || Selection::new(&filters).unwrap().with_benign(true);
        prop_assert_eq!(all(&selection()), all(&selection().without_plan()));
    }
}

/// A flow of which every value is new must not make tables grow without bound.
#[test]
fn what_is_remembered_is_bounded() {
    let filters = Filters {
        allow: vec![
            FlowFilter { source_ip: vec!["10.0.0.0/9".into()], ..FlowFilter::default() },
            FlowFilter { source_pod: vec!["production/checkout-1".into()], ..FlowFilter::default() },
        ],
        deny: vec![],
    };
    let compiled = filters.compile().unwrap();
    let mut index = Index::new([&compiled]);
    let mut found = Vec::new();
    for number in 0..30_000u32 {
        let mut flow = made::full(i64::from(number));
        flow.packet.ip.as_mut().unwrap().source =
            std::net::Ipv4Addr::from_bits(0x0a00_0000 + number * 512).into();
        index.matching(&flow, &mut found);
        assert_eq!(!found.is_empty(), compiled.matches(&flow), "{number}");
    }
    assert!(index.memory() < 2 << 20, "{} bytes", index.memory());
}
