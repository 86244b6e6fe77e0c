use proptest::prelude::*;

use super::*;
use crate::filter::FlowFilter;
use crate::flow::{
    Endpoint, EndpointInfo, Ethernet, Flow, IcmpMessage, Identity, Interface, Ip, L4, Netns, Process,
    ServiceName, TcpFlags, TrafficDirection, Verdict, Workload, event_type, summary,
};
use crate::proto::flow::layer4::Protocol;

fn some_l4() -> impl Strategy<Value = L4> {
    prop_oneof![
        (any::<u16>(), any::<u16>(), 0u16..512).prop_map(|(source_port, destination_port, f)| L4::Tcp {
            source_port,
            destination_port,
            flags: TcpFlags(f)
        }),
        (any::<u16>(), any::<u16>())
            .prop_map(|(source_port, destination_port)| L4::Udp { source_port, destination_port }),
        (any::<u8>(), any::<u8>()).prop_map(|(kind, code)| L4::Icmpv4(IcmpMessage { kind, code })),
        (any::<u8>(), any::<u8>()).prop_map(|(kind, code)| L4::Icmpv6(IcmpMessage { kind, code })),
    ]
}

fn protocol_of(l4: L4) -> u8 {
    match l4 {
        L4::Tcp { .. } => 6,
        L4::Udp { .. } => 17,
        L4::Icmpv4(_) => 1,
        _ => 58,
    }
}

prop_compose! {
    fn some_flow()(
        nanos in 0i128..4_000_000_000_000_000_000,
        source in any::<std::net::IpAddr>(),
        l4 in some_l4(),
        ttl in any::<u8>(),
        names in any::<(String, String)>(),
        identity in any::<u32>(),
        code in any::<u32>(),
        netns in any::<u32>(),
        comm in "[ -~]{0,15}",
        reply in any::<Option<bool>>(),
        count in 1u64..u64::MAX,
        desc in 0i32..300,
    ) -> Flow {
        let time = Timestamp::from_nanosecond(nanos).unwrap();
        let mut f = Flow::new(time, Verdict::Dropped);
        f.uuid = Some(uuid::Uuid::from_u128(u128::from(code)));
        f.packet.ethernet = Some(Ethernet { source: [1, 2, 3, 4, 5, 6], destination: [255; 6] });
        f.packet.ip = Some(Ip { source, destination: source, protocol: protocol_of(l4), ttl, total_length: 0, fragment: None });
        f.packet.l4 = Some(l4);
        let info = EndpointInfo {
            namespace: names.0.as_str().into(),
            pod_name: format!("p{}", names.1).into(),
            labels: vec!["k8s:a=b".into()],
            workloads: vec![Workload { name: "w".into(), kind: "Deployment".into() }],
            node: None,
        };
        f.source = Endpoint { id: 0, identity: Identity(identity), info: Some(Arc::new(info)) };
        f.destination_service = Some(Arc::new(ServiceName { name: "s".into(), namespace: "n".into() }));
        f.reason = Some(crate::flow::DropReason { code, subsystem: "CORE".into(), name: "NO_SOCKET".into() });
        f.site = Some(crate::kernel::site_from_text(0, "tcp_v4_rcv+0x1f [m]"));
        f.drop_reason_desc = desc;
        f.event_type = event_type(desc);
        f.netns = Some(Netns { inode: netns, name: Some("blue".into()) });
        f.process = Some(Process { pid: code, tid: netns, comm: comm.into(), owner: reply == Some(true) });
        f.interface = Some(Interface { index: 3, name: Some("eth0".into()) });
        f.node_name = Some("n1".into());
        f.direction = TrafficDirection::Egress;
        f.is_reply = reply;
        if count > 1 {
            f.tally = crate::flow::Tally { kind: crate::flow::TallyKind::Flow, count, bytes: count, first: time, last: time };
        }
        f.length = Some(60);
        f
    }
}

proptest! {
    #[test]
    fn a_flow_survives_the_wire(f in some_flow()) {
        let Some(Observation::Flow(mut back)) = from_wire(to_wire(&Observation::Flow(f.clone()))) else {
            return Err(TestCaseError::fail("no flow came back"));
        };
        let text = back.remote_summary.take().map(String::from);
        prop_assert_eq!(text, Some(summary(&f)));
        prop_assert_eq!(back, f);
    }

    /// What is printed of a flow does not depend on whether it came by the wire.
    #[test]
    fn json_is_the_same_on_both_ends(mut f in some_flow(), arp in any::<bool>()) {
        if arp {
            f.packet.ip = None;
            f.packet.l4 = None;
            f.packet.ether_type = Some(0x0806);
            f.packet.arp = Some(crate::flow::Arp { operation: 1, sender: [10, 0, 0, 1].into(), target: [10, 0, 0, 2].into() });
        } else {
            f.packet.inner = Some(crate::flow::Inner::IcmpAbout(Box::new(f.packet.clone())));
        }
        let (mut here, mut there) = (String::new(), String::new());
        crate::sink::write_json(&Observation::Flow(f.clone()), &mut here);
        crate::sink::write_json(&from_wire(to_wire(&Observation::Flow(f))).unwrap(), &mut there);
        prop_assert_eq!(here, there);
    }

    #[test]
    fn hostile_values_never_panic(
        seconds in any::<i64>(), nanos in any::<i32>(), number in any::<u32>(), enums in any::<i32>(), text in any::<String>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let flow = wire::Flow {
            time: Some(WireTime { seconds, nanos }),
            uuid: text.clone(),
            verdict: enums,
            drop_reason_desc: enums,
            ethernet: Some(wire::Ethernet { source: text.clone(), destination: text.clone() }),
            ip: Some(wire::Ip { source: text.clone(), destination: text.clone(), ..wire::Ip::default() }),
            l4: Some(wire::Layer4 { protocol: Some(Protocol::Udp(wire::Udp { source_port: number, destination_port: number })) }),
            traffic_direction: enums,
            extensions: Some(prost_types::Any { type_url: "type.googleapis.com/google.protobuf.Struct".into(), value: bytes }),
            ..wire::Flow::default()
        };
        let response = GetFlowsResponse {
            node_name: text,
            time: Some(WireTime { seconds, nanos }),
            response_types: Some(ResponseTypes::Flow(flow)),
        };
        let back = from_wire(response).unwrap();
        let mut line = String::new();
        crate::sink::write_json(&back, &mut line);
    }
}

#[test]
fn a_filter_survives_the_wire() {
    let json = r#"{"source_ip":["10.0.0.0/8"],"source_pod":["a/b"],"source_workload":[{"name":"x","kind":"Deployment"}],
        "verdict":["DROPPED"],"drop_reason_desc":["POLICY_DENIED"],"event_type":[{"type":1}],"tcp_flags":[{"SYN":true}],
        "ip_version":["IPv4"],"traffic_direction":["INGRESS"],"reply":[false]}"#;
    let f: FlowFilter = serde_json::from_str(json).unwrap();
    assert_eq!(filter_from_wire(filter_to_wire(&f)).unwrap(), f);
}
