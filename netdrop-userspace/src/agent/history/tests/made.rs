//! Observations that are made up.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::Timestamp;
use proptest::option::of;
use proptest::prelude::*;

use crate::flow::{
    Arp, DropReason, DropSite, Endpoint, EndpointInfo, Ethernet, EventType, Flow, Fragment, Frame,
    IcmpMessage, Identity, Inner, Interface, Ip, L4, LostEvents, LostSource, Netns, NodeState, NodeStatus,
    Observation, Packet, ParseProblem, Process, ServiceName, Stack, Tally, TallyKind, TcpFlags,
    TrafficDirection, Verdict, Vlan, Workload, event_type,
};

pub(crate) fn plain(second: i64, drop: bool) -> Flow {
    let verdict = if drop { Verdict::Dropped } else { Verdict::Forwarded };
    Flow::new(Timestamp::from_second(second).unwrap(), verdict)
}

pub(crate) fn flow(second: i64, drop: bool) -> Arc<Observation> {
    Arc::new(Observation::Flow(plain(second, drop)))
}

pub(crate) fn lost(second: i64, count: u64) -> Arc<Observation> {
    let time = Timestamp::from_second(second).unwrap();
    let source = LostSource::PerfEventRingBuffer;
    Arc::new(Observation::Lost(LostEvents {
        source,
        count,
        cpu: None,
        time,
        first: None,
        last: None,
        node_name: None,
    }))
}

/// A drop with all that capture knows of one; of some pods, ports and reasons.
pub(crate) fn full(number: i64) -> Flow {
    let n = u64::try_from(number).unwrap();
    let part = |of: u64| u16::try_from(n % of).unwrap();
    let [low, high] = part(100).to_le_bytes();
    let time =
        Timestamp::from_nanosecond(1_700_000_000_000_000_000 + i128::from(number) * 1_234_567).unwrap();
    let mut f = Flow::new(time, Verdict::Dropped);
    f.monotonic_ns = Some(77_000_000_000 + n * 1_234_560);
    f.uuid = Some(uuid::Uuid::from_u128(u128::from(n) << 64 | 0x4000_0000_0000_8000));
    f.reason =
        Some(DropReason { code: 8, subsystem: "CORE".into(), name: format!("REASON_{}", n % 7).into() });
    f.site =
        Some(crate::kernel::site_from_text(0xffff_ffff_8100_0000 + n % 7, "nf_hook_slow+0x3b/0x6f [nf]"));
    f.event_type = event_type(0);
    f.packet.ethernet = Some(Ethernet { source: [2, 0, 0, 0, 0, low], destination: [2, 0, 0, 0, 1, low] });
    f.packet.ether_type = Some(0x0800);
    f.packet.ip = Some(Ip {
        source: Ipv4Addr::new(10, 244, low, high).into(),
        destination: Ipv4Addr::new(10, 96, 0, low).into(),
        protocol: 6,
        ttl: 63,
        total_length: 60,
        fragment: None,
    });
    f.packet.l4 = Some(L4::Tcp {
        source_port: 30_000 + part(20_000),
        destination_port: 5000 + part(10),
        flags: TcpFlags(2),
    });
    f.source = pod(n % 100);
    f.destination = pod(n % 13 + 100);
    f.node_name = Some("worker-1".into());
    f.interface = Some(Interface { index: 3, name: Some("eth0".into()) });
    f.incoming_ifindex = Some(3);
    f.netns = Some(Netns { inode: 4_026_531_840, name: None });
    f.process = Some(Process { pid: 42, tid: 42, comm: "checkout".into(), owner: false });
    f.cgroup_id = Some(12_345 + n % 50);
    f.length = Some(74);
    f.tally.bytes = 74;
    f
}

fn pod(number: u64) -> Endpoint {
    let info = EndpointInfo {
        namespace: "production".into(),
        pod_name: format!("checkout-{number}-5d8f7c9b6-x2x4z").into(),
        labels: vec![format!("k8s:app=checkout-{number}").into(), "k8s:tier=web".into()],
        workloads: vec![Workload { name: format!("checkout-{number}").into(), kind: "Deployment".into() }],
        node: None,
    };
    Endpoint { id: 0, identity: Identity::UNKNOWN, info: Some(Arc::new(info)) }
}

/// Few words, so that names come again.
fn word() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["", "[a-c]{1,2}", any::<String>()].prop_map(Arc::from)
}

fn words() -> impl Strategy<Value = Vec<Arc<str>>> {
    proptest::collection::vec(word(), 0..3)
}

/// Any that there is; the ends of time as well.
fn time() -> impl Strategy<Value = Timestamp> {
    let (min, max) = (Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
    prop_oneof![
        4 => 1_700_000_000_000_000_000..1_700_000_100_000_000_000i128,
        1 => min..=max,
        1 => Just(min),
        1 => Just(max),
    ]
    .prop_map(|ns| Timestamp::from_nanosecond(ns).unwrap())
}

fn l4() -> impl Strategy<Value = L4> {
    let ports = || any::<(u16, u16)>();
    let message = || any::<(u8, u8)>().prop_map(|(kind, code)| IcmpMessage { kind, code });
    prop_oneof![
        (ports(), any::<u16>()).prop_map(|((source_port, destination_port), flags)| L4::Tcp {
            source_port,
            destination_port,
            flags: TcpFlags(flags)
        }),
        ports().prop_map(|(source_port, destination_port)| L4::Udp { source_port, destination_port }),
        (ports(), any::<Option<u8>>()).prop_map(|((source_port, destination_port), chunk_type)| L4::Sctp {
            source_port,
            destination_port,
            chunk_type
        }),
        message().prop_map(L4::Icmpv4),
        message().prop_map(L4::Icmpv6),
        any::<(u8, u8, u8)>().prop_map(|(kind, vrid, priority)| L4::Vrrp { kind, vrid, priority }),
        any::<(u8, Ipv4Addr)>().prop_map(|(kind, group)| L4::Igmp { kind, group }),
    ]
}

fn ip() -> impl Strategy<Value = Ip> {
    let fragment = of(any::<(u16, bool, u32)>().prop_map(|(offset, more, id)| Fragment { offset, more, id }));
    (any::<(IpAddr, IpAddr, u8, u8, u32)>(), fragment).prop_map(|(fields, fragment)| {
        let (source, destination, protocol, ttl, total_length) = fields;
        Ip { source, destination, protocol, ttl, total_length, fragment }
    })
}

fn problem() -> impl Strategy<Value = ParseProblem> {
    prop_oneof![
        Just(ParseProblem::NoBytes),
        Just(ParseProblem::Truncated),
        Just(ParseProblem::Malformed),
        Just(ParseProblem::TooDeep),
        Just(ParseProblem::Unwritten)
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    let one = (
        of(any::<([u8; 6], [u8; 6])>().prop_map(|(source, destination)| Ethernet { source, destination })),
        of(prop_oneof![Just(0x0800u16), Just(0x86dd), any::<u16>()]),
        of(any::<(u16, u8)>().prop_map(|(id, priority)| Vlan { id, priority })),
        of(any::<(u16, Ipv4Addr, Ipv4Addr)>().prop_map(|(operation, sender, target)| Arp {
            operation,
            sender,
            target,
        })),
        of(ip()),
        of(l4()),
        of(problem()),
    )
        .prop_map(|(ethernet, ether_type, vlan, arp, ip, l4, problem)| Packet {
            ethernet,
            ether_type,
            vlan,
            arp,
            ip,
            l4,
            inner: None,
            problem,
        });
    one.boxed().prop_recursive(3, 8, 1, |inner| {
        (inner.clone(), inner, of(any::<u32>())).prop_map(|(mut outer, inner, vni)| {
            let packet = Box::new(inner);
            outer.inner = Some(match vni {
                Some(vni) => Inner::Vxlan { vni, packet },
                None => Inner::IcmpAbout(packet),
            });
            outer
        })
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let workload = (word(), word()).prop_map(|(name, kind)| Workload { name, kind });
    let info = (word(), word(), words(), proptest::collection::vec(workload, 0..2), of(word())).prop_map(
        |(namespace, pod_name, labels, workloads, node)| {
            Arc::new(EndpointInfo { namespace, pod_name, labels, workloads, node })
        },
    );
    (any::<(u32, u32)>(), of(info)).prop_map(|((id, identity), info)| Endpoint {
        id,
        identity: Identity(identity),
        info,
    })
}

fn service() -> impl Strategy<Value = Option<Arc<ServiceName>>> {
    of((word(), word()).prop_map(|(name, namespace)| Arc::new(ServiceName { name, namespace })))
}

type Ends =
    (Endpoint, Endpoint, Vec<Arc<str>>, Vec<Arc<str>>, Option<Arc<ServiceName>>, Option<Arc<ServiceName>>);

fn ends() -> impl Strategy<Value = Ends> {
    (endpoint(), endpoint(), words(), words(), service(), service())
}

fn why() -> impl Strategy<Value = (Option<DropReason>, i32, Option<DropSite>, Option<EventType>)> {
    let reason = (any::<u32>(), word(), word()).prop_map(|(code, subsystem, name)| DropReason {
        code,
        subsystem,
        name,
    });
    let site = (any::<(u64, u64)>(), of(word()), of(word()))
        .prop_map(|((address, offset), symbol, module)| DropSite { address, symbol, offset, module });
    let event = any::<(i32, i32)>().prop_map(|(kind, sub_type)| EventType { kind, sub_type });
    (of(reason), any::<i32>(), of(site), of(event))
}

fn place() -> impl Strategy<Value = (Option<Arc<str>>, Option<Interface>, Option<Netns>, Option<Process>)> {
    let interface = (any::<u32>(), of(word())).prop_map(|(index, name)| Interface { index, name });
    let netns = (any::<u32>(), of(word())).prop_map(|(inode, name)| Netns { inode, name });
    let process = (any::<(u32, u32, bool)>(), word()).prop_map(|((pid, tid, owner), comm)| Process {
        pid,
        tid,
        comm,
        owner,
    });
    (of(word()), of(interface), of(netns), of(process))
}

fn tally() -> impl Strategy<Value = Option<Tally>> {
    let kind = prop_oneof![Just(TallyKind::Packet), Just(TallyKind::Flow), Just(TallyKind::Rest)];
    of((kind, any::<(u64, u64)>(), time(), time()).prop_map(|(kind, (count, bytes), first, last)| Tally {
        kind,
        count,
        bytes,
        first,
        last,
    }))
}

type Numbers = (Option<u64>, Option<u128>, Option<u32>, Option<u64>, Option<u32>, Option<u32>, Option<bool>);

prop_compose! {
    fn some_flow()(
        time in time(),
        verdict in prop::sample::select(&Verdict::ALL[..]),
        direction in prop::sample::select(&[TrafficDirection::Unknown, TrafficDirection::Ingress, TrafficDirection::Egress][..]),
        packet in packet().boxed(),
        ends in ends().boxed(),
        why in why().boxed(),
        place in place().boxed(),
        tally in tally().boxed(),
        numbers in any::<Numbers>(),
        benign: bool,
        meaning in of(word()),
        frame in any::<Option<(Vec<u8>, u32, bool)>>(),
        remote in any::<[Option<String>; 3]>(),
    ) -> Flow {
        let mut f = Flow::new(time, verdict);
        (f.direction, f.benign, f.meaning) = (direction, benign, meaning);
        f.packet = packet;
        f.frame = frame.map(|(bytes, length, without_mac)| Box::new(Frame { bytes: bytes.into(), length, without_mac }));
        (f.source, f.destination, f.source_names, f.destination_names, f.source_service, f.destination_service) = ends;
        (f.reason, f.drop_reason_desc, f.site, _) = why;
        // Whatever else is known of it.
        let frames = f.site.clone().into_iter().chain(f.site.clone()).collect();
        f.stack = f.meaning.as_ref().map(|_| Arc::new(Stack { frames, more: benign }));
        f.event_type = why.3.unwrap_or(event_type(f.drop_reason_desc));
        (f.node_name, f.interface, f.netns, f.process) = place;
        f.tally = tally.unwrap_or(f.tally);
        (f.monotonic_ns, _, f.incoming_ifindex, f.cgroup_id, f.mark, f.length, f.is_reply) = numbers;
        f.uuid = numbers.1.map(uuid::Uuid::from_u128);
        [f.remote_summary, f.remote_arp, f.remote_inner] = remote.map(|text| text.map(Into::into));
        f
    }
}

prop_compose! {
    fn some_lost()(
        source in prop::sample::select(&[LostSource::Unknown, LostSource::PerfEventRingBuffer, LostSource::ObserverEventsQueue, LostSource::HubbleRingBuffer][..]),
        count: u64, cpu: Option<i32>, time in time(), first in of(time()), last in of(time()), node_name in of(word()),
    ) -> LostEvents {
        LostEvents { source, count, cpu, time, first, last, node_name }
    }
}

prop_compose! {
    fn some_status()(
        state in prop::sample::select(&[NodeState::Unknown, NodeState::Connected, NodeState::Unavailable, NodeState::Gone, NodeState::Error][..]),
        time in time(), reporter in of(word()), nodes in words(), message: String,
    ) -> NodeStatus {
        NodeStatus { time, reporter, state, nodes, message }
    }
}

/// Anything that the types can hold.
pub(super) fn some_observation() -> impl Strategy<Value = Observation> {
    prop_oneof![
        8 => some_flow().prop_map(Observation::Flow).boxed(),
        1 => some_lost().prop_map(Observation::Lost).boxed(),
        1 => some_status().prop_map(Observation::Status).boxed(),
    ]
}
