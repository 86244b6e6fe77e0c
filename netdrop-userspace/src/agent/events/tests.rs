//! Which events a client gets.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use super::*;
use crate::enrich::change::{Address, Policy, Service};
use crate::flow::{EndpointInfo, Identity, ServiceName};
use crate::proto::observer::{GetAgentEventsRequest, GetAgentEventsResponse};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn events(seconds: std::ops::Range<i64>) -> Arc<AgentEvents> {
    let events = Arc::new(AgentEvents::default());
    seconds.for_each(|second| events.started(at(second)));
    events
}

fn base() -> GetAgentEventsRequest {
    GetAgentEventsRequest::default()
}

type Answers = mpsc::Receiver<Result<GetAgentEventsResponse, Status>>;

fn ask(events: &Arc<AgentEvents>, request: GetAgentEventsRequest) -> (Answers, watch::Sender<bool>) {
    let (to, from) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let window = Window::new(&request).unwrap();
    tokio::spawn(stream(Arc::clone(events), Some("n".into()), window, to, stopped));
    (from, stop)
}

async fn next(answers: &mut Answers) -> Option<GetAgentEventsResponse> {
    timeout(Duration::from_mins(1), answers.recv()).await.unwrap().map(Result::unwrap)
}

/// Seconds of all events that a request is answered with.
async fn seconds(events: &Arc<AgentEvents>, request: GetAgentEventsRequest) -> Vec<i64> {
    let (mut answers, _stop) = ask(events, request);
    let mut all = Vec::new();
    while let Some(answer) = next(&mut answers).await {
        all.push(answer.time.unwrap().seconds);
    }
    all
}

#[tokio::test]
async fn history_is_selected_as_that_of_flows() {
    let events = events(0..100);
    let wire = |second: i64| Some(prost_types::Timestamp { seconds: second, nanos: 0 });
    for (request, expected) in [
        (GetAgentEventsRequest { number: 2, ..base() }, 98..100),
        (GetAgentEventsRequest { number: 2, first: true, ..base() }, 0..2),
        (GetAgentEventsRequest { number: 70, first: true, ..base() }, 0..70),
        (GetAgentEventsRequest { first: true, ..base() }, 0..100),
        (GetAgentEventsRequest { since: wire(97), ..base() }, 97..100),
        (GetAgentEventsRequest { since: wire(97), number: 2, ..base() }, 97..99),
        (GetAgentEventsRequest { since: wire(97), number: 2, first: true, ..base() }, 97..99),
        (GetAgentEventsRequest { since: wire(97), until: wire(98), ..base() }, 97..99),
        (GetAgentEventsRequest { until: wire(9), ..base() }, 0..10),
        (GetAgentEventsRequest { until: wire(9), number: 3, ..base() }, 7..10),
        (GetAgentEventsRequest { until: wire(9), number: 3, first: true, ..base() }, 0..3),
        (GetAgentEventsRequest { since: wire(1000), ..base() }, 0..0),
        (GetAgentEventsRequest { number: u64::MAX, ..base() }, 0..100),
        (base(), 0..100),
    ] {
        assert_eq!(seconds(&events, request).await, expected.collect::<Vec<_>>(), "{request:?}");
    }
    let both = GetAgentEventsRequest { first: true, follow: true, ..base() };
    assert_eq!(Window::new(&both).unwrap_err().message(), "first cannot be specified with follow");
    let never = GetAgentEventsRequest { since: wire(i64::MAX), ..base() };
    assert!(Window::new(&never).unwrap_err().message().contains("invalid since"));
}

#[tokio::test]
async fn followers_see_what_comes_whatever_they_began_with() {
    let wire = |second: i64| Some(prost_types::Timestamp { seconds: second, nanos: 0 });
    let follow = || GetAgentEventsRequest { follow: true, ..base() };
    for (request, history) in [
        (follow(), 3..3),
        (GetAgentEventsRequest { number: 1, ..follow() }, 2..3),
        (GetAgentEventsRequest { number: u64::MAX, ..follow() }, 0..3),
        (GetAgentEventsRequest { since: wire(1), ..follow() }, 1..3),
        // An end is no end for who follows.
        (GetAgentEventsRequest { since: wire(1), until: wire(2), ..follow() }, 1..3),
    ] {
        let events = events(0..3);
        let (mut answers, stop) = ask(&events, request);
        for second in history {
            assert_eq!(next(&mut answers).await.unwrap().time.unwrap().seconds, second, "{request:?}");
        }
        // Whether its task has begun or not.
        events.started(at(3));
        let answer = next(&mut answers).await.unwrap();
        assert_eq!((answer.time.unwrap().seconds, &*answer.node_name), (3, "n"), "{request:?}");
        stop.send_replace(true);
        let end = timeout(Duration::from_mins(1), answers.recv()).await.unwrap().unwrap().unwrap_err();
        assert_eq!((end.code(), end.message()), (tonic::Code::Unavailable, "the agent stops"));
        assert!(next(&mut answers).await.is_none());
    }
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_how_many_are_missing() {
    let events = events(0..1);
    let request = GetAgentEventsRequest { follow: true, number: 1, ..base() };
    let (mut answers, _stop) = ask(&events, request);
    assert_eq!(next(&mut answers).await.unwrap().time.unwrap().seconds, 0);
    let many = i64::try_from(KEPT).unwrap() + 100;
    (1..=many).for_each(|second| events.started(at(second)));
    let (mut seen, mut missed, mut last) = (0, 0, 0);
    while last < many {
        let answer = next(&mut answers).await.unwrap();
        if let Some(Notification::Unknown(lost)) = answer.agent_event.unwrap().notification {
            assert_eq!(lost.r#type, "lost events");
            let said: serde_json::Value = serde_json::from_str(&lost.notification).unwrap();
            missed += said["num_events_lost"].as_str().unwrap().parse::<i64>().unwrap();
        } else {
            last = answer.time.unwrap().seconds;
            seen += 1;
        }
    }
    assert!(missed > 0);
    assert_eq!(seen + missed, many);
    assert_eq!(events.counts().missed, u64::try_from(missed).unwrap());
}

#[test]
fn only_so_many_are_kept_and_only_so_much() {
    let many = i64::try_from(KEPT).unwrap() + 5;
    let events = events(0..many);
    assert_eq!(events.lock().items.len(), KEPT);
    let chunk = events.chunk(1, 2);
    assert_eq!((chunk.lost, chunk.next, chunk.items[0].time), (4, 7, at(5)));
    assert_eq!(events.counts().told, [("AGENT_STARTED", u64::try_from(many).unwrap())]);
    // A hundred thousand pods, each with labels of a kilobyte.
    let hear = events.listener();
    for pod in 0..100_000 {
        let info = EndpointInfo {
            pod_name: format!("p-{pod}").into(),
            labels: vec!["x".repeat(4096).into()],
            ..EndpointInfo::default()
        };
        hear.tell(Change::EndpointCreated(Arc::new(info)));
    }
    let ring = events.lock();
    assert!(ring.bytes <= KEPT_BYTES && ring.items.len() > 500, "{} {}", ring.bytes, ring.items.len());
    assert_eq!(ring.bytes, ring.items.iter().map(|i| i.bytes).sum::<usize>());
    assert_eq!(ring.next(), u64::try_from(many).unwrap() + 100_000);
}

/// What the stock client prints is made of these fields; names of fields are those of its JSON.
#[test]
fn changes_have_hubbles_fields() {
    let name = ServiceName { name: "web".into(), namespace: "shop".into() };
    let service = Service {
        id: 7,
        address: "10.96.0.9".parse().unwrap(),
        port: 80,
        kind: "ClusterIP",
        external_policy: "Local".into(),
        internal_policy: "Cluster".into(),
        name: Arc::new(name),
    };
    let pod = EndpointInfo {
        namespace: "shop".into(),
        pod_name: "web-1".into(),
        labels: vec!["k8s:app=web".into()],
        ..EndpointInfo::default()
    };
    let pod = Arc::new(pod);
    let address = Address {
        address: "10.0.1.5".parse().unwrap(),
        identity: Identity::UNKNOWN,
        before: None,
        host: Some("192.168.0.1".parse().unwrap()),
        pod: Some(Arc::clone(&pod)),
    };
    let node = Address {
        address: "fd00::1".parse().unwrap(),
        identity: Identity::KUBE_APISERVER,
        before: Some(Identity::REMOTE_NODE),
        host: None,
        pod: None,
    };
    let policy =
        Policy { namespace: "shop".into(), name: "deny".into(), uid: "u-1".into(), rules: 2, revision: 5 };
    let json = |change| {
        let (kind, notification) = notice::of(change);
        let event = AgentEvent { r#type: kind.into(), notification: Some(notification) };
        let answer = GetAgentEventsResponse { agent_event: Some(event), ..GetAgentEventsResponse::default() };
        let mut text = String::new();
        crate::wire::json::write(&answer, &mut text).unwrap();
        text.replace("{\"agent_event\":", "")
    };
    for (change, expected) in [
        (
            Change::EndpointCreated(Arc::clone(&pod)),
            r#"{"type":"ENDPOINT_CREATED","endpoint_update":{"labels":["k8s:app=web"],"pod_name":"web-1","namespace":"shop"}}}"#,
        ),
        (
            Change::EndpointDeleted(pod),
            r#"{"type":"ENDPOINT_DELETED","endpoint_update":{"labels":["k8s:app=web"],"pod_name":"web-1","namespace":"shop"}}}"#,
        ),
        (
            Change::AddressTaken(address.clone()),
            r#"{"type":"IPCACHE_UPSERTED","ipcache_update":{"cidr":"10.0.1.5/32","host_ip":"192.168.0.1","namespace":"shop","pod_name":"web-1"}}}"#,
        ),
        (
            Change::AddressFreed(address),
            r#"{"type":"IPCACHE_DELETED","ipcache_update":{"cidr":"10.0.1.5/32","old_host_ip":"192.168.0.1","namespace":"shop","pod_name":"web-1"}}}"#,
        ),
        (
            Change::AddressTaken(node),
            r#"{"type":"IPCACHE_UPSERTED","ipcache_update":{"cidr":"fd00::1/128","identity":7,"old_identity":6}}}"#,
        ),
        (
            Change::ServiceUpserted(Arc::new(service)),
            r#"{"type":"SERVICE_UPSERTED","service_upsert":{"id":7,"frontend_address":{"ip":"10.96.0.9","port":80},"type":"ClusterIP","traffic_policy":"Local","name":"web","namespace":"shop","ext_traffic_policy":"Local","int_traffic_policy":"Cluster"}}}"#,
        ),
        (Change::ServiceDeleted(7), r#"{"type":"SERVICE_DELETED","service_delete":{"id":7}}}"#),
        (
            Change::PolicyUpdated(policy.clone()),
            r#"{"type":"POLICY_UPDATED","policy_update":{"labels":["k8s:io.cilium.k8s.policy.derived-from=NetworkPolicy","k8s:io.cilium.k8s.policy.name=deny","k8s:io.cilium.k8s.policy.namespace=shop","k8s:io.cilium.k8s.policy.uid=u-1"],"revision":"5","rule_count":"2"}}}"#,
        ),
        (
            Change::PolicyDeleted(policy),
            r#"{"type":"POLICY_DELETED","policy_update":{"labels":["cilium.io/resource=netpol/shop/deny"],"revision":"5","rule_count":"2"}}}"#,
        ),
    ] {
        assert_eq!(json(change), expected);
    }
}
