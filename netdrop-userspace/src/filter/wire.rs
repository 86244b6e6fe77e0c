//! Flows of the API, as filters see them.

use std::borrow::Cow;

use super::compile::Protocol;
use super::fields::{Address, Fields, Http, Labelled, Side, Which};
use crate::convert::{self, Roots};
use crate::proto::flow::layer4::Protocol as L4;
use crate::proto::flow::layer7::Record;
use crate::proto::flow::{Endpoint, Flow, Service, Tcp, TcpFlags, Workload};

fn end(flow: &Flow, side: Side) -> Option<&Endpoint> {
    side.of(&flow.source, &flow.destination).as_ref()
}

fn l4(flow: &Flow) -> Option<&L4> {
    flow.l4.as_ref()?.protocol.as_ref()
}

fn l7(flow: &Flow) -> Option<&Record> {
    flow.l7.as_ref()?.record.as_ref()
}

/// Of a port that does not fit into 16 bits, Hubble compares the lower ones.
fn port(number: u32) -> u16 {
    let [.., high, low] = number.to_be_bytes();
    u16::from_be_bytes([high, low])
}

impl Fields for Flow {
    fn uuid(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.uuid)
    }

    fn event_type(&self) -> Option<(i32, i32)> {
        self.event_type.as_ref().map(|e| (e.r#type, e.sub_type))
    }

    fn verdict(&self) -> i32 {
        self.verdict
    }

    fn drop_reason_desc(&self) -> i32 {
        self.drop_reason_desc
    }

    fn is_reply(&self) -> Option<bool> {
        self.is_reply
    }

    fn encrypted(&self) -> bool {
        self.ip.as_ref().is_some_and(|ip| ip.encrypted)
    }

    fn direction(&self) -> i32 {
        self.traffic_direction
    }

    fn ip_version(&self) -> i32 {
        self.ip.as_ref().map_or(0, |ip| ip.ip_version)
    }

    fn identity(&self, side: Side) -> Option<u32> {
        end(self, side).map(|e| e.identity)
    }

    fn is(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => matches!(l4(self), Some(L4::Tcp(_))),
            Protocol::Udp => matches!(l4(self), Some(L4::Udp(_))),
            Protocol::Sctp => matches!(l4(self), Some(L4::Sctp(_))),
            Protocol::Icmp => matches!(l4(self), Some(L4::IcmPv4(_) | L4::IcmPv6(_))),
            Protocol::IcmpV4 => matches!(l4(self), Some(L4::IcmPv4(_))),
            Protocol::IcmpV6 => matches!(l4(self), Some(L4::IcmPv6(_))),
            Protocol::Vrrp => matches!(l4(self), Some(L4::Vrrp(_))),
            Protocol::Igmp => matches!(l4(self), Some(L4::Igmp(_))),
            Protocol::Dns => matches!(l7(self), Some(Record::Dns(_))),
            Protocol::Http => matches!(l7(self), Some(Record::Http(_))),
            Protocol::Kafka => matches!(l7(self), Some(Record::Kafka(_))),
        }
    }

    fn address(&self, which: Which) -> Option<Address<'_>> {
        let ip = self.ip.as_ref()?;
        let text = match which {
            Which::Source => &ip.source,
            Which::SourceTranslated => &ip.source_xlated,
            Which::Destination => &ip.destination,
        };
        (!text.is_empty()).then_some(Address::Text(text))
    }

    fn pod(&self, side: Side) -> (&str, &str) {
        end(self, side).map_or(("", ""), |e| (&e.namespace, &e.pod_name))
    }

    fn service(&self, side: Side) -> (&str, &str) {
        let service: &Option<Service> = side.of(&self.source_service, &self.destination_service);
        service.as_ref().map_or(("", ""), |s| (&s.namespace, &s.name))
    }

    fn cluster(&self, side: Side) -> &str {
        end(self, side).map_or("", |e| &e.cluster_name)
    }

    fn any_workload(&self, side: Side, test: impl Fn(&str, &str) -> bool) -> bool {
        let workloads: &[Workload] = end(self, side).map_or(&[], |e| &e.workloads);
        workloads.iter().any(|w| test(&w.name, &w.kind))
    }

    fn any_name(&self, side: Side, test: impl Fn(&str) -> bool) -> bool {
        side.of(&self.source_names, &self.destination_names).iter().any(|n| test(n))
    }

    fn find_label<'a, T>(&'a self, of: Labelled, find: impl FnMut(&'a str) -> Option<T>) -> Option<T> {
        let labels: &[String] = match of {
            Labelled::Source => end(self, Side::Source).map_or(&[], |e| &e.labels),
            Labelled::Destination => end(self, Side::Destination).map_or(&[], |e| &e.labels),
            Labelled::Node => &self.node_labels,
        };
        labels.iter().map(String::as_str).find_map(find)
    }

    fn port(&self, side: Side) -> Option<u16> {
        let (source, destination) = match l4(self)? {
            L4::Tcp(t) => (t.source_port, t.destination_port),
            L4::Udp(u) => (u.source_port, u.destination_port),
            L4::Sctp(s) => (s.source_port, s.destination_port),
            _ => return None,
        };
        Some(port(side.of(source, destination)))
    }

    fn tcp_flags(&self) -> Option<u16> {
        match l4(self) {
            Some(L4::Tcp(Tcp { flags: Some(flags), .. })) => Some(bits(flags)),
            _ => None,
        }
    }

    fn http(&self) -> Option<Http<'_>> {
        match l7(self) {
            Some(Record::Http(h)) => {
                Some(Http { code: h.code, method: &h.method, url: &h.url, headers: &h.headers })
            }
            _ => None,
        }
    }

    fn dns_query(&self) -> Option<&str> {
        match l7(self) {
            Some(Record::Dns(dns)) => Some(&dns.query),
            _ => None,
        }
    }

    fn node_name(&self) -> &str {
        &self.node_name
    }

    fn trace_id(&self) -> &str {
        self.trace_context.as_ref().and_then(|c| c.parent.as_ref()).map_or("", |p| &p.trace_id)
    }

    fn ip_trace_id(&self) -> u64 {
        self.ip_trace_id.as_ref().map_or(0, |t| t.trace_id)
    }

    fn interface(&self) -> Option<(u32, &str)> {
        self.interface.as_ref().map(|i| (i.index, i.name.as_str()))
    }

    /// Only netdrop's servers tell.
    fn reason(&self) -> Option<Cow<'_, str>> {
        convert::kernel_reason(self.extensions.as_ref()?).map(Cow::Owned)
    }

    /// Only netdrop's servers tell.
    fn netns(&self) -> Option<u32> {
        convert::netns(self.extensions.as_ref()?)
    }

    /// Only netdrop's servers tell.
    fn process(&self) -> Option<(u32, Cow<'_, str>)> {
        let (pid, comm) = convert::owner(self.extensions.as_ref()?)?;
        Some((pid, Cow::Owned(comm)))
    }

    /// Who sent it has judged.
    fn is_benign(&self) -> bool {
        false
    }

    /// Only netdrop's servers tell.
    fn site(&self) -> Option<Cow<'_, str>> {
        convert::site(self.extensions.as_ref()?).map(Cow::Owned)
    }

    fn wire(&self, _: Roots) -> Cow<'_, Flow> {
        Cow::Borrowed(self)
    }
}

fn bits(f: &TcpFlags) -> u16 {
    let set = [f.fin, f.syn, f.rst, f.psh, f.ack, f.urg, f.ece, f.cwr, f.ns];
    (0u16..).zip(set).filter(|(_, on)| *on).fold(0, |bits, (i, _)| bits | 1 << i)
}
