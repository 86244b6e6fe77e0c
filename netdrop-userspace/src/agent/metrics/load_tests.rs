//! Metrics of a cluster without end: bounded, exact in their sums, empty again when it is gone. And what Prometheus' own judge says of all.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;
use crate::agent::feed::{FeedSpec, Target};
use crate::balance::Row;
use crate::flow::{
    EndpointInfo, IcmpMessage, Identity, Ip, L4, LostEvents, TcpFlags, TrafficDirection, Verdict, event_type,
};

/// With everything that tells apart, one of each.
const ALL: &str = "drop:sourceContext=pod|ip;destinationContext=pod|dns|ip;labelsContext=source_ip,source_pod,source_namespace,\
    source_workload,source_workload_kind,source_app,destination_ip,destination_pod,destination_namespace,destination_workload,\
    destination_workload_kind,destination_app,traffic_direction \
    flow:sourceEgressContext=pod;sourceIngressContext=ip;destinationEgressContext=identity;destinationIngressContext=reserved-identity \
    port-distribution:sourceContext=pod-name tcp:sourceContext=workload;destinationContext=workload-name icmp:sourceContext=app \
    sctp:sourceContext=namespace flows-to-world:any-drop;port;sourceContext=pod dns http policy";

fn flow(number: u32, pods: &str) -> Flow {
    let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
    flow.event_type = event_type(0);
    let end = |side: &str, labels: Vec<Arc<str>>| {
        let info = EndpointInfo {
            namespace: "shop".into(),
            pod_name: format!("{pods}-{side}-{number}").into(),
            labels,
            ..EndpointInfo::default()
        };
        Endpoint { info: Some(Arc::new(info)), ..Endpoint::default() }
    };
    flow.source = end("s", vec![format!("k8s:app=a-{number}").into()]);
    flow.destination = end("d", vec!["reserved:world".into()]);
    flow.destination.identity = Identity::WORLD;
    let [source, destination] =
        [10, 11].map(|net| (u32::from(net == 10_u8) << 24 | 0x0b00_0000 | number).to_be_bytes().into());
    flow.packet.ip = Some(Ip { source, destination, protocol: 6, ttl: 1, total_length: 40, fragment: None });
    let port = u16::try_from(number % 65_536).unwrap();
    flow.packet.l4 = Some(match number % 8 {
        0 => L4::Icmpv4(IcmpMessage { kind: 3, code: 1 }),
        1 => L4::Icmpv6(IcmpMessage { kind: 1, code: 4 }),
        2 => L4::Sctp { source_port: 1, destination_port: port, chunk_type: Some(1) },
        3 => L4::Udp { source_port: 1, destination_port: port },
        _ => L4::Tcp { source_port: 1, destination_port: port, flags: TcpFlags(2) },
    });
    flow.direction =
        [TrafficDirection::Ingress, TrafficDirection::Egress][usize::from(number.is_multiple_of(2))];
    flow
}

fn about(feeds: Feeds, names: Option<Names>) -> About {
    let events = Arc::new(AgentEvents::default());
    events.started(Timestamp::UNIX_EPOCH);
    About { feeds, names, tls: None, events, history: Arc::new(HistoryLevel::default) }
}

/// Series of a metric, and the sum of their values.
fn sum(page: &str, name: &str) -> (usize, u64) {
    let rows = page.lines().filter(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    let values = rows.map(|l| l.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    values.fold((0, 0), |(rows, sum), n| (rows + 1, sum + n))
}

#[test]
fn a_hundred_thousand_pods_and_ports_stay_bounded_and_add_up() {
    const FLOWS: u32 = 100_000;
    const MOST: usize = 1_000;
    let metrics = Metrics::new(&MetricSpec::parse_list(ALL).unwrap(), MOST).unwrap();
    for wave in 0..2 {
        for number in 0..FLOWS {
            metrics.observe(&[Arc::new(Observation::Flow(flow(number, &format!("p{wave}"))))]);
        }
    }
    let all = u64::from(FLOWS) * 2;
    let about = about(Feeds::default(), Some(Names::default()));
    let page = metrics.page(&about).write(Format::Text);
    let ports = all / 8 * 5;
    for (name, expected) in [
        ("hubble_drop_total", all),
        ("hubble_flows_processed_total", all),
        ("hubble_port_distribution_total", all),
        ("hubble_tcp_flags_total", all / 2),
        ("hubble_icmp_total", all / 4),
        ("hubble_sctp_chunk_types_total", all / 8),
        ("hubble_flows_to_world_total", all),
    ] {
        let (series, drops) = sum(&page, name);
        assert_eq!(drops, expected, "{name}");
        // Beyond the bound there is one for each of what is few by nature: reasons, protocols, flags.
        assert!(series <= MOST + 20, "{name}: {series} series");
    }
    assert!(ports > 0 && page.lines().count() < 9 * MOST, "{}", page.lines().count());
    let overflow = sum(&page, "netdrop_metrics_overflow_total").1;
    assert!(overflow > all, "{overflow}");
    // Nobody knows any of these pods: what named them goes, what is counted as overflow stays.
    metrics.forget_pods(&Names::default(), Timestamp::now());
    let page = metrics.page(&about).write(Format::Text);
    assert!(!page.contains("p0-s-") && !page.contains("p1-s-"), "series of pods that are gone");
    let (series, _) = sum(&page, "hubble_drop_total");
    assert!(series <= 20, "{series}");
    // There is room for the next ones.
    metrics.observe(&[Arc::new(Observation::Flow(flow(7, "next")))]);
    assert!(metrics.page(&about).write(Format::Text).contains("shop/next-s-7"));
}

/// What `promtool check metrics` says, if its judge is there; else one line says that it was not asked.
#[test]
fn prometheus_finds_no_fault() {
    let Some(judge) = judge() else { return };
    let metrics = Metrics::new(&MetricSpec::parse_list(ALL).unwrap(), 5).unwrap();
    let flows = (0..100).map(|n| Arc::new(Observation::Flow(flow(n, "a\"quote\\and\nline"))));
    metrics.observe(&flows.collect::<Vec<_>>());
    let lost = LostEvents {
        source: LostSource::HubbleRingBuffer,
        count: 1,
        cpu: None,
        time: Timestamp::UNIX_EPOCH,
        first: None,
        last: None,
        node_name: None,
    };
    metrics.observe(&[Arc::new(Observation::Lost(lost))]);
    let row = Row { drops: 10, shown: 1, aggregated: 2, hidden: 3, lost: 4, other: 0 };
    metrics.lock().drawn = Drawn::of_all(Balance::of_rows(row, vec![("NO_SOCKET".into(), row)]));
    let feeds = Feeds::start(vec![FeedSpec::new("stdout", Target::Stdout)]).unwrap();
    feeds.replace(vec![]);
    let mut page = metrics.page(&about(feeds, Some(Names::default())));
    own::certificates(Timestamp::UNIX_EPOCH, &mut page);
    let page = page.write(Format::Text);
    let names = page.lines().filter(|l| l.starts_with("# TYPE ")).count();
    assert!(names > 25, "{names} names:\n{page}");
    let mut judging = Command::new(judge).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    judging.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = judging.wait_with_output().unwrap();
    assert!(said.status.success(), "{}\n{page}", String::from_utf8_lossy(&said.stderr));
}

/// Where `cargo xtask test` builds it.
fn judge() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    let built = home.join(".cache/netdrop/cluster/promlint");
    let path = std::env::var_os("NETDROP_PROMLINT").map_or(built, PathBuf::from);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("NETDROP_REQUIRE_PROMLINT").is_none(), "there is no {}", path.display());
    eprintln!(
        "SKIPPED the judgement of metrics: there is no {} (`cargo xtask test` builds it where Go is)",
        path.display()
    );
    None
}
