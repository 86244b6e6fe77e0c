//! A filter with all its values parsed: the list of what it asks, and of nothing else.

use regex::Regex;
use thiserror::Error;

use super::address::{self, IpMatch, Named};
use super::cel::Program;
use super::fields::{Labelled, Side, Which};
use super::http::Status;
use super::label::Selector;
use super::pattern::{self, pattern};
use super::spec::{
    EventTypeFilter, FlowFilter, HttpHeaderFilter, InterfaceFilter, TcpFlagsFilter, WorkloadFilter,
};
use crate::go;
use crate::kernel::reasons::bare_name;

/// A value of a filter that makes no sense.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct FilterError(pub String);

impl FilterError {
    fn of(self, what: &str) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

/// A protocol of `--protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Sctp,
    Icmp,
    IcmpV4,
    IcmpV6,
    Vrrp,
    Igmp,
    Dns,
    Http,
    Kafka,
}

/// One thing that a filter asks: one of the values must fit.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Verdict(Vec<i32>),
    Reason(Vec<String>),
    Netns(Vec<u32>),
    Pid(Vec<u32>),
    Comm(Vec<String>),
    Site(Vec<String>),
    Uuid(Vec<String>),
    EventType(Vec<EventTypeFilter>),
    DropReason(Vec<i32>),
    Reply(Vec<bool>),
    Encrypted(Vec<bool>),
    Identity(Side, Vec<u32>),
    Protocol(Vec<Protocol>),
    Address(Which, Vec<IpMatch>),
    Pod(Side, Vec<Named>),
    Workload(Side, Vec<WorkloadFilter>),
    Service(Side, Vec<Named>),
    Fqdn(Side, Regex),
    DnsQuery(Vec<Regex>),
    Label(Labelled, Vec<Selector>),
    Port(Side, Vec<u16>),
    HttpStatus(Vec<Status>),
    HttpMethod(Vec<String>),
    HttpPath(Vec<Regex>),
    HttpUrl(Vec<Regex>),
    HttpHeader(Vec<HttpHeaderFilter>),
    TcpFlags(Vec<u16>),
    NodeName(Regex),
    Cluster(Side, Vec<String>),
    IpVersion(Vec<i32>),
    TraceId(Vec<String>),
    Direction(Vec<i32>),
    Expression(Vec<Program>),
    Interface(Vec<InterfaceFilter>),
    IpTraceId(Vec<u64>),
    /// Not a filter's own: see [`super::Filters::compile_without_benign`].
    NotBenign,
}

/// One filter.
#[derive(Clone, Debug, Default)]
pub(super) struct One {
    pub(super) asks: Vec<Ask>,
}

type Parsed<T> = Result<T, FilterError>;

/// Parses all values of a field.
fn each<T, R>(values: &[T], parse: impl Fn(&T) -> Parsed<R>) -> Parsed<Vec<R>> {
    values.iter().map(parse).collect()
}

impl One {
    /// In Hubble's order, since the first mistake is the one that is told; what netdrop alone knows comes first, being cheap.
    pub(super) fn new(f: &FlowFilter) -> Parsed<Self> {
        let mut one = Self::default();
        one.add(&f.verdict, |v| Ok(Ask::Verdict(v.to_vec())))?;
        one.add(&f.reason, |v| Ok(Ask::Reason(v.iter().map(|r| bare_name(r)).collect())))?;
        one.add(&f.netns, |v| Ok(Ask::Netns(v.to_vec())))?;
        one.add(&f.pid, |v| Ok(Ask::Pid(v.to_vec())))?;
        one.add(&f.comm, |v| Ok(Ask::Comm(v.to_vec())))?;
        one.add(&f.site, |v| Ok(Ask::Site(v.to_vec())))?;
        one.add(&f.uuid, |v| Ok(Ask::Uuid(v.to_vec())))?;
        one.add(&f.event_type, |v| Ok(Ask::EventType(v.to_vec())))?;
        one.add(&f.drop_reason_desc, |v| Ok(Ask::DropReason(v.to_vec())))?;
        one.add(&f.reply, |v| Ok(Ask::Reply(v.to_vec())))?;
        one.add(&f.encrypted, |v| Ok(Ask::Encrypted(v.to_vec())))?;
        one.add(&f.source_identity, |v| Ok(Ask::Identity(Side::Source, v.to_vec())))?;
        one.add(&f.destination_identity, |v| Ok(Ask::Identity(Side::Destination, v.to_vec())))?;
        one.add(&f.protocol, |v| {
            Ok(Ask::Protocol(each(v, |p| protocol(p)).map_err(|e| e.of("invalid protocol filter"))?))
        })?;
        one.ends(f)?;
        one.layer_7(f)?;
        one.add(&f.tcp_flags, |v| Ok(Ask::TcpFlags(v.iter().map(flags).collect())))?;
        one.add(&f.node_name, |v| address::nodes(v).map(Ask::NodeName))?;
        one.add(&f.source_cluster_name, |v| clusters(Side::Source, v))?;
        one.add(&f.destination_cluster_name, |v| clusters(Side::Destination, v))?;
        one.add(&f.ip_version, |v| Ok(Ask::IpVersion(v.to_vec())))?;
        one.add(&f.trace_id, |v| Ok(Ask::TraceId(v.to_vec())))?;
        one.add(&f.traffic_direction, |v| Ok(Ask::Direction(v.to_vec())))?;
        let expressions = f.experimental.as_ref().map_or(&[][..], |e| &e.cel_expression);
        one.add(expressions, |v| Ok(Ask::Expression(each(v, |e| Program::new(e))?)))?;
        one.add(&f.interface, |v| Ok(Ask::Interface(v.to_vec())))?;
        one.add(&f.ip_trace_id, |v| Ok(Ask::IpTraceId(v.to_vec())))?;
        Ok(one)
    }

    /// A field without values asks nothing.
    fn add<T>(&mut self, values: &[T], ask: impl FnOnce(&[T]) -> Parsed<Ask>) -> Parsed<()> {
        if !values.is_empty() {
            self.asks.push(ask(values)?);
        }
        Ok(())
    }

    /// Fields that both ends have, and labels.
    fn ends(&mut self, f: &FlowFilter) -> Parsed<()> {
        for (which, values) in [
            (Which::Source, &f.source_ip),
            (Which::Destination, &f.destination_ip),
            (Which::SourceTranslated, &f.source_ip_xlated),
        ] {
            self.add(values, |v| Ok(Ask::Address(which, each(v, |ip| IpMatch::parse(ip))?)))?;
        }
        let sides = [Side::Source, Side::Destination];
        for (side, values) in sides.into_iter().zip([&f.source_pod, &f.destination_pod]) {
            self.add(values, |v| Ok(Ask::Pod(side, each(v, |n| Named::parse(n))?)))?;
        }
        for (side, values) in sides.into_iter().zip([&f.source_workload, &f.destination_workload]) {
            self.add(values, |v| Ok(Ask::Workload(side, v.to_vec())))?;
        }
        for (side, what, values) in [
            (Side::Source, "invalid source service filter", &f.source_service),
            (Side::Destination, "invalid destination service filter", &f.destination_service),
        ] {
            let named = |v: &[String]| each(v, |n| Named::parse(n)).map_err(|e| e.of(what));
            self.add(values, |v| Ok(Ask::Service(side, named(v)?)))?;
        }
        for (side, values) in sides.into_iter().zip([&f.source_fqdn, &f.destination_fqdn]) {
            self.add(values, |v| Ok(Ask::Fqdn(side, address::fqdns(v)?)))?;
        }
        self.add(&f.dns_query, |v| {
            let query = |q: &String| {
                pattern::compiled(q).map_err(|why| FilterError(format!("failed to compile regexp: {why}")))
            };
            Ok(Ask::DnsQuery(each(v, query).map_err(|e| e.of("invalid DNS query filter"))?))
        })?;
        for (of, what, values) in [
            (Labelled::Source, "invalid source label filter", &f.source_label),
            (Labelled::Destination, "invalid destination label filter", &f.destination_label),
            (Labelled::Node, "invalid node label filter", &f.node_labels),
        ] {
            let selectors = |v: &[String]| each(v, |s| Selector::parse(s)).map_err(|e| e.of(what));
            self.add(values, |v| Ok(Ask::Label(of, selectors(v)?)))?;
        }
        for (side, what, values) in [
            (Side::Source, "invalid source port filter", &f.source_port),
            (Side::Destination, "invalid destination port filter", &f.destination_port),
        ] {
            self.add(values, |v| Ok(Ask::Port(side, each(v, |p| port(p)).map_err(|e| e.of(what))?)))?;
        }
        Ok(())
    }

    /// HTTP is told by events of layer 7 alone: a filter that asks for others only can't mean it.
    fn layer_7(&mut self, f: &FlowFilter) -> Parsed<()> {
        const LAYER_7: i32 = 129;
        let possible = f.event_type.is_empty() || f.event_type.iter().any(|t| t.kind == LAYER_7);
        let check = |what: &str| {
            if possible {
                return Ok(());
            }
            Err(FilterError(format!(
                "filtering by http {what} requires the event type filter to only match 'l7' events"
            )))
        };
        self.add(&f.http_status_code, |v| {
            check("status code")?;
            let codes = each(v, |s| Status::parse(s)).map_err(|e| e.of("invalid http status code filter"))?;
            Ok(Ask::HttpStatus(codes))
        })?;
        self.add(&f.http_method, |v| check("method").map(|()| Ask::HttpMethod(v.to_vec())))?;
        self.add(&f.http_path, |v| {
            check("path")?;
            Ok(Ask::HttpPath(each(v, |p| pattern(p)).map_err(|e| e.of("invalid http path filter"))?))
        })?;
        self.add(&f.http_url, |v| {
            check("url")?;
            Ok(Ask::HttpUrl(each(v, |p| pattern(p)).map_err(|e| e.of("invalid http url filter"))?))
        })?;
        self.add(&f.http_header, |v| check("headers").map(|()| Ask::HttpHeader(v.to_vec())))
    }
}

fn protocol(name: &str) -> Parsed<Protocol> {
    Ok(match name.to_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        "icmp" => Protocol::Icmp,
        "icmpv4" => Protocol::IcmpV4,
        "icmpv6" => Protocol::IcmpV6,
        "vrrp" => Protocol::Vrrp,
        "igmp" => Protocol::Igmp,
        "dns" => Protocol::Dns,
        "http" => Protocol::Http,
        "kafka" => Protocol::Kafka,
        _ => return Err(FilterError(format!("unknown protocol: {}", go::quote(name)))),
    })
}

fn port(text: &str) -> Parsed<u16> {
    let invalid = |why| FilterError(format!("invalid port {}: {why}", go::quote(text)));
    let number = go::parse_uint(text, 10, 16).map_err(invalid)?;
    u16::try_from(number).map_err(|_| invalid("out of range".into()))
}

fn clusters(side: Side, names: &[String]) -> Parsed<Ask> {
    if names.iter().any(String::is_empty) {
        return Err(FilterError("invalid filter, name must not be empty".into()));
    }
    Ok(Ask::Cluster(side, names.to_vec()))
}

fn flags(f: &TcpFlagsFilter) -> u16 {
    let set = [f.fin, f.syn, f.rst, f.psh, f.ack, f.urg, f.ece, f.cwr, f.ns];
    (0u16..).zip(set).filter(|(_, on)| *on).fold(0, |bits, (i, _)| bits | 1 << i)
}
