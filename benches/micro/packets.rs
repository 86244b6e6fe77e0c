//! Records and flows as capture makes them, of crafted packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use netdrop::decode::{self, DropEvent};
use netdrop::flow::{
    DropReason, Endpoint, EndpointInfo, Flow, Identity, Interface, Process, Verdict, Workload, event_type,
};
use netdrop::kernel::site_from_text;
use netdrop_common::event::{ABI_VERSION, DropRecord, HEAD_MAX, HEAD_SHORT, MAC_MAX, SHORT_LEN, flag};
use netdrop_common::hook;
use netdrop_tests::traffic::craft::{self, ether_type, protocol};

/// The packets.
pub const NAMES: &[&str] = &["tcp", "udp", "udp6", "icmp", "sctp", "options6", "fragment6", "vxlan"];

const V4: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 244, 1, 11)), IpAddr::V4(Ipv4Addr::new(10, 244, 2, 12))];
const V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2)),
];
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

fn ports(addresses: [IpAddr; 2]) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(addresses[0], 40_000), SocketAddr::new(addresses[1], 5432))
}

/// EtherType and bytes from the network header on.
fn packet(name: &str) -> (u16, Vec<u8>) {
    let ([from, to], [from6, to6]) = (V4, V6);
    let ((source, destination), (source6, destination6)) = (ports(V4), ports(V6));
    let tcp = craft::ip(from, to, protocol::TCP, &craft::tcp(source, destination, craft::SYN, 1));
    let ipv6 = |next, payload: &[u8]| craft::ip(from6, to6, next, payload);
    match name {
        "udp" => {
            (ether_type::IPV4, craft::ip(from, to, protocol::UDP, &craft::udp(source, destination, b"x")))
        }
        "udp6" => (ether_type::IPV6, ipv6(protocol::UDP, &craft::udp(source6, destination6, b"x"))),
        "icmp" => (ether_type::IPV4, craft::ip(from, to, protocol::ICMP, &craft::echo(from, to, 1, 1))),
        "sctp" => (ether_type::IPV4, craft::ip(from, to, protocol::SCTP, &craft::sctp(source, destination))),
        "options6" => {
            let udp = craft::udp(source6, destination6, b"x");
            (ether_type::IPV6, ipv6(0, &craft::options6(60, &craft::options6(protocol::UDP, &udp))))
        }
        "fragment6" => {
            let udp = craft::udp(source6, destination6, &[0; 64]);
            (ether_type::IPV6, ipv6(44, &craft::fragment6(protocol::UDP, 0, true, 7, &udp)))
        }
        "vxlan" => {
            let inner = craft::ethernet(MACS[1], MACS[0], ether_type::IPV4, &tcp);
            let to_vtep = SocketAddr::new(to, 4789);
            let outer = craft::udp(source, to_vtep, &craft::vxlan(1, &inner));
            (ether_type::IPV4, craft::ip(from, to, protocol::UDP, &outer))
        }
        _ => (ether_type::IPV4, tcp),
    }
}

fn record(name: &str) -> DropRecord {
    let (ether_type, bytes) = packet(name);
    let len = bytes.len().min(HEAD_MAX);
    let (mut head, mut mac) = ([0; HEAD_MAX], [0; MAC_MAX]);
    head[..len].copy_from_slice(&bytes[..len]);
    mac.copy_from_slice(&craft::ethernet(MACS[1], MACS[0], ether_type, &[]));
    let mut text = [[0; 16]; 2];
    text[0][..8].copy_from_slice(b"checkout");
    text[1][..4].copy_from_slice(b"eth0");
    DropRecord {
        version: ABI_VERSION,
        hook: hook::KFREE_SKB,
        len: u16::try_from(if len > HEAD_SHORT { size_of::<DropRecord>() } else { SHORT_LEN })
            .expect("a record is short"),
        flags: flag::NETNS | flag::IFINDEX | flag::IIF | flag::MAC | flag::HEAD_NETWORK | flag::REASON,
        time_ns: 1,
        location: 0xffff_ffff_8100_0000,
        cgroup_id: 0,
        reason: 8,
        netns: 4_026_531_840,
        ifindex: 2,
        skb_iif: 2,
        skb_len: u32::try_from(bytes.len()).expect("a packet is short"),
        mark: 0,
        pid: 42,
        tid: 42,
        cpu: 0,
        local_addr: [0; 4],
        protocol: ether_type.to_be_bytes(),
        vlan_proto: [0; 2],
        vlan_tci: 0,
        gso_size: 0,
        gso_segs: 0,
        pkt_type: 0,
        head_len: u8::try_from(len).expect("at most HEAD_MAX"),
        comm: text[0],
        dev_name: text[1],
        _pad: [0; 6],
        mac,
        head,
    }
}

/// A record that was checked.
pub fn event(name: &str) -> DropEvent {
    DropEvent::from_record(record(name)).expect("a record that this build reads")
}

/// A record as it lies in the ring buffer.
#[expect(unsafe_code, reason = "the kernel's side of the ABI: a record's bytes")]
pub fn record_bytes(name: &str) -> Vec<u8> {
    let record = record(name);
    let len = usize::from(record.len);
    // SAFETY: repr(C), integers and arrays only, all padding explicit: every byte is initialized.
    let bytes: [u8; size_of::<DropRecord>()] = unsafe { std::mem::transmute(record) };
    bytes[..len].to_vec()
}

fn pod(name: &str) -> Endpoint {
    let info = EndpointInfo {
        namespace: "production".into(),
        pod_name: format!("{name}-5d8f7c9b6-x2x4z").into(),
        labels: vec![format!("k8s:app={name}").into(), "k8s:tier=web".into()],
        workloads: vec![Workload { name: name.into(), kind: "Deployment".into() }],
        node: None,
    };
    Endpoint { id: 0, identity: Identity::UNKNOWN, info: Some(Arc::new(info)) }
}

/// A flow between two pods, with all that capture knows of one.
pub fn flow(name: &str) -> Flow {
    let event = event(name);
    let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
    flow.uuid = Some(uuid::Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef));
    flow.monotonic_ns = Some(event.time_ns());
    flow.packet = decode::parse(&event);
    flow.length = Some(event.record().skb_len);
    flow.reason = Some(DropReason { code: 8, subsystem: "CORE".into(), name: "NETFILTER_DROP".into() });
    flow.site = Some(site_from_text(event.location(), "nft_do_chain+0x3b7/0x6f0 [nf_tables]"));
    flow.event_type = event_type(0);
    (flow.source, flow.destination) = (pod("checkout"), pod("payments-db"));
    flow.node_name = Some("worker-1".into());
    flow.interface = Some(Interface { index: 2, name: Some("eth0".into()) });
    flow.incoming_ifindex = Some(2);
    flow.process = Some(Process { pid: 42, tid: 42, comm: "checkout".into(), owner: false });
    flow
}
