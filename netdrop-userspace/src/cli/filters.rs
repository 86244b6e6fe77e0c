//! From filter flags, in their order, to the allow and the deny list.
//!
//! Rules of Hubble's client 1.19.4 (hubble/cmd/observe): a tracker for each list holds a left and a right filter. A flag without
//! a side goes to the source of the left and the destination of the right one; all others go to both.

use super::flags::EXCLUSIVE;
use super::values;
use crate::filter::{EventTypeFilter, Filters, FlowFilter, InterfaceFilter, TcpFlagsFilter};
use crate::go;

/// Builds both lists, flag by flag.
#[derive(Default)]
pub(super) struct FilterBuilder {
    allow: Option<Tracker>,
    deny: Option<Tracker>,
    negate: bool,
}

#[derive(Default)]
struct Tracker {
    left: FlowFilter,
    right: FlowFilter,
    touched: bool,
    flags: Vec<String>,
    namespaces: Vec<String>,
    from_namespaces: Vec<String>,
    to_namespaces: Vec<String>,
}

impl FilterBuilder {
    /// The next flag of the command line.
    pub(super) fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        if name == "not" {
            if self.negate {
                return Err("consecutive --not statements".into());
            }
            self.negate = true;
            return Ok(());
        }
        let list = if std::mem::take(&mut self.negate) { &mut self.deny } else { &mut self.allow };
        list.get_or_insert_default().add(name, value)
    }

    /// The lists.
    pub(super) fn build(self) -> Result<Filters, String> {
        if self.negate {
            return Err("trailing --not found in the arguments".into());
        }
        let list = |tracker: Option<Tracker>| tracker.map(Tracker::filters).unwrap_or_default();
        Ok(Filters { allow: list(self.allow), deny: list(self.deny) })
    }
}

impl Tracker {
    fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        if !self.flags.iter().any(|f| f == name) {
            self.flags.push(name.to_owned());
        }
        self.check_exclusive()?;
        match name {
            "namespace" => self.namespaces.push(value.to_owned()),
            "all-namespaces" => self.namespaces.push(String::new()),
            "from-namespace" => self.from_namespaces.push(value.to_owned()),
            "from-all-namespaces" => self.from_namespaces.push(String::new()),
            "to-namespace" => self.to_namespaces.push(value.to_owned()),
            "to-all-namespaces" => self.to_namespaces.push(String::new()),
            _ => {
                self.touched = true;
                self.set(name, value)?;
            }
        }
        self.check_namespaces(&self.left)?;
        self.check_namespaces(&self.right)
    }

    fn check_exclusive(&self) -> Result<(), String> {
        for group in EXCLUSIVE {
            let mut used = group.iter().filter(|g| self.flags.iter().any(|f| f == *g));
            if let (Some(one), Some(other)) = (used.next(), used.next()) {
                return Err(format!("filters --{one} and --{other} cannot be combined"));
            }
        }
        Ok(())
    }

    /// Puts a value into the filters. Sided text flags share their shape; the others go to both filters alike.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let (side, what) = match name.split_once('-') {
            Some(("from", what)) => (Side::Source, what),
            Some(("to", what)) => (Side::Destination, what),
            _ => (Side::Either, name),
        };
        match what {
            "pod" | "service" | "label" | "ip" | "port" | "fqdn" | "cluster" => {
                self.sided(side, |f, source| list(f, what, source).push(value.to_owned()));
            }
            "workload" => {
                let workload = values::workload(value);
                self.sided(side, |f, source| {
                    if source { &mut f.source_workload } else { &mut f.destination_workload }
                        .push(workload.clone());
                });
            }
            "identity" => {
                let number = values::identity(value)?;
                self.sided(side, |f, source| {
                    if source { &mut f.source_identity } else { &mut f.destination_identity }.push(number);
                });
            }
            _ => self.unsided(name, value)?,
        }
        Ok(())
    }

    fn sided(&mut self, side: Side, mut put: impl FnMut(&mut FlowFilter, bool)) {
        match side {
            Side::Either => {
                put(&mut self.left, true);
                put(&mut self.right, false);
            }
            Side::Source | Side::Destination => {
                put(&mut self.left, side == Side::Source);
                put(&mut self.right, side == Side::Source);
            }
        }
    }

    fn unsided(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || value.to_owned();
        let put: Box<dyn Fn(&mut FlowFilter)> = match name {
            "verdict" => {
                let verdict = values::verdict(value)?;
                Box::new(move |f| f.verdict.push(verdict))
            }
            "drop-reason-desc" => {
                let reason = values::drop_reason(value)?;
                Box::new(move |f| f.drop_reason_desc.push(reason))
            }
            "type" => {
                let event: EventTypeFilter = values::event_type(value)?;
                Box::new(move |f| f.event_type.push(event))
            }
            "tcp-flags" => {
                let flags: TcpFlagsFilter = values::tcp_flags(value)?;
                Box::new(move |f| f.tcp_flags.push(flags))
            }
            "traffic-direction" => {
                let direction = values::direction(value)?;
                Box::new(move |f| f.traffic_direction.push(direction))
            }
            "netns" => {
                let inode = values::netns(value)?;
                Box::new(move |f| f.netns.push(inode))
            }
            "pid" => {
                let pid: u32 = value.parse().map_err(|_| "want the number of a process".to_owned())?;
                Box::new(move |f| f.pid.push(pid))
            }
            "comm" => {
                values::comm(value)?;
                Box::new(move |f| f.comm.push(text()))
            }
            "site" => {
                let site = values::site(value)?;
                Box::new(move |f| f.site.push(site.clone()))
            }
            "ip-trace-id" => {
                let id = values::ip_trace_id(value)?;
                Box::new(move |f| f.ip_trace_id.push(id))
            }
            "http-header" => {
                let header = values::http_header(value)?;
                Box::new(move |f| f.http_header.push(header.clone()))
            }
            "ipv4" => Box::new(|f| f.ip_version.push(values::ip_version("v4"))),
            "ipv6" => Box::new(|f| f.ip_version.push(values::ip_version("v6"))),
            "ip-version" => Box::new(move |f| f.ip_version.push(values::ip_version(value))),
            "protocol" => Box::new(move |f| f.protocol.push(text())),
            "reason" => Box::new(move |f| f.reason.push(text())),
            "node-name" => Box::new(move |f| f.node_name.push(text())),
            "node-label" => Box::new(move |f| f.node_labels.push(text())),
            "snat-ip" => Box::new(move |f| f.source_ip_xlated.push(text())),
            "trace-id" => Box::new(move |f| f.trace_id.push(text())),
            "http-status" => Box::new(move |f| f.http_status_code.push(text())),
            "http-method" => Box::new(move |f| f.http_method.push(text())),
            "http-path" => Box::new(move |f| f.http_path.push(text())),
            "http-url" => Box::new(move |f| f.http_url.push(text())),
            "uuid" => Box::new(move |f| f.uuid.push(text())),
            "interface" => Box::new(move |f| f.interface.push(InterfaceFilter { index: 0, name: text() })),
            "encrypted" => Box::new(|f| f.encrypted.push(true)),
            "unencrypted" => Box::new(|f| f.encrypted.push(false)),
            "cel-expression" => {
                Box::new(move |f| f.experimental.get_or_insert_default().cel_expression.push(text()))
            }
            _ => return Err(format!("unknown filter --{name}")),
        };
        put(&mut self.left);
        put(&mut self.right);
        Ok(())
    }

    /// All that is wrong with one filter, a line each.
    fn check_namespaces(&self, f: &FlowFilter) -> Result<(), String> {
        let source = [&f.source_pod, &f.source_service];
        let destination = [&f.destination_pod, &f.destination_service];
        let checks = source
            .into_iter()
            .chain(destination)
            .map(|names| conflict(&self.namespaces, names))
            .chain(source.into_iter().map(|names| conflict(&self.from_namespaces, names)))
            .chain(destination.into_iter().map(|names| conflict(&self.to_namespaces, names)))
            .chain([source, destination].into_iter().map(|[pods, services]| inconsistent(pods, services)));
        let wrong: Vec<String> = checks.filter_map(Result::err).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    fn filters(mut self) -> Vec<FlowFilter> {
        let any =
            !(self.namespaces.is_empty() && self.from_namespaces.is_empty() && self.to_namespaces.is_empty());
        if !self.touched && !any {
            return Vec::new();
        }
        for f in [&mut self.left, &mut self.right] {
            into_namespaces(&self.to_namespaces, &mut f.destination_pod, &mut f.destination_service);
            into_namespaces(&self.from_namespaces, &mut f.source_pod, &mut f.source_service);
        }
        into_namespaces(&self.namespaces, &mut self.left.source_pod, &mut self.left.source_service);
        into_namespaces(
            &self.namespaces,
            &mut self.right.destination_pod,
            &mut self.right.destination_service,
        );
        if self.left == self.right { vec![self.left] } else { vec![self.left, self.right] }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Either,
    Source,
    Destination,
}

fn list<'a>(f: &'a mut FlowFilter, what: &str, source: bool) -> &'a mut Vec<String> {
    match (what, source) {
        ("pod", true) => &mut f.source_pod,
        ("pod", false) => &mut f.destination_pod,
        ("service", true) => &mut f.source_service,
        ("service", false) => &mut f.destination_service,
        ("label", true) => &mut f.source_label,
        ("label", false) => &mut f.destination_label,
        ("ip", true) => &mut f.source_ip,
        ("ip", false) => &mut f.destination_ip,
        ("port", true) => &mut f.source_port,
        ("port", false) => &mut f.destination_port,
        ("cluster", true) => &mut f.source_cluster_name,
        ("cluster", false) => &mut f.destination_cluster_name,
        (_, true) => &mut f.source_fqdn,
        (_, false) => &mut f.destination_fqdn,
    }
}

fn namespace_of(name: &str) -> &str {
    name.split_once('/').map_or("", |(namespace, _)| namespace)
}

fn conflict(namespaces: &[String], names: &[String]) -> Result<(), String> {
    for namespace in namespaces {
        for name in names {
            let of = namespace_of(name);
            if !of.is_empty() && of != namespace {
                return Err(format!(
                    "namespace conflict: {} does not contain {}",
                    go::quote(namespace),
                    go::quote(name)
                ));
            }
        }
    }
    Ok(())
}

fn inconsistent(pods: &[String], services: &[String]) -> Result<(), String> {
    for namespace in pods.iter().map(|p| namespace_of(p)).filter(|n| !n.is_empty()) {
        if let Some(service) = services.iter().find(|s| namespace_of(s) != namespace) {
            return Err(format!(
                "namespace of service {} conflict with pod {}",
                go::quote(service),
                go::quote(namespace)
            ));
        }
    }
    Ok(())
}

/// Names without a namespace get each of the asked ones; without any name the namespaces stand alone.
fn into_namespaces(namespaces: &[String], pods: &mut Vec<String>, services: &mut Vec<String>) {
    if namespaces.is_empty() {
        return;
    }
    if pods.is_empty() && services.is_empty() {
        pods.push(String::new());
    }
    for names in [pods, services] {
        *names = names
            .iter()
            .flat_map(|name| {
                if name.contains('/') {
                    vec![name.clone()]
                } else {
                    namespaces.iter().map(|n| format!("{n}/{name}")).collect()
                }
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::WorkloadFilter;

    fn named(name: &str) -> WorkloadFilter {
        WorkloadFilter { name: name.into(), kind: String::new() }
    }

    fn build(flags: &[(&str, &str)]) -> Result<Filters, String> {
        let mut b = FilterBuilder::default();
        for (name, value) in flags {
            b.add(name, value)?;
        }
        b.build()
    }

    #[test]
    fn a_workload_goes_to_both_sides() {
        let f = build(&[("workload", "api")]).unwrap();
        assert_eq!(f.allow[0].source_workload, [named("api")]);
        assert_eq!(f.allow[1].destination_workload, [named("api")]);
    }

    #[test]
    fn what_no_drop_can_have_is_not_asked_for() {
        let wrong = |name, value| build(&[(name, value)]).unwrap_err();
        assert_eq!(wrong("comm", ""), "want the name of a process; leave the flag out for any");
        assert_eq!(
            wrong("comm", "kube-controller-manager"),
            "the kernel keeps 15 bytes of a process's name: want \"kube-controller\""
        );
        assert!(
            build(&[("comm", "kube-controller")]).is_ok() && build(&[("comm", "kube-controlle*r")]).is_ok()
        );
        assert!(wrong("comm", "üüüüüüüü").ends_with("want \"üüüüüüü*\""));
        for empty in ["", "+0x12/0x34"] {
            assert_eq!(
                wrong("site", empty),
                "want a kernel function, as nft_do_chain; leave the flag out for any"
            );
        }
        assert_eq!(build(&[("site", "tcp_v4_rcv+0x1/0x2")]).unwrap().allow[0].site, ["tcp_v4_rcv"]);
    }

    #[test]
    fn not_is_for_the_next_flag_only() {
        let f = build(&[("not", "true"), ("pod", "a"), ("port", "80")]).unwrap();
        assert_eq!((f.allow.len(), f.deny.len()), (2, 2));
        assert_eq!(build(&[("not", "true"), ("not", "true")]).unwrap_err(), "consecutive --not statements");
        assert_eq!(build(&[("not", "true")]).unwrap_err(), "trailing --not found in the arguments");
    }
}
