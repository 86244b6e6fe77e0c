//! Whether a flow is what a filter asks for. Hubble's rules (its server's filters, 1.19).

use regex::Regex;

use super::cel::{Program, Subject};
use super::compile::{Ask, One};
use super::fields::Fields;
use super::glob::glob;
use super::http;
use super::spec::{EventTypeFilter, InterfaceFilter};
use crate::convert::Roots;

/// `flow.Verdict.DROPPED`.
const DROPPED: i32 = 2;

impl One {
    pub(super) fn matches(&self, flow: &impl Fields) -> bool {
        self.asks.iter().all(|ask| ask.fits(flow))
    }
}

impl Ask {
    pub(super) fn fits(&self, flow: &impl Fields) -> bool {
        match self {
            Self::Verdict(wanted) => wanted.contains(&flow.verdict()),
            Self::Reason(wanted) => {
                flow.reason().is_some_and(|have| wanted.iter().any(|w| reason_matches(w, &have)))
            }
            Self::NotBenign => !flow.is_benign(),
            Self::Netns(wanted) => flow.netns().is_some_and(|have| wanted.contains(&have)),
            Self::Pid(wanted) => flow.process().is_some_and(|(pid, _)| wanted.contains(&pid)),
            Self::Comm(wanted) => {
                flow.process().is_some_and(|(_, comm)| wanted.iter().any(|w| glob(w, &comm)))
            }
            Self::Site(wanted) => flow.site().is_some_and(|site| wanted.iter().any(|w| glob(w, &site))),
            Self::Uuid(wanted) => wanted.iter().any(|w| *w == flow.uuid()),
            Self::EventType(wanted) => flow.event_type().is_some_and(|have| event_type(wanted, have)),
            Self::DropReason(wanted) => {
                flow.verdict() == DROPPED && wanted.contains(&flow.drop_reason_desc())
            }
            Self::Reply(wanted) => reply(wanted, flow),
            Self::Encrypted(wanted) => wanted.contains(&flow.encrypted()),
            Self::Identity(side, wanted) => flow.identity(*side).is_some_and(|have| wanted.contains(&have)),
            Self::Protocol(wanted) => wanted.iter().any(|w| flow.is(*w)),
            Self::Address(which, wanted) => {
                flow.address(*which).is_some_and(|have| wanted.iter().any(|w| w.matches(have)))
            }
            Self::Pod(side, wanted) => {
                let have = flow.pod(*side);
                wanted.iter().any(|w| w.matches(have))
            }
            Self::Workload(side, wanted) => flow.any_workload(*side, |name, kind| {
                wanted
                    .iter()
                    .any(|w| (w.name.is_empty() || w.name == name) && (w.kind.is_empty() || w.kind == kind))
            }),
            Self::Service(side, wanted) => {
                let have = flow.service(*side);
                wanted.iter().any(|w| w.matches(have))
            }
            Self::Fqdn(side, wanted) => flow.any_name(*side, |have| wanted.is_match(have)),
            Self::DnsQuery(wanted) => {
                flow.dns_query().is_some_and(|have| wanted.iter().any(|w| w.is_match(have)))
            }
            Self::Label(of, wanted) => wanted.iter().any(|w| w.matches(flow, *of)),
            Self::Port(side, wanted) => flow.port(*side).is_some_and(|have| wanted.contains(&have)),
            Self::HttpStatus(wanted) => flow.http().is_some_and(|have| http::status(wanted, &have)),
            Self::HttpMethod(wanted) => flow.http().is_some_and(|have| http::method(wanted, &have)),
            Self::HttpPath(wanted) => flow.http().is_some_and(|have| http::path(wanted, &have)),
            Self::HttpUrl(wanted) => flow.http().is_some_and(|have| http::url(wanted, &have)),
            Self::HttpHeader(wanted) => flow.http().is_some_and(|have| {
                have.headers.iter().any(|h| wanted.iter().any(|w| w.key == h.key && w.value == h.value))
            }),
            Self::TcpFlags(wanted) => {
                flow.tcp_flags().is_some_and(|have| wanted.iter().any(|w| have & w == *w))
            }
            Self::NodeName(wanted) => node(wanted, flow.node_name()),
            Self::Cluster(side, wanted) => wanted.iter().any(|w| w == flow.cluster(*side)),
            Self::IpVersion(wanted) => wanted.contains(&flow.ip_version()),
            Self::TraceId(wanted) => wanted.iter().any(|w| w == flow.trace_id()),
            Self::Direction(wanted) => wanted.contains(&flow.direction()),
            Self::Expression(wanted) => expression(wanted, &Subject::new(&flow.wire(roots(wanted)))),
            Self::Interface(wanted) => flow.interface().is_some_and(|have| interface(wanted, have)),
            Self::IpTraceId(wanted) => wanted.contains(&flow.ip_trace_id()),
        }
    }
}

/// What of a flow they look at.
pub(super) fn roots(wanted: &[Program]) -> Roots {
    wanted.iter().fold(Roots::default(), |roots, w| roots.and(w.roots()))
}

/// The first that is true, or that can't be told, decides.
pub(super) fn expression(wanted: &[Program], subject: &Subject<'_>) -> bool {
    wanted.iter().map(|w| w.is_true(subject)).find(|is| *is != Some(false)).flatten().unwrap_or(false)
}

fn reason_matches(pattern: &str, name: &str) -> bool {
    if name.bytes().any(|b| b.is_ascii_lowercase()) {
        return glob(pattern, &name.to_ascii_uppercase());
    }
    glob(pattern, name)
}

fn event_type(wanted: &[EventTypeFilter], (kind, sub_type): (i32, i32)) -> bool {
    wanted.iter().any(|w| (w.kind == 0 || w.kind == kind) && (!w.match_sub_type || w.sub_type == sub_type))
}

/// A drop does not know its direction in the connection; Hubble's UI asks for `reply: [false]` and wants to see it.
fn reply(wanted: &[bool], flow: &impl Fields) -> bool {
    match flow.is_reply() {
        Some(reply) => wanted.contains(&reply),
        None => flow.verdict() == DROPPED && wanted.contains(&false),
    }
}

/// A node without a cluster is in `default`.
fn node(wanted: &Regex, name: &str) -> bool {
    match name {
        "" => false,
        name if name.contains('/') => wanted.is_match(name),
        name => wanted.is_match(&format!("default/{name}")),
    }
}

fn interface(wanted: &[InterfaceFilter], (index, name): (u32, &str)) -> bool {
    wanted.iter().any(|w| (w.index == 0 || w.index == index) && (w.name.is_empty() || w.name == name))
}
