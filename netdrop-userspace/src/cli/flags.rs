//! The filter flags of `observe`: one table, in which order on the command line matters.

/// A flag that becomes part of a filter.
pub(super) struct FilterFlag {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    /// The value a flag without one stands for.
    pub(super) implied: Option<&'static str>,
    pub(super) value: &'static str,
    pub(super) help: &'static str,
}

const fn flag(name: &'static str, value: &'static str, help: &'static str) -> FilterFlag {
    FilterFlag { name, short: None, implied: None, value, help }
}

const fn short(name: &'static str, short: char, value: &'static str, help: &'static str) -> FilterFlag {
    FilterFlag { name, short: Some(short), implied: None, value, help }
}

const fn switch(name: &'static str, short: Option<char>, help: &'static str) -> FilterFlag {
    FilterFlag { name, short, implied: Some("true"), value: "", help }
}

/// A heading of the help, and what stands below it.
pub(super) struct FilterGroup {
    pub(super) heading: &'static str,
    pub(super) flags: &'static [FilterFlag],
}

/// All of them.
pub(super) fn filter_flags() -> impl Iterator<Item = &'static FilterFlag> {
    FILTER_GROUPS.iter().flat_map(|group| group.flags)
}

/// All of them, as the help has them.
pub(super) const FILTER_GROUPS: &[FilterGroup] = &[
    FilterGroup {
        heading: "Filters",
        flags: &[
            switch("not", None, "Hide what the next filter matches: --not --verdict FORWARDED"),
            flag("verdict", "VERDICT", "FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED or TRANSLATED"),
            flag("reason", "REASON", "Kernel drop reason, as in `netdrop reasons`; * stands for any text"),
            flag("drop-reason-desc", "DESC", "Hubble's drop reason, as INVALID_SOURCE_IP"),
            flag("site", "FUNCTION", "Kernel function where it died, as nft_do_chain; * stands for any text"),
            short(
                "type",
                't',
                "TYPE[:SUBTYPE]",
                "Event type: drop, trace, policy-verdict, capture, l7, trace-sock or a number",
            ),
            flag("traffic-direction", "DIRECTION", "ingress or egress, seen from the local endpoint"),
            flag("node-name", "PATTERN", "Node that saw the flow; * stands for any text"),
            flag("node-label", "SELECTOR", "Label selector of the node that saw the flow"),
        ],
    },
    FilterGroup {
        heading: "Filters: whose",
        flags: &[
            short("namespace", 'n', "NAMESPACE", "Kubernetes namespace at either end"),
            flag("from-namespace", "NAMESPACE", "Kubernetes namespace of the source"),
            flag("to-namespace", "NAMESPACE", "Kubernetes namespace of the destination"),
            switch("all-namespaces", Some('A'), "Pods of any namespace at either end"),
            switch("from-all-namespaces", None, "A pod of any namespace as the source"),
            switch("to-all-namespaces", None, "A pod of any namespace as the destination"),
            flag("pod", "[NAMESPACE/]POD", "Pod name prefix at either end; without a namespace: default"),
            flag("from-pod", "[NAMESPACE/]POD", "Pod name prefix of the source"),
            flag("to-pod", "[NAMESPACE/]POD", "Pod name prefix of the destination"),
            flag("service", "[NAMESPACE/]SERVICE", "Service name prefix at either end"),
            flag("from-service", "[NAMESPACE/]SERVICE", "Service name prefix of the source"),
            flag("to-service", "[NAMESPACE/]SERVICE", "Service name prefix of the destination"),
            flag("workload", "[KIND/]NAME", "Workload at either end, as Deployment/checkout-api"),
            flag("from-workload", "[KIND/]NAME", "Workload of the source"),
            flag("to-workload", "[KIND/]NAME", "Workload of the destination"),
            short(
                "label",
                'l',
                "SELECTOR",
                "Label selector at either end, as app=checkout or reserved:world",
            ),
            flag("from-label", "SELECTOR", "Label selector of the source"),
            flag("to-label", "SELECTOR", "Label selector of the destination"),
            flag("identity", "IDENTITY", "Security identity at either end, by number or reserved name"),
            flag("from-identity", "IDENTITY", "Security identity of the source"),
            flag("to-identity", "IDENTITY", "Security identity of the destination"),
            flag("cluster", "CLUSTER", "Cluster of either end"),
            flag("from-cluster", "CLUSTER", "Cluster of the source"),
            flag("to-cluster", "CLUSTER", "Cluster of the destination"),
            flag("fqdn", "PATTERN", "DNS name at either end; * stands for any text"),
            flag("from-fqdn", "PATTERN", "DNS name of the source"),
            flag("to-fqdn", "PATTERN", "DNS name of the destination"),
            flag("netns", "NETNS", "Network namespace: inode, name in /run/netns, path, or self"),
            flag("pid", "PID", "Process whose packet it was"),
            flag("comm", "NAME", "Name of that process; * stands for any text"),
        ],
    },
    FilterGroup {
        heading: "Filters: which packets",
        flags: &[
            flag("ip", "ADDRESS", "Address or CIDR prefix at either end"),
            flag("from-ip", "ADDRESS", "Address or CIDR prefix of the source"),
            flag("to-ip", "ADDRESS", "Address or CIDR prefix of the destination"),
            flag("snat-ip", "ADDRESS", "Address or CIDR prefix that the source was translated to"),
            flag("ip-version", "VERSION", "v4, v6 or none (ARP and other frames)"),
            FilterFlag { name: "ipv4", short: Some('4'), implied: Some("v4"), value: "", help: "Only IPv4" },
            FilterFlag { name: "ipv6", short: Some('6'), implied: Some("v6"), value: "", help: "Only IPv6" },
            flag("port", "PORT", "TCP, UDP or SCTP port at either end"),
            flag("from-port", "PORT", "Port of the source"),
            flag("to-port", "PORT", "Port of the destination"),
            flag(
                "protocol",
                "PROTOCOL",
                "tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp, dns, http or kafka",
            ),
            flag("tcp-flags", "FLAGS", "TCP flags that are set, as syn,ack"),
            flag("interface", "NAME", "Network interface the packet was on"),
            switch("encrypted", None, "Only what was encrypted on its way (WireGuard, IPsec)"),
            switch("unencrypted", None, "Only what was not"),
        ],
    },
    FilterGroup {
        heading: "Filters: layer 7, and single flows",
        flags: &[
            flag("http-status", "CODE", "HTTP status code, or its beginning, as 404 or 5+"),
            flag("http-method", "METHOD", "HTTP method, in any case"),
            flag("http-path", "REGEX", "Regular expression on the path of the URL, as /page/\\d+"),
            flag("http-url", "REGEX", "Regular expression on the URL"),
            flag("http-header", "NAME:VALUE", "HTTP header"),
            flag("uuid", "UUID", "The one flow of this id"),
            flag("trace-id", "ID", "Trace id of layer 7"),
            flag("ip-trace-id", "ID", "Trace id of an IP option, above 0"),
        ],
    },
    FilterGroup {
        heading: "Filters: written out",
        flags: &[flag(
            "cel-expression",
            "EXPRESSION",
            "Expression in CEL that is true, as '_flow.verdict == Verdict.DROPPED && _flow.IP.ipVersion == IPVersion.IPv6'",
        )],
    },
];

/// Flags of which two in one group can't be combined; the same one may be repeated.
pub(super) const EXCLUSIVE: &[&[&str]] = &[
    &[
        "from-fqdn",
        "from-ip",
        "ip",
        "fqdn",
        "from-namespace",
        "namespace",
        "from-all-namespaces",
        "all-namespaces",
    ],
    &["from-fqdn", "from-ip", "ip", "fqdn", "from-pod", "pod"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-namespace", "namespace", "to-all-namespaces", "all-namespaces"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-pod", "pod"],
    &["to-pod", "namespace", "all-namespaces"],
    &["from-pod", "namespace", "all-namespaces"],
    &["to-service", "namespace", "all-namespaces"],
    &["from-service", "namespace", "all-namespaces"],
    &["label", "from-label"],
    &["label", "to-label"],
    &["service", "from-service"],
    &["service", "to-service"],
    &["port", "to-port"],
    &["port", "from-port"],
    &["identity", "to-identity"],
    &["identity", "from-identity"],
    &["workload", "to-workload"],
    &["workload", "from-workload"],
    &["encrypted", "unencrypted"],
];
