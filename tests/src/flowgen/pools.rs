//! Values that flows and flags have in common, so that generated filters match some of the generated flows and not all.

/// Pod and service namespaces.
pub const NAMESPACES: &[&str] = &["default", "production", "kube-system", "", "prod"];
/// Pod names.
pub const PODS: &[&str] =
    &["checkout-api-6b7-x", "checkout", "db-0", "", "xwing", "deathstar-7848d6c4d5-th9v2"];
/// Service names.
pub const SERVICES: &[&str] = &["db", "checkout", "kube-dns", ""];
/// Endpoint and node labels.
pub const LABELS: &[&str] = &[
    "k8s:app=checkout",
    "k8s:app=db",
    "k8s:tier=api",
    "k8s:io.kubernetes.pod.namespace=production",
    "reserved:world",
    "reserved:host",
    "reserved.health",
    "$init",
    "app=bare",
    "k8s:empty=",
    "k8s:gen=7",
    "cidr:10.0.0.0/8",
    "any:app=any",
    "region=eu",
    "node-role.kubernetes.io/worker=",
    "",
    ":",
    "=",
];
/// Workload names.
pub const WORKLOADS: &[&str] = &["checkout-api", "db", ""];
/// Workload kinds.
pub const KINDS: &[&str] = &["Deployment", "StatefulSet", ""];
/// Cluster names.
pub const CLUSTERS: &[&str] = &["default", "east", "west-1", ""];
/// Node names.
pub const NODES: &[&str] =
    &["worker-1", "east/worker-2", "default/k8s1", "", "a/b/c", "Worker_3", "k8s1.example.com"];
/// DNS names.
pub const FQDNS: &[&str] =
    &["api.example.com", "example.com", "EXAMPLE.com", "cilium.io.", "a_b.cilium.io", ""];
/// Addresses, some of which are none.
pub const IPS: &[&str] = &[
    "10.0.0.1",
    "10.0.1.2",
    "192.168.7.9",
    "fd00::1",
    "2001:db8::1",
    "2001:DB8::1",
    "::ffff:10.0.0.1",
    "fe80::1%eth0",
    "0.0.0.0",
    "::",
    "not-an-address",
    "",
];
/// Ports; the last does not fit into 16 bits.
pub const PORTS: &[u64] = &[0, 53, 80, 443, 8080, 40_000, 65_535, 65_616];
/// Security identities.
pub const IDENTITIES: &[u64] = &[0, 1, 2, 3, 6, 7, 9, 11, 15, 99, 128, 12_345, 16_777_217, 4_294_967_295];
/// HTTP status codes.
pub const HTTP_CODES: &[u64] = &[0, 1, 99, 100, 200, 201, 301, 404, 418, 500, 503, 599, 1000];
/// HTTP methods.
pub const HTTP_METHODS: &[&str] = &["GET", "POST", "get", "Delete", ""];
/// URLs of requests, some of which are none.
pub const URLS: &[&str] = &[
    "http://cilium.io/page/1",
    "/page/12?q=1#frag",
    "https://user@example.com:8443/a%20b/c",
    "http://example.com",
    "relative/path",
    "*",
    "http://[::1]/x",
    "http://bad host/x",
    "/%zz",
    "mailto:someone",
    "",
    "//host/path",
];
/// HTTP header names.
pub const HEADER_KEYS: &[&str] = &["foo", "Host", "x-request-id"];
/// HTTP header values.
pub const HEADER_VALUES: &[&str] = &["bar", "example.com", "", "a:b"];
/// Network interfaces.
pub const INTERFACES: &[&str] = &["eth0", "lxc12ab", "", "cilium_host"];
/// Trace ids.
pub const TRACE_IDS: &[&str] = &["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", ""];
/// Trace ids of IP options.
pub const IP_TRACE_IDS: &[u64] = &[0, 1, 42, u64::MAX];
/// Flow ids.
pub const UUIDS: &[&str] = &["3f0e4d2a-0f1a-4c0e-9b7e-0a1b2c3d4e5f", "u1", ""];
/// MAC addresses.
pub const MACS: &[&str] = &["02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", ""];
/// Event types.
pub const EVENT_TYPES: &[i64] = &[1, 1, 1, 3, 4, 4, 5, 5, 7, 129, 0, 2, 6, 130, 255, -1, 2_147_483_647];
/// Their sub types: trace points, drop reasons, numbers without a name.
pub const SUB_TYPES: &[i64] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    76,
    130,
    133,
    159,
    161,
    181,
    205,
    206,
    207,
    255,
    256,
    389,
    70_000,
    -1,
    -2_147_483_648,
];
/// Policy match types.
pub const MATCH_TYPES: &[u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 99];
/// What nobody would name a thing, but may.
pub const HOSTILE: &[&str] = &[
    "\u{1b}[31mred\u{1b}[0m",
    "two\nlines",
    "carriage\rreturn",
    "tab\there",
    "<script>&amp;</script>",
    "quote\"back\\slash'",
    "\u{1}\u{8}\u{c}\u{1f}",
    "nul\u{0}",
    "del\u{7f}nel\u{85}nbsp\u{a0}",
    "line\u{2028}para\u{2029}bom\u{feff}",
    "bidi\u{202e}txet",
    "\u{1f600}\u{10ffff}",
    "e\u{301}\u{200d}",
    "%s%d%n",
    "{\"a\":1}",
    " leading and trailing ",
    "a\u{fffd}b\u{fffe}",
    "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m",
    "\u{1b}[8mhidden\u{1b}[0m\u{8}\u{8}",
    "'single' `back` $(sh) ; | & > <",
    "\u{200b}\u{2066}\u{2069}\u{ad}",
    "\u{d7ff}\u{e000}\u{ffff}",
];
/// Durations as protobuf's JSON has them.
pub const DURATIONS: &[&str] =
    &["0s", "-0.5s", "1.000000001s", "315576000000s", "-315576000000.999999999s", "3s", "0.001s"];
