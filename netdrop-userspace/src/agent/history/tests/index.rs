//! Many filters at once say of each flow what each of them says by itself.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::Selection;
use super::made::{self, some_observation};
use super::{history, read};
use crate::convert::flow_to_wire;
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
        pods().prop_map(move |destination_service| FlowFilter { destination_service, ..of() }),
        text(&["*", "b", "abc"]).prop_map(move |destination_fqdn| FlowFilter { destination_fqdn, ..of() }),
        text(&["00000000-0000-0007-4000-000000008000", "", "00000000-0000-0007-4000-00000000800A", "x"])
            .prop_map(move |uuid| FlowFilter { uuid, ..of() }),
        Just(FlowFilter { dns_query: vec!["a".into()], ..of() }),
        Just(FlowFilter { ip_trace_id: vec![0], ..of() }),
        Just(FlowFilter { destination_workload: vec![workload("checkout-101", "Deployment")], ..of() }),
        proptest::collection::vec(expression(), 1..3).prop_map(move |cel_expression| FlowFilter {
            experimental: Some(Experimental { cel_expression }),
            ..of()
        }),
    ]
}

/// Questions about every part of a flow, alone and joined.
fn expression() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        3 => prop::sample::select(EXPRESSIONS).prop_map(str::to_owned),
        1 => prop::sample::select(ROOTS).prop_map(|root| format!("has(_flow.{root})")),
    ];
    one.prop_recursive(3, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) ? ({b}) : false")),
        ]
    })
}

/// Fields of `flow.Flow`.
const ROOTS: &[&str] = &[
    "time",
    "uuid",
    "emitter",
    "ethernet",
    "IP",
    "IP.source",
    "IP.destination",
    "IP.source_xlated",
    "IP.ipVersion",
    "l4",
    "l4.TCP",
    "l4.UDP",
    "l4.TCP.flags",
    "l4.TCP.flags.SYN",
    "l4.ICMPv4.type",
    "tunnel",
    "source",
    "destination",
    "source.identity",
    "source.ID",
    "source.namespace",
    "destination.labels",
    "destination.workloads",
    "Type",
    "node_name",
    "node_labels",
    "source_names",
    "destination_names",
    "l7",
    "l7.http",
    "reply",
    "event_type",
    "event_type.sub_type",
    "source_service",
    "destination_service.namespace",
    "traffic_direction",
    "trace_context",
    "ip_trace_id",
    "drop_reason_desc",
    "is_reply",
    "interface",
    "interface.name",
    "cgroup_id",
    "Summary",
    "extensions",
    "aggregate",
];

const EXPRESSIONS: &[&str] = &[
    "_flow.verdict == Verdict.DROPPED",
    "_flow.verdict in [Verdict.FORWARDED, 2]",
    "_flow.IP.source.startsWith('10.')",
    "_flow.IP.source == '10.244.7.0'",
    "_flow.IP.source == ''",
    "_flow.IP.destination in ['10.96.0.7', '10.96.0.07', 'x', 'fd00::1']",
    "_flow.IP.destination in ['10.96.0.7', '10.96.0.8']",
    "_flow.IP.source < _flow.IP.destination",
    "_flow.IP.source == _flow.IP.destination || _flow.IP.source == ''",
    "_flow.IP.destination.endsWith('7') == (_flow.l4.TCP.destination_port > 5003u)",
    "_flow.IP.source.size() > 11 && _flow.IP.source.size() != _flow.IP.destination.size()",
    "_flow.l4.TCP.destination_port == 5003u",
    "_flow.l4.TCP.destination_port == uint(5004)",
    "_flow.l4.TCP.destination_port == uint(int(5004u))",
    "_flow.l4.TCP.destination_port == 0u",
    "_flow.l4.UDP.source_port in [5003u, 70000u]",
    "_flow.l4.TCP.destination_port in [5001u, 0u]",
    "_flow.l4.TCP.source_port + 1u > 40000u",
    "_flow.l4.TCP.source_port > _flow.l4.TCP.destination_port",
    "_flow.l4.UDP.destination_port - _flow.l4.UDP.source_port == 1u",
    "has(_flow.l4.TCP.source_port) || _flow.l4.ICMPv4.type == 3u",
    "_flow.l4.TCP.destination_port >= 5003u ? _flow.l4.TCP.flags.SYN : _flow.l4.UDP.source_port < 5006u",
    "_flow.l4.TCP.flags.SYN",
    "_flow.l4.TCP.flags.SYN && !_flow.l4.TCP.flags.ACK",
    "_flow.source.pod_name.contains('checkout-7')",
    "_flow.source.labels.exists(l, l == 'k8s:app=checkout-7')",
    "_flow.destination.workloads.all(w, w.kind == 'Deployment')",
    "_flow.destination.labels[1] == 'k8s:tier=web'",
    "_flow.source.pod_name == _flow.destination.pod_name",
    "_flow.source.namespace != _flow.destination.namespace",
    "_flow.destination.pod_name.startsWith('checkout') == (_flow.verdict == Verdict.DROPPED)",
    "_flow.source.labels.exists(l, l in _flow.destination.labels)",
    "_flow.source.identity == 0u",
    "_flow.source.identity > _flow.destination.identity",
    "_flow.source == _flow.destination",
    "_flow.node_name == 'worker-1'",
    "_flow.interface.index == 3u",
    "_flow.source_names.exists(n, n == 'b')",
    "_flow.source_names[0] == 'b'",
    "_flow.is_reply == null",
    "_flow.is_reply == true",
    "_flow.event_type.type == 1",
    "_flow.Summary.contains('SYN')",
    "_flow.Summary.matches('x[0-9]+$|fragment|about')",
    "_flow.Summary == ''",
    "_flow.Summary.startsWith('UDP') ? _flow.is_reply == false : _flow.Type == FlowType.L3_L4",
    "_flow.Type == 0",
    "_flow.extensions.site.startsWith('nf_')",
    "has(_flow.extensions.site) || has(_flow.extensions.pid)",
    "_flow.extensions.comm.startsWith('check')",
    "_flow.extensions.netns > 7.0",
    "!has(_flow.extensions.netns_name)",
    "_flow.extensions.kernel_reason.endsWith('_3') || _flow.extensions.pid == 42.0",
    "_flow.uuid.startsWith('00')",
    "_flow.time > timestamp('2023-11-14T22:13:20.1Z')",
    "_flow.time <= timestamp('2023-11-14T23:13:21+01:00') && timestamp(1700000000) < _flow.time",
    "_flow.time == timestamp('x') || _flow.time in [timestamp(0), timestamp(1700000001)]",
    "_flow.time.getFullYear() == 2023",
    "_flow == _flow",
    "[1].exists(_flow, _flow == 1)",
    "true",
    "false",
];

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Only what an expression looks at is made for it.
    #[test]
    fn an_expression_says_of_a_flow_what_it_says_of_its_message(
        cel_expression in proptest::collection::vec(expression(), 1..3),
        flows in proptest::collection::vec(flow(), 1..24),
    ) {
        let experimental = Some(Experimental { cel_expression });
        let allow = vec![FlowFilter { experimental, ..FlowFilter::default() }];
        let compiled = Filters { allow, deny: vec![] }.compile().unwrap();
        for flow in &flows {
            prop_assert_eq!(compiled.matches(flow), compiled.matches_wire(&flow_to_wire(flow)), "{:?}", flow);
        }
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
