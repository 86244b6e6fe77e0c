//! netdrop's own flows, as filters see them.

use std::borrow::Cow;

use super::compile::Protocol;
use super::fields::{Address, Fields, Http, Labelled, Side, Which};
use crate::convert::{self, Roots};
use crate::flow::{Endpoint, Flow, L4};
use crate::proto::flow as wire;

fn end(flow: &Flow, side: Side) -> &Endpoint {
    side.of(&flow.source, &flow.destination)
}

impl Fields for Flow {
    fn uuid(&self) -> Cow<'_, str> {
        self.uuid.map_or(Cow::Borrowed(""), |u| u.to_string().into())
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        Some((self.event_type.kind, self.event_type.sub_type))
    }

    fn verdict(&self) -> i32 {
        self.verdict as i32
    }

    fn drop_reason_desc(&self) -> i32 {
        self.drop_reason_desc
    }

    fn is_reply(&self) -> Option<bool> {
        self.is_reply
    }

    fn encrypted(&self) -> bool {
        false
    }

    fn direction(&self) -> i32 {
        self.direction as i32
    }

    fn ip_version(&self) -> i32 {
        self.packet.ip.map_or(0, |ip| if ip.source.is_ipv4() { 1 } else { 2 })
    }

    /// An end of which nothing is known is not sent either.
    fn identity(&self, side: Side) -> Option<u32> {
        let end = end(self, side);
        (*end != Endpoint::default()).then_some(end.identity.0)
    }

    fn is(&self, protocol: Protocol) -> bool {
        let l4 = self.packet.l4;
        match protocol {
            Protocol::Tcp => matches!(l4, Some(L4::Tcp { .. })),
            Protocol::Udp => matches!(l4, Some(L4::Udp { .. })),
            Protocol::Sctp => matches!(l4, Some(L4::Sctp { .. })),
            Protocol::Icmp => matches!(l4, Some(L4::Icmpv4(_) | L4::Icmpv6(_))),
            Protocol::IcmpV4 => matches!(l4, Some(L4::Icmpv4(_))),
            Protocol::IcmpV6 => matches!(l4, Some(L4::Icmpv6(_))),
            Protocol::Vrrp => matches!(l4, Some(L4::Vrrp { .. })),
            Protocol::Igmp => matches!(l4, Some(L4::Igmp { .. })),
            Protocol::Dns | Protocol::Http | Protocol::Kafka => false,
        }
    }

    fn address(&self, which: Which) -> Option<Address<'_>> {
        let ip = self.packet.ip?;
        match which {
            Which::Source => Some(Address::Parsed(ip.source)),
            Which::Destination => Some(Address::Parsed(ip.destination)),
            Which::SourceTranslated => None,
        }
    }

    fn pod(&self, side: Side) -> (&str, &str) {
        let end = end(self, side);
        (end.namespace(), end.pod_name())
    }

    fn service(&self, side: Side) -> (&str, &str) {
        side.of(&self.source_service, &self.destination_service)
            .as_deref()
            .map_or(("", ""), |s| (&*s.namespace, &*s.name))
    }

    fn cluster(&self, _: Side) -> &'static str {
        ""
    }

    fn any_workload(&self, side: Side, test: impl Fn(&str, &str) -> bool) -> bool {
        end(self, side).workloads().iter().any(|w| test(&w.name, &w.kind))
    }

    fn any_name(&self, side: Side, test: impl Fn(&str) -> bool) -> bool {
        side.of(&self.source_names, &self.destination_names).iter().any(|n| test(n))
    }

    fn find_label<'a, T>(&'a self, of: Labelled, find: impl FnMut(&'a str) -> Option<T>) -> Option<T> {
        let end = match of {
            Labelled::Source => &self.source,
            Labelled::Destination => &self.destination,
            Labelled::Node => return None,
        };
        end.labels().iter().map(|l| &**l).find_map(find)
    }

    fn port(&self, side: Side) -> Option<u16> {
        let (source, destination) = self.packet.l4?.ports()?;
        Some(side.of(source, destination))
    }

    fn tcp_flags(&self) -> Option<u16> {
        match self.packet.l4 {
            Some(L4::Tcp { flags, .. }) => Some(flags.0),
            _ => None,
        }
    }

    fn http(&self) -> Option<Http<'_>> {
        None
    }

    fn dns_query(&self) -> Option<&str> {
        None
    }

    fn node_name(&self) -> &str {
        self.node_name.as_deref().unwrap_or_default()
    }

    fn trace_id(&self) -> &'static str {
        ""
    }

    fn ip_trace_id(&self) -> u64 {
        0
    }

    fn interface(&self) -> Option<(u32, &str)> {
        self.interface.as_ref().map(|i| (i.index, i.name.as_deref().unwrap_or_default()))
    }

    fn reason(&self) -> Option<Cow<'_, str>> {
        self.reason.as_ref().map(|r| Cow::Borrowed(&*r.name))
    }

    fn is_benign(&self) -> bool {
        self.benign
    }

    fn netns(&self) -> Option<u32> {
        self.netns.as_ref().map(|n| n.inode)
    }

    fn process(&self) -> Option<(u32, Cow<'_, str>)> {
        let process = self.process.as_ref().filter(|p| p.owner)?;
        Some((process.pid, Cow::Borrowed(&*process.comm)))
    }

    fn site(&self) -> Option<Cow<'_, str>> {
        self.site.as_ref()?.symbol.as_deref().map(Cow::Borrowed)
    }

    fn wire(&self, roots: Roots) -> Cow<'_, wire::Flow> {
        Cow::Owned(convert::flow_to_wire_part(self, roots))
    }
}
