//! Which pod and port a service leads to.

use anyhow::{anyhow, bail};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Where a tunnel ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) service: String,
    pub(super) pod: String,
    /// Of the pod.
    pub(super) port: u16,
}

fn named(service: &Service) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&service.metadata.namespace), part(&service.metadata.name))
}

/// The labels of the pods behind a service, as a query.
pub(super) fn selector(service: &Service) -> anyhow::Result<String> {
    let labels = service.spec.as_ref().and_then(|s| s.selector.as_ref()).filter(|s| !s.is_empty());
    let labels = labels.ok_or_else(|| {
        anyhow!("--port-forward: the service {} has no pods of its own; ask it with --server", named(service))
    })?;
    Ok(labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
}

/// A pod that is ready, and its port for the service's first one.
pub(super) fn choose(service: &Service, mut pods: Vec<Pod>) -> anyhow::Result<Place> {
    let name = named(service);
    if pods.is_empty() {
        bail!("--port-forward: the service {name} has no pod");
    }
    // The oldest has seen most.
    pods.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
    let Some(pod) = pods.iter().find(|pod| is_ready(pod)) else {
        let all: Vec<String> = pods.iter().take(3).map(state).collect();
        bail!("--port-forward: the service {name} has no pod that is ready: {}", all.join(", "));
    };
    Ok(Place {
        service: service.metadata.name.clone().unwrap_or_default(),
        pod: pod.metadata.name.clone().unwrap_or_default(),
        port: port(service, pod)?,
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// `name (Pending: ImagePullBackOff)`.
fn state(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or("Unknown");
    let containers = status.and_then(|s| s.container_statuses.as_ref());
    let waits = containers
        .into_iter()
        .flatten()
        .find_map(|c| c.state.as_ref()?.waiting.as_ref()?.reason.clone())
        .map_or_else(String::new, |why| format!(": {why}"));
    let ends = if pod.metadata.deletion_timestamp.is_some() { ", ending" } else { "" };
    format!("{} ({phase}{waits}{ends})", pod.metadata.name.as_deref().unwrap_or_default())
}

/// The service's first port, as the pod has it.
fn port(service: &Service, pod: &Pod) -> anyhow::Result<u16> {
    let spec = service.spec.as_ref();
    let first = spec.and_then(|s| s.ports.as_ref()).and_then(|ports| ports.first());
    let first = first.ok_or_else(|| anyhow!("--port-forward: the service {} has no port", named(service)))?;
    let headless = spec.and_then(|s| s.cluster_ip.as_deref()) == Some("None");
    let number = match &first.target_port {
        _ if headless => first.port,
        None | Some(IntOrString::Int(0)) => first.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.iter().flat_map(|s| &s.containers);
            let mut ports = containers.flat_map(|c| c.ports.iter().flatten());
            let found = ports.find(|p| p.name.as_ref() == Some(name));
            found.map(|p| p.container_port).ok_or_else(|| {
                let pod = pod.metadata.name.as_deref().unwrap_or_default();
                anyhow!("--port-forward: pod {pod} has no port named {name}, which {} wants", named(service))
            })?
        }
    };
    u16::try_from(number)
        .map_err(|_| anyhow!("--port-forward: {number}, of the service {}, is no port", named(service)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: &Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "r", "namespace": "n"}, "spec": spec})).unwrap()
    }

    fn pod(name: &str, ready: &str, second: u32) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": format!("2025-01-01T00:00:{second:02}Z")},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "grpc", "containerPort": 4245}]}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
        }))
        .unwrap()
    }

    fn chosen(spec: &Value, pods: Vec<Pod>) -> Result<(String, u16), String> {
        choose(&service(spec), pods).map(|p| (p.pod, p.port)).map_err(|e| e.to_string())
    }

    #[test]
    fn the_oldest_ready_pod_is_asked_at_the_services_first_port() {
        let pods = || vec![pod("young", "True", 9), pod("old", "True", 3), pod("oldest", "False", 1)];
        for (ports, expected) in [
            (json!([{"port": 80, "targetPort": "grpc"}, {"port": 1}]), 4245),
            (json!([{"port": 80, "targetPort": 4246}]), 4246),
            (json!([{"port": 80}]), 80),
        ] {
            assert_eq!(chosen(&json!({"ports": ports}), pods()).unwrap(), ("old".to_owned(), expected));
        }
        let headless = json!({"clusterIP": "None", "ports": [{"port": 4244, "targetPort": 1}]});
        assert_eq!(chosen(&headless, pods()).unwrap().1, 4244);
    }

    #[test]
    fn what_is_missing_is_named() {
        let spec = || json!({"ports": [{"port": 80, "targetPort": "web"}]});
        let mut leaving = pod("b", "True", 2);
        leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
        for (spec, pods, said) in [
            (spec(), vec![], "the service n/r has no pod"),
            (
                spec(),
                vec![pod("a", "False", 1), leaving],
                "the service n/r has no pod that is ready: a (Running), b (Running, ending)",
            ),
            (spec(), vec![pod("a", "True", 1)], "pod a has no port named web, which n/r wants"),
            (json!({}), vec![pod("a", "True", 1)], "the service n/r has no port"),
            (
                json!({"ports": [{"port": 70000}]}),
                vec![pod("a", "True", 1)],
                "70000, of the service n/r, is no port",
            ),
        ] {
            assert_eq!(chosen(&spec, pods).unwrap_err(), format!("--port-forward: {said}"));
        }
        let e = selector(&service(&json!({}))).unwrap_err().to_string();
        assert!(e.contains("n/r has no pods of its own"), "{e}");
        assert_eq!(selector(&service(&json!({"selector": {"a": "b", "c": "d"}}))).unwrap(), "a=b,c=d");
    }
}
