use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::flow::{
    DropReason, Endpoint, EndpointInfo, IcmpMessage, Identity, Interface, Ip, L4, Netns, ServiceName,
    TcpFlags, Verdict, Workload, event_type,
};

fn flow() -> Flow {
    let mut f = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
    f.packet.ip = Some(Ip {
        source: "10.0.0.1".parse().unwrap(),
        destination: "10.0.1.2".parse().unwrap(),
        protocol: 6,
        ttl: 64,
        total_length: 60,
        fragment: None,
    });
    f.packet.l4 = Some(L4::Tcp { source_port: 40000, destination_port: 80, flags: TcpFlags(2 | 16) });
    let info = |namespace: &str, pod: &str| {
        Some(Arc::new(EndpointInfo {
            namespace: namespace.into(),
            pod_name: pod.into(),
            labels: vec!["k8s:app=checkout".into()],
            workloads: vec![Workload { name: "checkout-api".into(), kind: "Deployment".into() }],
            node: None,
        }))
    };
    f.source = Endpoint { id: 0, identity: Identity(0), info: info("production", "checkout-api-6b7-x") };
    f.destination = Endpoint { id: 0, identity: Identity::WORLD, info: None };
    f.destination_service = Some(Arc::new(ServiceName { name: "db".into(), namespace: "production".into() }));
    f.reason = Some(DropReason { code: 8, subsystem: "CORE".into(), name: "NETFILTER_DROP".into() });
    f.event_type = event_type(0);
    f.netns = Some(Netns { inode: 77, name: None });
    f.interface = Some(Interface { index: 3, name: Some("eth0".into()) });
    f.node_name = Some("worker-1".into());
    f
}

fn matches(json: &str, flow: &Flow) -> bool {
    let filter: FlowFilter = serde_json::from_str(json).unwrap();
    Filters { allow: vec![filter], deny: vec![] }.compile().unwrap().matches(flow)
}

#[test]
fn each_field_matches_what_it_names() {
    let f = flow();
    for yes in [
        r#"{"source_ip":["10.0.0.1"]}"#,
        r#"{"source_ip":["192.168.0.0/16","10.0.0.0/24"]}"#,
        r#"{"source_pod":["production/checkout"]}"#,
        r#"{"source_pod":["/checkout"]}"#,
        r#"{"source_pod":["production/"]}"#,
        r#"{"destination_service":["production/d"]}"#,
        r#"{"source_label":["app=checkout"]}"#,
        r#"{"source_workload":[{"name":"checkout-api"}]}"#,
        r#"{"source_workload":[{"kind":"Deployment"}]}"#,
        r#"{"destination_identity":[2]}"#,
        r#"{"destination_port":["80"]}"#,
        r#"{"protocol":["TCP"]}"#,
        r#"{"verdict":["DROPPED"]}"#,
        r#"{"event_type":[{"type":1}]}"#,
        r#"{"event_type":[{"type":1,"match_sub_type":true,"sub_type":255}]}"#,
        r#"{"tcp_flags":[{"RST":true},{"SYN":true,"ACK":true}]}"#,
        r#"{"node_name":["worker-*"]}"#,
        r#"{"node_name":["default/worker-1"]}"#,
        r#"{"ip_version":["IPv4"]}"#,
        r#"{"reply":[false]}"#,
        r#"{"reason":["netfilter_drop"]}"#,
        r#"{"reason":["SKB_DROP_REASON_NETFILTER_DROP"]}"#,
        r#"{"reason":["NET*"]}"#,
        r#"{"netns":[77]}"#,
        r#"{"interface":[{"name":"eth0"}]}"#,
        "{}",
    ] {
        assert!(matches(yes, &f), "{yes}");
    }
    for no in [
        r#"{"source_ip":["10.0.0.2"]}"#,
        r#"{"source_ip":["10.0.0.1"],"destination_port":["81"]}"#,
        r#"{"source_pod":["checkout"]}"#,
        r#"{"destination_pod":["/"]}"#,
        r#"{"source_service":["/"]}"#,
        r#"{"source_port":["80"]}"#,
        r#"{"protocol":["udp"]}"#,
        r#"{"verdict":["FORWARDED"]}"#,
        r#"{"drop_reason_desc":["POLICY_DENIED"]}"#,
        r#"{"event_type":[{"type":4}]}"#,
        r#"{"tcp_flags":[{"RST":true}]}"#,
        r#"{"node_name":["other/worker-1"]}"#,
        r#"{"ip_version":["IPv6","IP_NOT_USED"]}"#,
        r#"{"reply":[true]}"#,
        r#"{"reason":["NO_SOCKET"]}"#,
        r#"{"netns":[78]}"#,
    ] {
        assert!(!matches(no, &f), "{no}");
    }
}

#[test]
fn an_exact_address_is_compared_as_text() {
    let mut f = flow();
    f.packet.ip.as_mut().unwrap().source = "2001:db8::1".parse().unwrap();
    assert!(matches(r#"{"source_ip":["2001:db8::1"]}"#, &f));
    assert!(!matches(r#"{"source_ip":["2001:DB8::1"]}"#, &f));
    assert!(matches(r#"{"source_ip":["2001:DB8::/32"]}"#, &f));
}

#[test]
fn lists_combine() {
    let port = |p: &str| FlowFilter { destination_port: vec![p.into()], ..FlowFilter::default() };
    let compile = |allow: Vec<FlowFilter>, deny: Vec<FlowFilter>| Filters { allow, deny }.compile().unwrap();
    let f = flow();
    assert!(compile(vec![], vec![]).matches(&f));
    assert!(compile(vec![port("81"), port("80")], vec![]).matches(&f));
    assert!(!compile(vec![port("80")], vec![port("80")]).matches(&f));
    assert!(compile(vec![], vec![port("81")]).matches(&f));
}

#[test]
fn values_without_sense_are_named() {
    for (json, part) in [
        (r#"{"protocol":["foo"]}"#, r#"invalid protocol filter: unknown protocol: "foo""#),
        (r#"{"source_ip":["10.0.0"]}"#, r#"invalid IP address "10.0.0" in filter: "#),
        (r#"{"source_ip":["10.0.0.0/64"]}"#, r#"invalid IP prefix "10.0.0.0/64" in filter: "#),
        (
            r#"{"source_port":["70000"]}"#,
            r#"invalid source port filter: invalid port "70000": strconv.ParseUint: parsing "70000": value out of range"#,
        ),
        (r#"{"source_label":["a in (b"]}"#, "invalid source label filter: "),
        (r#"{"source_pod":[""]}"#, "invalid filter, name must not be empty"),
        (
            r#"{"destination_service":[""]}"#,
            "invalid destination service filter: invalid filter, name must not be",
        ),
        (r#"{"source_cluster_name":[""]}"#, "invalid filter, name must not be empty"),
        (
            r#"{"http_status_code":["7"]}"#,
            r#"invalid http status code filter: invalid status code prefix: "7""#,
        ),
        (r#"{"http_path":["("]}"#, "invalid http path filter: (: "),
        (
            r#"{"http_method":["GET"],"event_type":[{"type":1}]}"#,
            "filtering by http method requires the event type filter to only match 'l7' events",
        ),
        (r#"{"dns_query":["("]}"#, "invalid DNS query filter: failed to compile regexp: "),
        (r#"{"node_name":["a/b/c"]}"#, "too many slashes in pattern"),
    ] {
        let filter: FlowFilter = serde_json::from_str(json).unwrap();
        let e = Filters { allow: vec![filter], deny: vec![] }.compile().unwrap_err();
        assert!(e.to_string().starts_with(part), "{e}");
    }
    assert!(
        serde_json::from_str::<FlowFilter>(r#"{"sauce_ip":[]}"#)
            .unwrap_err()
            .to_string()
            .contains("sauce_ip")
    );
}

/// The kernel's stages, as `netdrop-ebpf/src/prefilter.rs` has them, for packets that it can read.
fn kernel_passes(p: &Prefilter, f: &Flow) -> bool {
    fn has<T: PartialEq>(set: Option<&Vec<T>>, value: &T) -> bool {
        set.is_none_or(|s| s.contains(value))
    }
    let reason = f.reason.as_ref().is_none_or(|r| has(p.reasons.as_ref(), &r.code));
    let netns = f.netns.as_ref().is_none_or(|n| has(p.netns.as_ref(), &n.inode));
    let interface = f.interface.as_ref().is_none_or(|i| has(p.interfaces.as_ref(), &i.index));
    let Some(ip) = f.packet.ip else {
        return reason && netns && interface;
    };
    let within = |a: IpAddr| p.prefixes.as_ref().is_none_or(|s| s.iter().any(|n| n.contains(&a)));
    let address = within(ip.source) || within(ip.destination);
    let last = matches!(ip.protocol, 1 | 2 | 6 | 17 | 58 | 132 | 136);
    let protocol = !last || has(p.protocols.as_ref(), &ip.protocol);
    let port = match f.packet.l4.and_then(|l4| l4.ports()) {
        Some((s, d)) => has(p.ports.as_ref(), &s) || has(p.ports.as_ref(), &d),
        None => !matches!(ip.protocol, 1 | 2 | 58) || p.ports.is_none(),
    };
    reason && netns && interface && address && protocol && port
}

fn some_flow() -> impl Strategy<Value = Flow> {
    let address = prop_oneof![
        (0u8..4).prop_map(|n| IpAddr::from([10, 0, 0, n])),
        (0u16..4).prop_map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]))
    ];
    let l4 = prop_oneof![
        (78u16..82, 78u16..82).prop_map(|(s, d)| (
            6u8,
            Some(L4::Tcp { source_port: s, destination_port: d, flags: TcpFlags(2) })
        )),
        (78u16..82, 78u16..82).prop_map(|(s, d)| (17, Some(L4::Udp { source_port: s, destination_port: d }))),
        (78u16..82, 78u16..82)
            .prop_map(|(s, d)| (136, Some(L4::Udp { source_port: s, destination_port: d }))),
        Just((1, Some(L4::Icmpv4(IcmpMessage { kind: 8, code: 0 })))),
        Just((58, Some(L4::Icmpv6(IcmpMessage { kind: 128, code: 0 })))),
        Just((253, None)),
        Just((17, None)),
    ];
    let ip = proptest::option::of((address.clone(), address, l4));
    (ip, 0u32..6, proptest::option::of(0u32..4), proptest::option::of(0u32..4)).prop_map(
        |(ip, code, netns, index)| {
            let mut f = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
            if let Some((source, destination, (protocol, l4))) = ip {
                f.packet.ip =
                    Some(Ip { source, destination, protocol, ttl: 1, total_length: 0, fragment: None });
                f.packet.l4 = l4;
            }
            f.reason = Some(DropReason { code, subsystem: "CORE".into(), name: format!("R{code}").into() });
            f.netns = netns.map(|inode| Netns { inode, name: None });
            f.interface = index.map(|index| Interface { index, name: Some("eth0".into()) });
            f
        },
    )
}

const IPS: &[&str] = &["10.0.0.1", "10.0.0.0/31", "fd00::1", "FD00::2", "fd00::/126", "0.0.0.0/0"];
const PORTS: &[&str] = &["79", "80", "81"];
const PROTOCOLS: &[&str] = &["tcp", "udp", "icmp", "icmpv6", "dns", "sctp"];
const REASONS: &[&str] = &["R1", "R2", "R*", "UNKNOWN_ONE"];
const VERDICTS: &[i32] = &[Verdict::Dropped as i32, Verdict::Forwarded as i32];

fn some_filter() -> impl Strategy<Value = FlowFilter> {
    let texts = |all: &'static [&'static str]| {
        proptest::collection::vec(proptest::sample::select(all).prop_map(str::to_owned), 0..3)
    };
    let interface = proptest::collection::vec(
        prop_oneof![
            (1u32..4).prop_map(|index| InterfaceFilter { index, name: String::new() }),
            Just(InterfaceFilter { index: 0, name: "eth0".into() })
        ],
        0..2,
    );
    let first = (texts(IPS), texts(IPS), texts(PORTS), texts(PORTS), texts(PROTOCOLS), texts(REASONS));
    let verdicts = proptest::collection::vec(proptest::sample::select(VERDICTS), 0..3);
    (first, verdicts, proptest::collection::vec(0u32..4, 0..2), interface).prop_map(
        |(
            (source_ip, destination_ip, source_port, destination_port, protocol, reason),
            verdict,
            netns,
            interface,
        )| FlowFilter {
            source_ip,
            destination_ip,
            verdict,
            interface,
            protocol,
            source_port,
            destination_port,
            reason,
            netns,
            ..FlowFilter::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_prefilter_lets_a_superset_through(
        allow in proptest::collection::vec(some_filter(), 0..3),
        deny in proptest::collection::vec(some_filter(), 0..2),
        flows in proptest::collection::vec(some_flow(), 1..8),
    ) {
        let compiled = Filters { allow, deny }.compile().unwrap();
        let codes = |name: &str| name.strip_prefix('R').and_then(|n| n.parse().ok()).into_iter().collect();
        let prefilter = compiled.prefilter(&codes);
        for f in flows {
            if compiled.matches(&f) {
                prop_assert!(kernel_passes(&prefilter, &f) && !prefilter.nothing, "{prefilter:?} turns away {f:?}");
            }
        }
    }
}

/// Both spellings of names, enums by name or number, numbers as strings, null for nothing; written in one way.
#[test]
fn json_is_that_of_protobuf() {
    for (text, expected) in [
        (
            r#"{"sourceIp":["10.0.0.1"],"verdict":["DROPPED",1,99]}"#,
            r#"{"source_ip":["10.0.0.1"],"verdict":["DROPPED","FORWARDED",99]}"#,
        ),
        (r#"{"source_pod":null,"ipTraceId":[5,"7"]}"#, r#"{"ip_trace_id":["5","7"]}"#),
        (
            r#"{"eventType":[{"type":"1","matchSubType":true,"subType":133.0}]}"#,
            r#"{"event_type":[{"type":1,"match_sub_type":true,"sub_type":133}]}"#,
        ),
        (
            r#"{"experimental":{"celExpression":["a<b && \u2028"]}}"#,
            "{\"experimental\":{\"cel_expression\":[\"a\\u003cb \\u0026\\u0026 \\u2028\"]}}",
        ),
        (
            r#"{"experimental":{},"tcp_flags":[{},{"SYN":true,"ACK":null}]}"#,
            r#"{"tcp_flags":[{},{"SYN":true}],"experimental":{}}"#,
        ),
        (
            r#"{"source_identity":["12",3],"reply":[false],"ip_version":["IPv6",0]}"#,
            r#"{"reply":[false],"source_identity":[12,3],"ip_version":["IPv6","IP_NOT_USED"]}"#,
        ),
    ] {
        let filter: FlowFilter = serde_json::from_str(text).unwrap();
        assert_eq!(filter.to_json().unwrap(), expected);
    }
    for wrong in [
        r#"{"verdict":["NOPE"]}"#,
        r#"{"verdict":"DROPPED"}"#,
        r#"{"source_identity":[-1]}"#,
        r#"{"source_identity":[1.5]}"#,
        r#"{"source_ip":[1]}"#,
        r#"{"source_ip":[null]}"#,
        r#"{"source_ip":[],"sourceIp":[]}"#,
        r#"{"reply":["true"]}"#,
    ] {
        assert!(serde_json::from_str::<FlowFilter>(wrong).is_err(), "{wrong}");
    }
}

/// On a flow of this machine as on what a server sent of it.
#[test]
fn processes_and_places() {
    let mut flow = Flow::new(jiff::Timestamp::UNIX_EPOCH, crate::flow::Verdict::Dropped);
    flow.process = Some(crate::flow::Process { pid: 42, tid: 43, comm: "curl".into(), owner: true });
    flow.site = Some(crate::kernel::site_from_text(0, "nft_do_chain+0x3b7 [nf_tables]"));
    let shown = |flow: &Flow, json: &str| {
        let filters = Filters { allow: vec![serde_json::from_str(json).unwrap()], deny: Vec::new() };
        let filter = filters.compile().unwrap();
        let shown = filter.matches(flow);
        assert_eq!(filter.matches_wire(&crate::convert::flow_to_wire(flow)), shown, "{json}");
        shown
    };
    for json in
        [r#"{"pid":[1,42]}"#, r#"{"comm":["cu*"]}"#, r#"{"site":["nft_do_chain"]}"#, r#"{"site":["nft_*"]}"#]
    {
        assert!(shown(&flow, json), "{json}");
    }
    for json in [r#"{"pid":[43]}"#, r#"{"comm":["cur"]}"#, r#"{"site":["nf_tables"]}"#] {
        assert!(!shown(&flow, json), "{json}");
    }
    // Who was only interrupted is not whose packet it was.
    flow.process.as_mut().unwrap().owner = false;
    assert!(!shown(&flow, r#"{"pid":[42]}"#));
}
