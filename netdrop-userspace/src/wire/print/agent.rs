//! An agent event's columns.

use std::fmt::Write as _;

use super::{Options, time};
use crate::proto::flow::agent_event::Notification;
use crate::proto::flow::{
    AgentEvent, AgentEventType as Type, EndpointRegenNotification, EndpointUpdateNotification,
    IpCacheNotification, ServiceUpsertNotification, ServiceUpsertNotificationAddr,
};
use crate::proto::observer::GetAgentEventsResponse;
use crate::wire::json::FLOW_AGENT_EVENT_TYPE;

/// Type and details.
pub(super) fn columns(response: &GetAgentEventsResponse, options: Options) -> [String; 2] {
    let (mut kind, mut shown) = (String::new(), String::new());
    if let Some(event) = &response.agent_event {
        FLOW_AGENT_EVENT_TYPE.push(event.r#type, &mut kind);
        let details = details(event, options).unwrap_or_else(|| "UNKNOWN".to_owned());
        options.text().push(&details, &mut shown);
    }
    [kind, shown]
}

/// What the notification says, if it is the one that this type of event has.
fn details(event: &AgentEvent, options: Options) -> Option<String> {
    use Notification as N;
    // The client knows types by number alone.
    let kind = Type::try_from(event.r#type).ok()?;
    Some(match (kind, event.notification.as_ref()?) {
        (Type::AgentEventUnknown, N::Unknown(u)) => {
            format!("type: {}, notification: {}", u.r#type, u.notification)
        }
        (Type::AgentStarted, N::AgentStart(start)) => {
            let mut out = "start time: ".to_owned();
            time(start.time.as_ref(), options, &mut out);
            out
        }
        (Type::PolicyUpdated | Type::PolicyDeleted, N::PolicyUpdate(p)) => {
            let labels = p.labels.join(",");
            format!("labels: [{labels}], revision: {}, count: {}", p.revision, p.rule_count)
        }
        (Type::EndpointRegenerateSuccess | Type::EndpointRegenerateFailure, N::EndpointRegenerate(r)) => {
            regenerated(r)
        }
        (Type::EndpointCreated | Type::EndpointDeleted, N::EndpointUpdate(e)) => endpoint(e),
        (Type::IpcacheUpserted | Type::IpcacheDeleted, N::IpcacheUpdate(i)) => address(i),
        (Type::ServiceUpserted, N::ServiceUpsert(s)) => service(s),
        (Type::ServiceDeleted, N::ServiceDelete(s)) => format!("id: {}", s.id),
        _ => return None,
    })
}

/// Appends `, key: value`, if there is a value.
fn put(key: &str, value: &str, out: &mut String) {
    if !value.is_empty() {
        out.extend([", ", key, ": ", value]);
    }
}

fn regenerated(r: &EndpointRegenNotification) -> String {
    let mut out = format!("id: {}, labels: [{}]", r.id, r.labels.join(","));
    put("error", &r.error, &mut out);
    out
}

fn endpoint(e: &EndpointUpdateNotification) -> String {
    let mut out = format!("id: {}", e.id);
    put("namespace", &e.namespace, &mut out);
    put("pod name", &e.pod_name, &mut out);
    out
}

fn address(i: &IpCacheNotification) -> String {
    let mut out = format!("cidr: {}, identity: {}", i.cidr, i.identity);
    // Writing to a String does not fail.
    if let Some(old) = i.old_identity {
        let _ = write!(out, ", old identity: {old}");
    }
    put("host ip", &i.host_ip, &mut out);
    put("old host ip", &i.old_host_ip, &mut out);
    let _ = write!(out, ", encrypt key: {}", i.encrypt_key);
    out
}

fn service(s: &ServiceUpsertNotification) -> String {
    let mut out = format!("id: {}", s.id);
    if let Some(frontend) = &s.frontend_address {
        put("frontend", &host_port(frontend), &mut out);
    }
    if !s.backend_addresses.is_empty() {
        let backends: Vec<String> = s.backend_addresses.iter().map(host_port).collect();
        put("backends", &format!("[{}]", backends.join(",")), &mut out);
    }
    put("type", &s.r#type, &mut out);
    put("traffic policy", &s.traffic_policy, &mut out);
    put("namespace", &s.namespace, &mut out);
    put("name", &s.name, &mut out);
    out
}

/// What has a colon stands in brackets.
fn host_port(a: &ServiceUpsertNotificationAddr) -> String {
    if a.ip.contains(':') { format!("[{}]:{}", a.ip, a.port) } else { format!("{}:{}", a.ip, a.port) }
}
