//! Parts of a flow, and the value that it has there.

use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::sync::Arc;

use super::super::compile::Ask;
use super::super::fields::{Address, Fields as _, Labelled, Side, Which};
use crate::flow::{EndpointInfo, Flow, L4, ServiceName};

/// What of a flow an ask looks at, and at nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Kind,
    Reason,
    Site,
    Node,
    Comm,
    Interface,
    Netns,
    Pid,
    Port(Side),
    Address(Side),
    Identity(Side),
    Service(Side),
    End(Side),
}

impl Part {
    /// `None`: what it looks at is asked for too seldom, or has too many values.
    pub(super) fn of(ask: &Ask) -> Option<Self> {
        Some(match ask {
            Ask::Verdict(_)
            | Ask::EventType(_)
            | Ask::DropReason(_)
            | Ask::Reply(_)
            | Ask::Protocol(_)
            | Ask::TcpFlags(_)
            | Ask::IpVersion(_)
            | Ask::Direction(_) => Self::Kind,
            Ask::Reason(_) => Self::Reason,
            Ask::Site(_) => Self::Site,
            Ask::NodeName(_) => Self::Node,
            Ask::Comm(_) => Self::Comm,
            Ask::Interface(_) => Self::Interface,
            Ask::Netns(_) => Self::Netns,
            Ask::Pid(_) => Self::Pid,
            Ask::Port(side, _) => Self::Port(*side),
            Ask::Address(Which::Source, _) => Self::Address(Side::Source),
            Ask::Address(Which::Destination, _) => Self::Address(Side::Destination),
            Ask::Identity(side, _) => Self::Identity(*side),
            Ask::Service(side, _) => Self::Service(*side),
            Ask::Pod(side, _) | Ask::Workload(side, _) => Self::End(*side),
            Ask::Label(Labelled::Source, _) => Self::End(Side::Source),
            Ask::Label(Labelled::Destination, _) => Self::End(Side::Destination),
            Ask::Address(Which::SourceTranslated, _)
            | Ask::Label(Labelled::Node, _)
            | Ask::Uuid(_)
            | Ask::Encrypted(_)
            | Ask::Fqdn(..)
            | Ask::DnsQuery(_)
            | Ask::HttpStatus(_)
            | Ask::HttpMethod(_)
            | Ask::HttpPath(_)
            | Ask::HttpUrl(_)
            | Ask::HttpHeader(_)
            | Ask::Cluster(..)
            | Ask::TraceId(_)
            | Ask::Expression(_)
            | Ask::IpTraceId(_)
            | Ask::NotBenign => return None,
        })
    }

    /// The value that a flow has.
    pub(super) fn value(self, flow: &Flow) -> Value<'_> {
        let process = || flow.process.as_ref().filter(|process| process.owner);
        let end = |side: Side| side.of(&flow.source, &flow.destination);
        match self {
            Self::Kind => Value::Kind(Kind::of(flow)),
            Self::Reason => Value::Text(flow.reason.as_ref().map(|reason| &reason.name)),
            Self::Site => Value::Text(flow.site.as_ref().and_then(|site| site.symbol.as_ref())),
            Self::Node => Value::Text(flow.node_name.as_ref()),
            Self::Comm => Value::Text(process().map(|process| &process.comm)),
            Self::Pid => Value::Number(process().map(|process| process.pid)),
            Self::Netns => Value::Number(flow.netns.as_ref().map(|netns| netns.inode)),
            Self::Port(side) => Value::Number(flow.port(side).map(u32::from)),
            Self::Interface => Value::Interface(flow.interface.as_ref().map(|i| (i.index, i.name.as_ref()))),
            Self::Address(side) => match flow.address(side.of(Which::Source, Which::Destination)) {
                Some(Address::Parsed(address)) => Value::Address(Some(address)),
                _ => Value::Address(None),
            },
            Self::Identity(side) => Value::Number(flow.identity(side)),
            Self::Service(side) => {
                Value::Service(side.of(&flow.source_service, &flow.destination_service).as_ref())
            }
            Self::End(side) => Value::End(end(side).info.as_ref()),
        }
    }
}

/// Small numbers, few of which come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    verdict: i32,
    desc: i32,
    event: Option<(i32, i32)>,
    reply: Option<bool>,
    direction: i32,
    version: i32,
    l4: Option<Discriminant<L4>>,
    flags: Option<u16>,
}

impl Kind {
    fn of(flow: &Flow) -> Self {
        Self {
            verdict: flow.verdict(),
            desc: flow.drop_reason_desc(),
            event: flow.event_type(),
            reply: flow.is_reply(),
            direction: flow.direction(),
            version: flow.ip_version(),
            l4: flow.packet.l4.as_ref().map(discriminant),
            flags: flow.tcp_flags(),
        }
    }
}

/// A value, as it lies in a flow. Names of endpoints and services are known by where they lie in memory: all flows of one share it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Kind(Kind),
    Text(Option<&'a Arc<str>>),
    Number(Option<u32>),
    Address(Option<IpAddr>),
    Interface(Option<(u32, Option<&'a Arc<str>>)>),
    Service(Option<&'a Arc<ServiceName>>),
    End(Option<&'a Arc<EndpointInfo>>),
}

/// A value that a table remembers. It holds what is known by its place, so that nothing else comes to lie there.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Kind(Kind),
    Text(Option<Arc<str>>),
    Number(Option<u32>),
    Address(Option<IpAddr>),
    Interface(Option<(u32, Option<Arc<str>>)>),
    Service(Option<Arc<ServiceName>>),
    End(Option<Arc<EndpointInfo>>),
}

/// Where something lies.
fn place<T>(shared: Option<&Arc<T>>) -> usize {
    shared.map_or(0, |shared| Arc::as_ptr(shared).addr())
}

impl std::hash::Hash for Value<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Kind(kind) => kind.hash(state),
            Self::Text(text) => text.hash(state),
            Self::Number(number) => number.hash(state),
            Self::Address(address) => address.hash(state),
            Self::Interface(interface) => interface.hash(state),
            Self::Service(service) => place(*service).hash(state),
            Self::End(info) => place(*info).hash(state),
        }
    }
}

impl Value<'_> {
    pub(super) fn held(&self) -> Held {
        match *self {
            Self::Kind(kind) => Held::Kind(kind),
            Self::Text(text) => Held::Text(text.cloned()),
            Self::Number(number) => Held::Number(number),
            Self::Address(address) => Held::Address(address),
            Self::Interface(interface) => {
                Held::Interface(interface.map(|(index, name)| (index, name.cloned())))
            }
            Self::Service(service) => Held::Service(service.cloned()),
            Self::End(info) => Held::End(info.cloned()),
        }
    }

    pub(super) fn is(&self, held: &Held) -> bool {
        match (*self, held) {
            (Self::Kind(have), Held::Kind(held)) => have == *held,
            (Self::Text(have), Held::Text(held)) => have == held.as_ref(),
            (Self::Number(have), Held::Number(held)) => have == *held,
            (Self::Address(have), Held::Address(held)) => have == *held,
            (Self::Interface(have), Held::Interface(held)) => {
                have == held.as_ref().map(|(index, name)| (*index, name.as_ref()))
            }
            (Self::Service(have), Held::Service(held)) => place(have) == place(held.as_ref()),
            (Self::End(have), Held::End(held)) => place(have) == place(held.as_ref()),
            _ => false,
        }
    }
}
