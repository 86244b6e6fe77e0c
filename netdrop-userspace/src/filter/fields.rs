//! What filters ask of a flow: one view of netdrop's own flows and of those that came over the wire, so that there is one set
//! of rules.

use std::borrow::Cow;
use std::net::IpAddr;

use super::compile::Protocol;
use crate::convert::Roots;
use crate::proto::flow as wire;

/// An end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
}

impl Side {
    /// Of a pair of source and destination.
    pub(crate) fn of<T>(self, source: T, destination: T) -> T {
        match self {
            Self::Source => source,
            Self::Destination => destination,
        }
    }
}

/// Which of a flow's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Source,
    SourceTranslated,
    Destination,
}

/// Whose labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labelled {
    Source,
    Destination,
    Node,
}

/// An address of a flow: parsed where it was captured, else the text that a server sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Address<'a> {
    Parsed(IpAddr),
    Text(&'a str),
}

/// HTTP, as far as filters look.
pub(super) struct Http<'a> {
    pub(super) code: u32,
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [wire::HttpHeader],
}

/// A flow, as filters see it. Numbers of enums are those of the API; unknown ones are kept.
pub(super) trait Fields {
    fn uuid(&self) -> Cow<'_, str>;
    /// Type and sub type.
    fn event_type(&self) -> Option<(i32, i32)>;
    fn verdict(&self) -> i32;
    fn drop_reason_desc(&self) -> i32;
    fn is_reply(&self) -> Option<bool>;
    fn encrypted(&self) -> bool;
    fn direction(&self) -> i32;
    fn ip_version(&self) -> i32;
    fn identity(&self, side: Side) -> Option<u32>;
    fn is(&self, protocol: Protocol) -> bool;
    fn address(&self, which: Which) -> Option<Address<'_>>;
    /// Namespace and name; both may be empty.
    fn pod(&self, side: Side) -> (&str, &str);
    /// Namespace and name; both may be empty.
    fn service(&self, side: Side) -> (&str, &str);
    fn cluster(&self, side: Side) -> &str;
    /// Whether a workload, given its name and kind, is one.
    fn any_workload(&self, side: Side, test: impl Fn(&str, &str) -> bool) -> bool;
    fn any_name(&self, side: Side, test: impl Fn(&str) -> bool) -> bool;
    /// What the first label gives for which it gives anything.
    fn find_label<'a, T>(&'a self, of: Labelled, find: impl FnMut(&'a str) -> Option<T>) -> Option<T>;
    /// Of TCP, UDP and SCTP.
    fn port(&self, side: Side) -> Option<u16>;
    /// As bits, see [`crate::flow::TcpFlags`].
    fn tcp_flags(&self) -> Option<u16>;
    fn http(&self) -> Option<Http<'_>>;
    fn dns_query(&self) -> Option<&str>;
    fn node_name(&self) -> &str;
    fn trace_id(&self) -> &str;
    fn ip_trace_id(&self) -> u64;
    /// Index and name.
    fn interface(&self) -> Option<(u32, &str)>;
    /// The kernel's reason.
    fn reason(&self) -> Option<Cow<'_, str>>;
    /// Whether it is known to be a drop by design.
    fn is_benign(&self) -> bool;
    /// Inode of the network namespace.
    fn netns(&self) -> Option<u32>;
    /// Id and name of the process whose packet it was; not one that was only interrupted.
    fn process(&self) -> Option<(u32, Cow<'_, str>)>;
    /// The kernel's function where it died.
    fn site(&self) -> Option<Cow<'_, str>>;
    /// The flow with at least these fields, for an expression.
    fn wire(&self, roots: Roots) -> Cow<'_, wire::Flow>;
}
