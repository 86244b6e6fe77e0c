//! Values of Hubble's metrics, exactly, for flows made up.

use jiff::Timestamp;

use super::*;
use crate::filter::{Filters, FlowFilter};
use crate::flow::{DropReason, Endpoint, EndpointInfo, EventType, IcmpMessage, Ip, event_type};

fn drop_of(l4: impl Into<Option<L4>>, reason: i32) -> Flow {
    let l4 = l4.into();
    let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
    flow.event_type = event_type(reason);
    flow.drop_reason_desc = reason;
    flow.packet.l4 = l4;
    let v6 = matches!(l4, Some(L4::Icmpv6(_)));
    let address = |n: u16| -> std::net::IpAddr {
        if v6 { [0, 0, 0, 0, 0, 0, 0, n].into() } else { [10, 0, 0, n.to_le_bytes()[0]].into() }
    };
    let [source, destination] = [address(1), address(2)];
    flow.packet.ip = Some(Ip { source, destination, protocol: 6, ttl: 1, total_length: 1, fragment: None });
    flow
}

fn tcp(port: u16, flags: u16) -> L4 {
    L4::Tcp { source_port: 1, destination_port: port, flags: TcpFlags(flags) }
}

fn udp(port: u16) -> L4 {
    L4::Udp { source_port: 1, destination_port: port }
}

fn world(mut flow: Flow) -> Flow {
    let info = EndpointInfo { labels: vec![WORLD.into()], ..EndpointInfo::default() };
    flow.destination = Endpoint { info: Some(Arc::new(info)), ..Endpoint::default() };
    flow
}

/// Label names, and all series as `values count`.
fn count(list: &str, flows: &[Flow]) -> (String, Vec<String>) {
    let spec = MetricSpec::parse_list(list).unwrap().remove(0);
    let mut handler = Handler::new(spec, 100).unwrap();
    for flow in flows {
        handler.add(flow);
    }
    let mut rows: Vec<_> =
        handler.family.snapshot().iter().map(|(v, n)| format!("{} {n}", v.join(","))).collect();
    rows.sort();
    (format!("{} {}", handler.family.name, handler.family.names.join(",")), rows)
}

#[test]
fn drops_have_hubbles_reason_and_protocol_after_who() {
    let mut many = drop_of(udp(53), 0);
    many.tally.count = 40;
    let flows = [
        drop_of(tcp(80, 2), 133),
        drop_of(tcp(81, 16), 133),
        many,
        drop_of(None, 9999),
        Flow { verdict: Verdict::Forwarded, ..drop_of(tcp(80, 2), 133) },
    ];
    let (names, rows) = count("drop:sourceContext=ip", &flows);
    assert_eq!(names, "hubble_drop source,reason,protocol");
    assert_eq!(
        rows,
        ["10.0.0.1,9999,Unknown L4 1", "10.0.0.1,DROP_REASON_UNKNOWN,UDP 40", "10.0.0.1,POLICY_DENIED,TCP 2"]
    );
}

#[test]
fn flows_have_type_and_verdict_before_who() {
    let trace = EventType { kind: 4, sub_type: 2 };
    let other = EventType { kind: 77, sub_type: 0 };
    let flows = [
        drop_of(tcp(80, 2), 0),
        Flow { event_type: trace, verdict: Verdict::Forwarded, ..drop_of(udp(1), 0) },
        Flow { event_type: other, ..drop_of(udp(1), 0) },
    ];
    let (names, rows) = count("flow:destinationContext=ip", &flows);
    assert_eq!(names, "hubble_flows_processed protocol,type,subtype,verdict,destination");
    assert_eq!(
        rows,
        [
            "TCP,Drop,,DROPPED,10.0.0.2 1",
            "UDP,Trace,to-host,FORWARDED,10.0.0.2 1",
            "Unknown flow,Unknown,77,DROPPED,10.0.0.2 1",
        ]
    );
}

#[test]
fn ports_flags_and_types() {
    let ping = Some(L4::Icmpv4(IcmpMessage { kind: 8, code: 0 }));
    let unreachable = Some(L4::Icmpv6(IcmpMessage { kind: 1, code: 4 }));
    let sctp = Some(L4::Sctp { source_port: 1, destination_port: 9, chunk_type: Some(1) });
    let flows = [
        drop_of(tcp(80, 2), 0),
        drop_of(tcp(80, 18), 0),
        drop_of(tcp(443, 21), 0),
        drop_of(udp(53), 0),
        drop_of(ping, 0),
        drop_of(unreachable, 0),
        drop_of(sctp, 0),
        drop_of(None, 0),
    ];
    let (names, rows) = count("port-distribution", &flows);
    assert_eq!(names, "hubble_port_distribution protocol,port");
    assert_eq!(rows, ["ICMPv4,0 1", "ICMPv6,0 1", "SCTP,9 1", "TCP,443 1", "TCP,80 2", "UDP,53 1"]);
    let (names, rows) = count("tcp", &flows);
    assert_eq!(names, "hubble_tcp_flags flag,family");
    assert_eq!(rows, ["FIN,IPv4 1", "RST,IPv4 1", "SYN,IPv4 1", "SYN-ACK,IPv4 1"]);
    let (names, rows) = count("icmp", &flows);
    assert_eq!(names, "hubble_icmp family,type");
    assert_eq!(rows[0], "IPv4,EchoRequest 1");
    assert!(rows[1].starts_with("IPv6,DestinationUnreachable(") && rows.len() == 2, "{rows:?}");
    let (names, rows) = count("sctp", &flows);
    assert_eq!(names, "hubble_sctp_chunk_types chunk_type,family");
    assert_eq!(rows, ["INIT,IPv4 1"]);
}

#[test]
fn flows_to_the_world_are_drops_by_policy_unless_asked_otherwise() {
    let flows = [
        world(drop_of(tcp(80, 2), 133)),
        world(drop_of(tcp(80, 16), 133)),
        world(drop_of(tcp(80, 2), 0)),
        world(drop_of(Some(L4::Icmpv4(IcmpMessage { kind: 8, code: 0 })), 133)),
        drop_of(tcp(80, 2), 133),
        world(drop_of(None, 133)),
    ];
    let (names, rows) = count("flows-to-world", &flows);
    assert_eq!(names, "hubble_flows_to_world protocol,verdict");
    assert_eq!(rows, ["ICMPv4,DROPPED 1", "TCP,DROPPED 2"]);
    let (names, rows) = count("flows-to-world:any-drop;port;syn-only", &flows);
    assert_eq!(names, "hubble_flows_to_world protocol,verdict,port");
    assert_eq!(rows, ["TCP,DROPPED,80 2"]);
    let (_, rows) = count("flows-to-world:port", &flows);
    assert_eq!(rows, ["ICMPv4,DROPPED, 1", "TCP,DROPPED,80 2"]);
}

#[test]
fn a_metric_may_have_filters() {
    let mut spec = MetricSpec::new(Kind::Drop);
    let allow = vec![FlowFilter { protocol: vec!["udp".into()], ..FlowFilter::default() }];
    spec.filters = Filters { allow, deny: vec![] };
    let mut handler = Handler::new(spec, 10).unwrap();
    handler.add(&drop_of(udp(1), 0));
    handler.add(&drop_of(tcp(1, 2), 0));
    assert_eq!(handler.family.snapshot().len(), 1);
}

#[test]
fn benign_drops_count_where_reasons_are_named() {
    let benign = || {
        let mut flow = drop_of(udp(1), 0);
        flow.benign = true;
        flow.reason = Some(DropReason { code: 1, subsystem: "CORE".into(), name: "NO_SOCKET".into() });
        flow
    };
    let rows = |filters: Filters| {
        let mut handler = Handler::new(MetricSpec { filters, ..MetricSpec::new(Kind::Drop) }, 10).unwrap();
        handler.add(&benign());
        handler.family.snapshot().len()
    };
    let allow = vec![FlowFilter { reason: vec!["NO_SOCKET".into()], ..FlowFilter::default() }];
    assert_eq!((rows(Filters::default()), rows(Filters { allow, deny: vec![] })), (0, 1));
}
