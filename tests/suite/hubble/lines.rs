//! Command lines of `observe`: by hand where a rule has a name, and generated from a seed.

use fastrand::Rng;
use netdrop_tests::flowgen::pools;

/// Lines that show one rule each.
pub const BY_HAND: &[&[&str]] = &[
    &[],
    &["--pod", "a", "--not", "--verdict", "DROPPED", "--port", "80", "-n", "x"],
    &["--ip", "10.0.0.0/8", "--port", "80"],
    &["-n", "a", "-n", "b"],
    &["-A"],
    &["-A=false"],
    &["--all-namespaces", "--pod", "x/y", "--pod", "z"],
    &["--to-namespace", "a", "--to-service", "b"],
    &["--from-namespace", "a", "--from-namespace", "b", "--from-service", "s", "--from-pod", "p"],
    &["--not", "--from-pod", "x", "--not", "--to-port", "80"],
    &["--not", "--not", "--pod", "a"],
    &["--pod", "a", "--not"],
    &["--not=false", "--pod", "a"],
    &["--ip", "1.1.1.1", "--pod", "a"],
    &["--pod", "a", "--ip", "1.1.1.1"],
    &["--encrypted", "--unencrypted"],
    &["--encrypted=false", "--not", "--unencrypted"],
    &["-n", "a", "--pod", "b/y"],
    &["-n", "a", "-n", "c", "--pod", "b/y", "--service", "b/z"],
    &["--from-pod", "y/a", "--from-service", "x/s"],
    &["--first", "1", "--last", "2"],
    &["--first", "1", "--follow"],
    &["--first", "1", "--all"],
    &["--last", "1", "--all"],
    &["--first", "0", "--last", "5"],
    &["--last", "0x10"],
    &["--last", "many"],
    &["--last", "-1"],
    &["--last", "99999999999999999999"],
    &["--follow=perhaps"],
    &["--follow=false", "-o", "table"],
    &["-f", "-o", "table"],
    &["-o", "xml"],
    &["--since", "bad"],
    &["--since", "5m", "--until", "-5m"],
    &["--until", "bad", "-f"],
    &["--until", "2025-01-02T03Z"],
    &["--since", "2025-01-02T03:04:05.123+01:00", "--until", "Thu, 02 Jan 2025 03:04:05 +0000"],
    &["--since", "Jan  2 03:04:05.000"],
    &["--verdict", "dropped"],
    &["--verdict", ""],
    &["--drop-reason-desc", ""],
    &["--drop-reason-desc", "NO_SOCKET"],
    &["--drop-reason-desc", "133"],
    &["--type", "nope"],
    &["--type", "drop:nope"],
    &["--type", "4:to-stack"],
    &["--type", "4294967295:4294967295"],
    &["--type", "4294967296"],
    &["--type", "agent:policy-updated", "--type", "recorder"],
    &["--type", ""],
    &["--type", "drop:"],
    &["--tcp-flags", "SYN,ack", "--tcp-flags", "ns"],
    &["--tcp-flags", "SYN,FOO"],
    &["--tcp-flags", ""],
    &["--traffic-direction", "Ingress", "--traffic-direction", "EGRESS"],
    &["--traffic-direction", "SIDEWAYS"],
    &["--identity", "nobody"],
    &["--identity", "unknown"],
    &["--identity", "overlay-to-encrypt", "--identity", "0x10", "--identity", "017", "--identity", "1_0"],
    &["--identity", "4294967296"],
    &["--ip-trace-id", "0"],
    &["--ip-trace-id", "x"],
    &["--ip-trace-id", "18446744073709551615", "--trace-id", ""],
    &["--http-header", "novalue"],
    &["--http-header", "a:b:c", "--http-header", ":"],
    &["--workload", "a/b/c", "--workload", "", "--workload", "/"],
    &["-4", "-6", "--ip-version", "none", "--ip-version", "IP4"],
    &["-4=x"],
    &["-46"],
    &["-fn", "x"],
    &["-nx", "-n=y"],
    &["--pod", "--not"],
    &["--pod"],
    &["-n"],
    &["--nonsense"],
    &["-x"],
    &["-fx"],
    &["--=x"],
    &["---x"],
    &["--pod="],
    &["--cel-expression", "_flow.verdict == Verdict.DROPPED && 1 < 2"],
    &["--cel-expression", "not even cel ("],
    &["--protocol", "foo", "--ip", "no-address", "--label", "a in (b"],
    &[
        "--allowlist",
        "{\"verdict\":[\"DROPPED\"]}{\"sourceIp\":[\"10.0.0.1\"]}",
        "--denylist",
        "{\"reply\":[true]}",
    ],
    &["--allowlist", "", "--allowlist", " {} ", "--denylist", "{\"experimental\":{}}"],
    &["--allowlist", "{\"verdict\":[1,2,99],\"ip_version\":[\"IPv6\",0],\"drop_reason_desc\":[133,1]}"],
    &["--allowlist", "{\"ipTraceId\":[\"5\",7],\"source_identity\":[\"3\",4e0],\"encrypted\":[true,false]}"],
    &["--allowlist", "{\"event_type\":[{\"type\":1,\"matchSubType\":true,\"subType\":\"-3\"},{}]}"],
    &[
        "--allowlist",
        "{\"interface\":[{\"index\":3},{\"name\":\"eth0\"}],\"tcp_flags\":[{\"SYN\":true,\"ACK\":null},{}]}",
    ],
    &["--allowlist", "{\"source_pod\":null,\"node_labels\":[\"a=b\"],\"httpHeader\":[{\"key\":\"a\"}]}"],
    &["--allowlist", "{\"verdikt\":[]}"],
    &["--allowlist", "{\"verdict\":[\"NOPE\"]}"],
    &["--allowlist", "{\"verdict\":\"DROPPED\"}"],
    &["--allowlist", "{\"source_ip\":[1]}"],
    &["--allowlist", "{\"source_ip\":[null]}"],
    &["--allowlist", "{\"source_identity\":[-1]}"],
    &["--allowlist", "{\"source_identity\":[1.5]}"],
    &["--allowlist", "{\"source_ip\":[\"a\"],\"sourceIp\":[\"b\"]}"],
    &["--denylist", "{\"verdict\":"],
    &["--denylist", "[]"],
    &["--denylist", "{} x"],
    &["--allowlist", "{\"source_pod\":[\"\\u001b\\u007f\\u0085<>&\\u2028\\\"\\\\\"]}"],
    &["--pod", "\u{7f}\u{85}\u{a0}\u{feff}\u{1f600}\u{2028}'\"\\<&>\u{1b}\n\t"],
    &["--pod", "it's \u{e9}\u{202e}"],
    &["--pod", "\u{1f600}"],
];

/// A flag and what to give it; an empty list: it stands alone.
type Choice = (&'static str, &'static [&'static str]);

const IPS: &[&str] =
    &["10.0.0.1", "10.0.0.0/8", "fd00::/16", "2001:DB8::1", "192.168.0.0/16", "::/0", "fe80::1%eth0"];
const PODS: &[&str] =
    &["checkout", "production/checkout", "/db", "production/", "/", "kube-system/d", "a/b/c"];
const SERVICES: &[&str] = &["db", "production/db", "/kube", "kube-system/"];
const LABELS: &[&str] = &[
    "app=checkout",
    "k8s:app",
    "any:app in (checkout, db)",
    "app notin (checkout)",
    "!app",
    "reserved:world",
    "reserved:health",
    "app!=db,tier",
    "gen>6",
    "gen<7",
    "empty=",
    "cidr:10.1.0.0/16",
    "cidr:10.0.0.0/7",
    "",
    "io.kubernetes.pod.namespace=production",
    "region in (eu)",
    "node-role.kubernetes.io/worker",
];
const FQDNS: &[&str] = &["*.example.com", "API.example.com.", "*", "example.*", "a_b.cilium.io", "cilium.io"];
const NODES: &[&str] =
    &["worker-*", "east/*", "default/k8s1", "*/worker-2", "/", "*.example.com", "worker_3"];
const IDENTITIES: &[&str] = &["world", "1", "0x63", "12345", "remote-node", "4294967295", "0"];
const WORKLOADS: &[&str] = &["checkout-api", "Deployment/", "StatefulSet/db", "/db", ""];
const CLUSTERS: &[&str] = &["default", "east", "west-1"];
const PORTS: &[&str] = &["53", "80", "443", "0", "65535"];

/// Every filter flag, with values that make sense.
pub const CHOICES: &[Choice] = &[
    ("--verdict", &["DROPPED", "FORWARDED", "ERROR", "AUDIT", "VERDICT_UNKNOWN", "TRANSLATED"]),
    ("--drop-reason-desc", &["POLICY_DENIED", "INVALID_SOURCE_IP", "DROP_REASON_UNKNOWN", "TTL_EXCEEDED"]),
    ("--namespace", pools::NAMESPACES),
    ("-n", &["production", "prod", "kube-system"]),
    ("--from-namespace", &["production", "default"]),
    ("--to-namespace", &["production", "default"]),
    ("-A", &[]),
    ("--from-all-namespaces", &[]),
    ("--to-all-namespaces", &[]),
    ("--pod", PODS),
    ("--from-pod", PODS),
    ("--to-pod", PODS),
    ("--service", SERVICES),
    ("--from-service", SERVICES),
    ("--to-service", SERVICES),
    ("--workload", WORKLOADS),
    ("--from-workload", WORKLOADS),
    ("--to-workload", WORKLOADS),
    ("-l", LABELS),
    ("--from-label", LABELS),
    ("--to-label", LABELS),
    ("--identity", IDENTITIES),
    ("--from-identity", IDENTITIES),
    ("--to-identity", IDENTITIES),
    ("--fqdn", FQDNS),
    ("--from-fqdn", FQDNS),
    ("--to-fqdn", FQDNS),
    ("--ip", IPS),
    ("--from-ip", IPS),
    ("--to-ip", IPS),
    ("--snat-ip", IPS),
    ("--ip-version", &["none", "v4", "V6", "nonsense"]),
    ("-4", &[]),
    ("--ipv6", &[]),
    ("--port", PORTS),
    ("--from-port", PORTS),
    ("--to-port", PORTS),
    (
        "--protocol",
        &["tcp", "UDP", "icmp", "ICMPv6", "icmpv4", "sctp", "vrrp", "igmp", "dns", "http", "kafka"],
    ),
    ("--tcp-flags", &["SYN", "syn,ack", "RST,FIN,PSH", "urg,ECE,cwr,NS"]),
    (
        "-t",
        &[
            "drop",
            "trace:to-stack",
            "l7",
            "policy-verdict",
            "drop:133",
            "4:5",
            "0",
            "capture",
            "trace-sock:1",
            "agent",
        ],
    ),
    ("--traffic-direction", &["ingress", "EGRESS"]),
    ("--interface", &["eth0", "lxc12ab", ""]),
    ("--node-name", NODES),
    ("--node-label", LABELS),
    ("--cluster", CLUSTERS),
    ("--from-cluster", CLUSTERS),
    ("--to-cluster", CLUSTERS),
    ("--uuid", pools::UUIDS),
    ("--trace-id", pools::TRACE_IDS),
    ("--ip-trace-id", &["1", "42", "18446744073709551615"]),
    ("--encrypted", &[]),
    ("--unencrypted", &[]),
    ("--http-status", &["404", "5+", "20+", "200"]),
    ("--http-method", &["get", "POST", "Delete"]),
    ("--http-path", &["^/page/\\d+$", "a b", "^$", "", "#frag"]),
    ("--http-url", &["cilium\\.io", "^/", "(?i)HTTP", "[[:digit:]]"]),
    ("--http-header", &["foo:bar", "Host:example.com", "x-request-id:"]),
    (
        "--allowlist",
        &[
            "{\"dns_query\":[\"^api\\\\.\"]}",
            "{\"reply\":[false]}",
            "{\"reply\":[true]}{\"encrypted\":[true]}",
        ],
    ),
    (
        "--denylist",
        &[
            "{\"verdict\":[99]}",
            "{\"interface\":[{\"index\":7}]}",
            "{\"event_type\":[{\"matchSubType\":true}]}",
        ],
    ),
];

/// Expressions that this and the stock client read alike.
pub const EXPRESSIONS: &[&str] = &[
    "true",
    "_flow.verdict == Verdict.DROPPED",
    "_flow.drop_reason_desc == DropReason.POLICY_DENIED || _flow.drop_reason_desc == 76",
    "_flow.IP.source.startsWith('10.')",
    "has(_flow.l4) && _flow.l4.TCP.destination_port == 80u",
    "_flow.source.labels.exists(l, l.contains('app'))",
    "_flow.source.identity in [1u, 2u, 6u]",
    "size(_flow.source_names) > 1",
    "_flow.time > timestamp('2025-06-01T00:00:00Z')",
    "_flow.is_reply == null",
    "_flow.source.workloads.all(w, w.kind == 'Deployment')",
    "!has(_flow.l7.http) ? false : _flow.l7.http.code >= 400u",
    "_flow.node_name.matches('^worker-[0-9]$')",
    "_flow.event_type.type == 1 && _flow.event_type.sub_type > 100",
    "_flow.extensions.kernel_reason == 'text' && _flow.extensions.nested.list.size() == 4",
    "_flow.extensions == null",
    "!_flow.is_reply || has(_flow.is_reply)",
    "_flow.egress_allowed_by.exists(p, p.revision > 100u)",
    "timestamp('2025-06-01T00:00:00Z') - _flow.time > duration('1h')",
    "_flow.source.labels[0] == 'k8s:app=db'",
    "_flow.tunnel.protocol == Tunnel.Protocol.VXLAN",
    "_flow.verdict == 2 && 1/0 > 1",
    "has({'a': 1}.b) || {'a': 1}.a == 1",
    "_flow.source.workloads.map(w, w.name).exists(n, n == 'db')",
    "_flow.source.identity < 5",
    "_flow.nope == 1",
    "_flow.verdict == 'DROPPED'",
    "_flow.verdict",
    "nothing.here",
    "_flow.",
];

/// A line of filter flags.
pub fn generated(rng: &mut Rng) -> Vec<String> {
    let mut line = Vec::new();
    for _ in 0..rng.usize(1..5) {
        if rng.u32(0..4) == 0 {
            line.push("--not".to_owned());
        }
        let (flag, values) = CHOICES[rng.usize(..CHOICES.len())];
        if values.is_empty() {
            line.push(flag.to_owned());
            continue;
        }
        // Now and then what no such thing is called.
        let value = match rng.u32(0..40) {
            0 => pools::HOSTILE[rng.usize(..pools::HOSTILE.len())].replace('\0', "\u{1}"),
            _ => values[rng.usize(..values.len())].to_owned(),
        };
        if flag.starts_with("--") && rng.bool() {
            line.push(format!("{flag}={value}"));
        } else {
            line.extend([flag.to_owned(), value]);
        }
    }
    line
}
