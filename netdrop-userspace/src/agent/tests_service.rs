//! What the agent's server says besides flows, to a real client.

use std::sync::Arc;

use tonic::Code;
use tonic::transport::Channel;

use super::doors::Listen;
use super::tests::{Agent, flow, patient};
use super::tests_raw::channel;
use super::*;
use crate::flow::EndpointInfo;
use crate::proto::flow::{AgentEventType, FlowFilter};
use crate::proto::observer::observer_client::ObserverClient;
use crate::proto::observer::{
    GetAgentEventsRequest, GetDebugEventsRequest, GetFlowsRequest, GetNamespacesRequest, GetNodesRequest,
    ServerStatusRequest,
};

async fn start() -> (Agent, ObserverClient<Channel>) {
    let agent = Agent::with(1 << 20, patient(), Listen::default()).await;
    let client = ObserverClient::new(channel(&agent).await);
    (agent, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_nodes_and_namespaces() {
    let (agent, mut client) = start().await;
    for (second, namespace) in [(0, "shop"), (1, "bank"), (2, "shop")] {
        let mut flow = flow(second);
        let info = EndpointInfo { namespace: namespace.into(), ..EndpointInfo::default() };
        flow.source.info = Some(Arc::new(info));
        agent.push.send(Observation::Flow(flow)).await.unwrap();
    }
    agent.until_seen(3).await;
    let answer = client.server_status(ServerStatusRequest::default()).await.unwrap();
    assert!(answer.metadata().get("hubble-server-version").is_none(), "clients compare it with their own");
    let status = answer.into_inner();
    assert_eq!((status.num_flows, status.max_flows, status.seen_flows), (3, 19_660, 3));
    assert!(status.version.starts_with("netdrop v") && status.uptime_ns > 0 && status.flows_rate > 0.0);
    let namespaces = client.get_namespaces(GetNamespacesRequest::default()).await.unwrap().into_inner();
    let names: Vec<_> = namespaces.namespaces.iter().map(|n| (&*n.cluster, &*n.namespace)).collect();
    assert_eq!(names, [("default", "bank"), ("default", "shop")]);
    let refused = client.get_nodes(GetNodesRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unimplemented, "GetNodes not implemented"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_the_agent() {
    let (agent, mut client) = start().await;
    let all = GetAgentEventsRequest { number: 20, ..GetAgentEventsRequest::default() };
    let mut stream = client.get_agent_events(all).await.unwrap().into_inner();
    let started = stream.message().await.unwrap().unwrap();
    assert_eq!(started.agent_event.unwrap().r#type(), AgentEventType::AgentStarted);
    assert_eq!(started.node_name, "node-1");
    assert!(stream.message().await.unwrap().is_none());
    let mut debug = client.get_debug_events(GetDebugEventsRequest::default()).await.unwrap().into_inner();
    assert!(debug.message().await.unwrap().is_none());
    // Followers end with the agent.
    let follow = GetAgentEventsRequest { follow: true, ..GetAgentEventsRequest::default() };
    let mut events = client.get_agent_events(follow).await.unwrap().into_inner();
    let follow = GetDebugEventsRequest { follow: true, ..GetDebugEventsRequest::default() };
    let mut debug = client.get_debug_events(follow).await.unwrap().into_inner();
    drop(agent.stop);
    for end in [events.message().await.map(drop), debug.message().await.map(drop)] {
        let end = end.unwrap_err();
        assert_eq!((end.code(), end.message()), (Code::Unavailable, "the agent stops"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_the_fields_that_it_asks_for() {
    let (agent, mut client) = start().await;
    agent.push.send(Observation::Flow(flow(7))).await.unwrap();
    agent.until_seen(1).await;
    let ask = |paths: &[&str]| {
        let paths = paths.iter().map(ToString::to_string).collect();
        let field_mask = Some(prost_types::FieldMask { paths });
        GetFlowsRequest { number: 1, field_mask, ..GetFlowsRequest::default() }
    };
    let mut stream = client.get_flows(ask(&["verdict"])).await.unwrap().into_inner();
    let masked = stream.message().await.unwrap().unwrap();
    assert_eq!((masked.time, masked.node_name.as_str()), (None, ""));
    let refused = client.get_flows(ask(&["nope"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unknown);
    assert!(refused.message().starts_with("invalid fieldmask"), "{refused}");
    let pattern = format!("{}(", "a".repeat(20_000));
    let long = FlowFilter { dns_query: vec![pattern], ..FlowFilter::default() };
    let refused =
        client.get_flows(GetFlowsRequest { whitelist: vec![long], ..GetFlowsRequest::default() }).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unknown);
    assert!(refused.message().len() < 1_100, "as short as a header may be: {}", refused.message().len());
}
