//! Which fields of a flow of the API a filter looks at: whoever reads flows only to filter them need not read more.

use super::Compiled;
use super::compile::Ask;
use super::fields::{Labelled, Side};

impl Compiled {
    /// Paths of the fields, as a field mask has them, some maybe twice; `None`: the flow as a whole.
    pub(crate) fn looks_at(&self) -> Option<Vec<String>> {
        let mut paths = Vec::new();
        for ask in self.allow.iter().chain(&self.deny).flat_map(|one| &one.asks) {
            ask.looks_at(&mut paths)?;
        }
        Some(paths)
    }
}

impl Ask {
    fn looks_at(&self, paths: &mut Vec<String>) -> Option<()> {
        let end = |side: Side, fields: &[&str]| {
            let end = side.of("source", "destination");
            fields.iter().map(|field| format!("{end}.{field}")).collect()
        };
        let of = |side: Side, what: &str| vec![format!("{}_{what}", side.of("source", "destination"))];
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        paths.extend(match self {
            Self::Verdict(_) => all(&["verdict"]),
            Self::Reason(_) | Self::Netns(_) | Self::Pid(_) | Self::Comm(_) | Self::Site(_) => {
                all(&["extensions"])
            }
            Self::Uuid(_) => all(&["uuid"]),
            Self::EventType(_) => all(&["event_type"]),
            Self::DropReason(_) => all(&["verdict", "drop_reason_desc"]),
            Self::Reply(_) => all(&["verdict", "is_reply"]),
            Self::Encrypted(_) | Self::Address(..) | Self::IpVersion(_) => all(&["IP"]),
            Self::Identity(side, _) => end(*side, &["identity"]),
            Self::Protocol(_) => all(&["l4", "l7"]),
            Self::Pod(side, _) => end(*side, &["namespace", "pod_name"]),
            Self::Workload(side, _) => end(*side, &["workloads"]),
            Self::Service(side, _) => of(*side, "service"),
            Self::Fqdn(side, _) => of(*side, "names"),
            Self::Label(Labelled::Source, _) => end(Side::Source, &["labels"]),
            Self::Label(Labelled::Destination, _) => end(Side::Destination, &["labels"]),
            Self::Label(Labelled::Node, _) => all(&["node_labels"]),
            Self::Port(..) | Self::TcpFlags(_) => all(&["l4"]),
            Self::DnsQuery(_)
            | Self::HttpStatus(_)
            | Self::HttpMethod(_)
            | Self::HttpPath(_)
            | Self::HttpUrl(_)
            | Self::HttpHeader(_) => all(&["l7"]),
            Self::NodeName(_) => all(&["node_name"]),
            Self::Cluster(side, _) => end(*side, &["cluster_name"]),
            Self::TraceId(_) => all(&["trace_context"]),
            Self::Direction(_) => all(&["traffic_direction"]),
            Self::Expression(wanted) => {
                let fields: Option<Vec<_>> = wanted.iter().map(|one| one.expression().fields()).collect();
                fields?.concat()
            }
            Self::Interface(_) => all(&["interface"]),
            Self::IpTraceId(_) => all(&["ip_trace_id"]),
            // Whoever sent a flow has judged.
            Self::NotBenign => Vec::new(),
        });
        Some(())
    }
}
