//! Labels that tell who: Hubble's context options.

use std::net::IpAddr;
use std::sync::Arc;

use crate::flow::{Endpoint, Flow, TrafficDirection, Workload};

/// How an end of a flow is named; the first that gives a name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// All labels.
    Identity,
    /// Namespace.
    Namespace,
    /// Namespace and name.
    Pod,
    /// Name.
    PodName,
    /// DNS names.
    Dns,
    /// Address.
    Ip,
    /// `reserved:world` and the like.
    ReservedIdentity,
    /// Namespace and name of what owns the pod.
    Workload,
    /// Its name.
    WorkloadName,
    /// Value of the label that names the application.
    App,
}

const IDENTIFIERS: [(&str, Identifier); 10] = [
    ("identity", Identifier::Identity),
    ("namespace", Identifier::Namespace),
    ("pod", Identifier::Pod),
    ("pod-name", Identifier::PodName),
    ("dns", Identifier::Dns),
    ("ip", Identifier::Ip),
    ("reserved-identity", Identifier::ReservedIdentity),
    ("workload", Identifier::Workload),
    ("workload-name", Identifier::WorkloadName),
    ("app", Identifier::App),
];

/// Labels that name an application, the recommended one first.
const APP_LABELS: [&str; 3] = ["k8s:app.kubernetes.io/name=", "k8s:k8s-app=", "k8s:app="];
const KUBE_APISERVER: &str = "reserved:kube-apiserver";

/// Labels of `labelsContext`, in the order in which they always come.
const LABELS: [&str; 13] = [
    "source_ip",
    "source_pod",
    "source_namespace",
    "source_workload",
    "source_workload_kind",
    "source_app",
    "destination_ip",
    "destination_pod",
    "destination_namespace",
    "destination_workload",
    "destination_workload_kind",
    "destination_app",
    "traffic_direction",
];

/// Names of one end, by direction of the traffic where that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Side {
    any: Vec<Identifier>,
    egress: Vec<Identifier>,
    ingress: Vec<Identifier>,
}

impl Side {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.egress.is_empty() && self.ingress.is_empty()
    }

    fn of(&self, direction: TrafficDirection) -> &[Identifier] {
        match direction {
            TrafficDirection::Egress if !self.egress.is_empty() => &self.egress,
            TrafficDirection::Ingress if !self.ingress.is_empty() => &self.ingress,
            _ => &self.any,
        }
    }

    fn has(&self, wanted: impl Fn(Identifier) -> bool) -> bool {
        [&self.any, &self.egress, &self.ingress].into_iter().flatten().any(|i| wanted(*i))
    }
}

/// The labels that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    source: Side,
    destination: Side,
    /// Indices of [`LABELS`].
    labels: Vec<usize>,
}

/// A value of an option that does not exist.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{option}: unknown value {value:?}{}", super::spec::nearest(.value, known(.option)))]
pub struct ContextError {
    option: String,
    value: String,
}

fn known(option: &str) -> Box<dyn Iterator<Item = &'static str>> {
    if option.eq_ignore_ascii_case("labelsContext") {
        return Box::new(LABELS.into_iter());
    }
    Box::new(IDENTIFIERS.into_iter().map(|i| i.0))
}

impl Context {
    /// Names of the options.
    pub const OPTIONS: [&str; 7] = [
        "sourceContext",
        "destinationContext",
        "sourceEgressContext",
        "sourceIngressContext",
        "destinationEgressContext",
        "destinationIngressContext",
        "labelsContext",
    ];

    /// Sets an option; `false`: there is none of this name.
    pub fn set(&mut self, option: &str, value: &str) -> Result<bool, ContextError> {
        let wrong = |value: &str| ContextError { option: option.to_owned(), value: value.to_owned() };
        let to = match option.to_ascii_lowercase().as_str() {
            "sourcecontext" => &mut self.source.any,
            "sourceegresscontext" => &mut self.source.egress,
            "sourceingresscontext" => &mut self.source.ingress,
            "destinationcontext" => &mut self.destination.any,
            "destinationegresscontext" => &mut self.destination.egress,
            "destinationingresscontext" => &mut self.destination.ingress,
            "labelscontext" => {
                let at = |label: &str| LABELS.iter().position(|l| *l == label).ok_or_else(|| wrong(label));
                self.labels = value.split(',').map(at).collect::<Result<_, _>>()?;
                self.labels.sort_unstable();
                self.labels.dedup();
                return Ok(true);
            }
            _ => return Ok(false),
        };
        let identifier = |name: &str| {
            let found = IDENTIFIERS.iter().find(|i| i.0.eq_ignore_ascii_case(name));
            found.map(|i| i.1).ok_or_else(|| wrong(name))
        };
        *to = value.split('|').map(identifier).collect::<Result<_, _>>()?;
        Ok(true)
    }

    /// Names of the labels.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.labels.iter().map(|at| LABELS[*at]).collect();
        for (side, name) in [(&self.source, "source"), (&self.destination, "destination")] {
            if !side.is_empty() {
                names.push(name);
            }
        }
        names
    }

    /// Appends a flow's values, in the order of the names.
    pub(super) fn values(&self, flow: &Flow, values: &mut Vec<Arc<str>>) {
        let [source, destination] = ends(flow);
        values.extend(self.labels.iter().map(|at| match *at {
            0..6 => label(*at, &source),
            at @ 6..12 => label(at - 6, &destination),
            _ => match flow.direction {
                TrafficDirection::Unknown => "unknown".into(),
                TrafficDirection::Ingress => "ingress".into(),
                TrafficDirection::Egress => "egress".into(),
            },
        }));
        for (side, end) in [(&self.source, source), (&self.destination, destination)] {
            if !side.is_empty() {
                let mut names = side.of(flow.direction).iter().map(|i| end.name(*i));
                values.push(names.find(|n| !n.is_empty()).unwrap_or_else(|| "".into()));
            }
        }
    }

    /// What the values depend on beside the endpoints themselves.
    pub(super) fn needs(&self) -> Needs {
        let side = |side: &Side, ip: usize, labels: std::ops::Range<usize>| NeedsOf {
            endpoint: !side.is_empty() || self.labels.iter().any(|at| labels.contains(at)),
            ip: self.labels.contains(&ip) || side.has(|i| i == Identifier::Ip),
            dns: side.has(|i| i == Identifier::Dns),
            pod: self.labels.contains(&(ip + 1))
                || side.has(|i| matches!(i, Identifier::Pod | Identifier::PodName)),
        };
        let by_direction = |s: &Side| !s.egress.is_empty() || !s.ingress.is_empty();
        Needs {
            source: side(&self.source, 0, 0..6),
            destination: side(&self.destination, 6, 6..12),
            direction: self.labels.contains(&12)
                || by_direction(&self.source)
                || by_direction(&self.destination),
        }
    }
}

/// See [`Context::needs`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) source: NeedsOf,
    pub(super) destination: NeedsOf,
    pub(super) direction: bool,
}

/// What the values of one end depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeedsOf {
    pub(super) endpoint: bool,
    pub(super) ip: bool,
    pub(super) dns: bool,
    /// The values name a pod: they are over when it is.
    pub(super) pod: bool,
}

/// One end of a flow.
struct End<'a> {
    endpoint: &'a Endpoint,
    names: &'a [Arc<str>],
    ip: Option<IpAddr>,
}

fn ends(flow: &Flow) -> [End<'_>; 2] {
    let ip = flow.packet.ip;
    [
        End { endpoint: &flow.source, names: &flow.source_names, ip: ip.map(|ip| ip.source) },
        End { endpoint: &flow.destination, names: &flow.destination_names, ip: ip.map(|ip| ip.destination) },
    ]
}

/// One of the first six of [`LABELS`], for either end.
fn label(at: usize, end: &End<'_>) -> Arc<str> {
    let workload = |part: fn(&Workload) -> &Arc<str>| {
        end.endpoint.workloads().first().map_or_else(|| "".into(), |w| Arc::clone(part(w)))
    };
    match at {
        0 => end.name(Identifier::Ip),
        1 => end.name(Identifier::PodName),
        2 => end.name(Identifier::Namespace),
        3 => workload(|w| &w.name),
        4 => workload(|w| &w.kind),
        _ => end.name(Identifier::App),
    }
}

impl End<'_> {
    fn name(&self, identifier: Identifier) -> Arc<str> {
        let e = self.endpoint;
        let shared = |text: &str| Arc::from(text);
        let in_namespace = |name: &str| match e.namespace() {
            "" => shared(name),
            namespace => format!("{namespace}/{name}").into(),
        };
        let workload = e.workloads().first();
        match identifier {
            Identifier::Identity => e.labels().join(",").into(),
            Identifier::Namespace => shared(e.namespace()),
            Identifier::Pod if e.pod_name().is_empty() => "".into(),
            Identifier::Pod => in_namespace(e.pod_name()),
            Identifier::PodName => shared(e.pod_name()),
            Identifier::Dns => self.names.join(",").into(),
            Identifier::Ip => self.ip.map_or_else(|| "".into(), |ip| ip.to_string().into()),
            Identifier::ReservedIdentity => shared(reserved(e.labels())),
            Identifier::Workload => workload.map_or_else(|| "".into(), |w| in_namespace(&w.name)),
            Identifier::WorkloadName => workload.map_or_else(|| "".into(), |w| Arc::clone(&w.name)),
            Identifier::App => shared(app(e.labels())),
        }
    }
}

/// The API server's label before any other: it may lie in the world, too.
fn reserved(labels: &[Arc<str>]) -> &str {
    let first = |wanted: &dyn Fn(&str) -> bool| labels.iter().find(|l| wanted(l)).map(|l| &**l);
    first(&|l| l == KUBE_APISERVER).or_else(|| first(&|l| l.starts_with("reserved:"))).unwrap_or("")
}

fn app(labels: &[Arc<str>]) -> &str {
    let value =
        |label: &'_ Arc<str>| APP_LABELS.iter().find_map(|name| label.strip_prefix(name).map(str::len));
    labels.iter().find_map(|l| value(l).filter(|len| *len > 0).map(|len| &l[l.len() - len..])).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::flow::{EndpointInfo, Ip, Verdict};

    fn endpoint(namespace: &str, pod: &str, labels: &[&str]) -> Endpoint {
        let workloads = if pod.is_empty() {
            vec![]
        } else {
            vec![Workload { name: "api".into(), kind: "Deployment".into() }]
        };
        let info = EndpointInfo {
            namespace: namespace.into(),
            pod_name: pod.into(),
            labels: labels.iter().map(|l| Arc::from(*l)).collect(),
            workloads,
            node: None,
        };
        Endpoint { info: Some(Arc::new(info)), ..Endpoint::default() }
    }

    fn flow() -> Flow {
        let mut flow = Flow::new(Timestamp::UNIX_EPOCH, Verdict::Dropped);
        flow.source = endpoint("shop", "api-1", &["k8s:app=api", "k8s:tier=back"]);
        flow.destination = endpoint("", "", &["reserved:world", KUBE_APISERVER]);
        flow.destination_names = vec!["a.example".into(), "b.example".into()];
        flow.packet.ip = Some(Ip {
            source: [10, 0, 0, 1].into(),
            destination: [1, 1, 1, 1].into(),
            protocol: 6,
            ttl: 1,
            total_length: 40,
            fragment: None,
        });
        flow
    }

    fn values(options: &[(&str, &str)], flow: &Flow) -> Vec<String> {
        let mut context = Context::default();
        for (option, value) in options {
            assert!(context.set(option, value).unwrap());
        }
        let mut values = Vec::new();
        context.values(flow, &mut values);
        assert_eq!(values.len(), context.names().len());
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_identifier_has_its_value() {
        for (identifier, source, destination) in [
            ("identity", "k8s:app=api,k8s:tier=back", "reserved:world,reserved:kube-apiserver"),
            ("namespace", "shop", ""),
            ("pod", "shop/api-1", ""),
            ("pod-name", "api-1", ""),
            ("dns", "", "a.example,b.example"),
            ("ip", "10.0.0.1", "1.1.1.1"),
            ("reserved-identity", "", "reserved:kube-apiserver"),
            ("workload", "shop/api", ""),
            ("workload-name", "api", ""),
            ("app", "api", ""),
        ] {
            let options = [("sourceContext", identifier), ("destinationContext", identifier)];
            assert_eq!(values(&options, &flow()), [source, destination], "{identifier}");
        }
        let first = [("sourceContext", "dns|pod|ip"), ("destinationContext", "pod|dns|ip")];
        assert_eq!(values(&first, &flow()), ["shop/api-1", "a.example,b.example"]);
    }

    #[test]
    fn labels_come_in_a_fixed_order_before_the_rest() {
        let options = [
            ("destinationContext", "ip"),
            (
                "labelsContext",
                "traffic_direction,destination_ip,source_workload_kind,source_app,source_namespace",
            ),
        ];
        let mut flow = flow();
        flow.direction = TrafficDirection::Egress;
        assert_eq!(values(&options, &flow), ["shop", "Deployment", "api", "1.1.1.1", "egress", "1.1.1.1"]);
    }

    #[test]
    fn a_direction_may_have_names_of_its_own() {
        let options = [("sourceContext", "ip"), ("sourceEgressContext", "pod")];
        let mut flow = flow();
        assert_eq!(values(&options, &flow), ["10.0.0.1"]);
        flow.direction = TrafficDirection::Egress;
        assert_eq!(values(&options, &flow), ["shop/api-1"]);
        flow.direction = TrafficDirection::Ingress;
        assert_eq!(values(&options, &flow), ["10.0.0.1"]);
    }
}
